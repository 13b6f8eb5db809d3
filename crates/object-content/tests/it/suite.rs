//! The suite that every store of content passes.

use std::sync::Arc;

use crate::bucket::{LEAST_PART, content, settings};
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

content_suite!(in_versitygw, crate::suite::versitygw);
