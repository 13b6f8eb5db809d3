//! The suite that every store of content passes.

use std::sync::Arc;

use crate::bucket::{LEAST_PART, content, settings, settings_of_minio};
use crate::content_suite::{TestedStore, content_suite};

async fn versitygw() -> TestedStore {
    let gateway = peers::VersityGateway::start();
    let content = content(&settings(&gateway, gateway.host_port(), LEAST_PART));
    content.probe().await.unwrap();
    TestedStore {
        store: Arc::new(content),
        _guard: Box::new(gateway),
    }
}

async fn minio() -> TestedStore {
    let minio = peers::Minio::start();
    let content = content(&settings_of_minio(&minio));
    content.probe().await.unwrap();
    TestedStore {
        store: Arc::new(content),
        _guard: Box::new(minio),
    }
}

content_suite!(in_versitygw, crate::suite::versitygw);
content_suite!(in_minio, crate::suite::minio);
