//! `/quotas`.

use std::sync::Mutex;

use api::{QuotaAmountView, QuotaReader, QuotaReaderError, QuotaView};
use common::BoxFuture;
use serde_json::json;

use crate::bench::Bench;

/// Quotas that a test has set.
#[derive(Default)]
pub(crate) struct FixedQuotas {
    quotas: Mutex<Vec<QuotaView>>,
    /// Whether the next answer is a failure, and whether that may pass.
    fails: Mutex<Option<bool>>,
}

impl QuotaReader for FixedQuotas {
    fn quotas<'a>(
        &'a self,
        after: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<QuotaView>, QuotaReaderError>> {
        Box::pin(async move {
            match self.fails.lock().unwrap().take() {
                Some(true) => return Err(QuotaReaderError::Unavailable("away".into())),
                Some(false) => return Err(QuotaReaderError::Failed("broken".into())),
                None => {}
            }
            let quotas = self.quotas.lock().unwrap();
            let found = quotas.iter().filter(|quota| quota.prefix.as_str() > after);
            Ok(found.take(limit).cloned().collect())
        })
    }
}

fn quota(prefix: &str, tags: u64) -> QuotaView {
    QuotaView {
        prefix: prefix.to_owned(),
        bytes: QuotaAmountView {
            used: 1_500,
            limit: Some(1_000),
        },
        tags: QuotaAmountView {
            used: tags,
            limit: None,
        },
        warn_at: Some(90),
    }
}

const READ: [&str; 1] = ["quotas:read"];

#[tokio::test]
async fn quotas_are_listed_in_pages_with_what_is_used() {
    let bench = Bench::new();
    let list = async |path: &str| bench.ask("root", &READ, ("GET", path), &[], None).await;
    let none = list("/quotas").await;
    assert_eq!(
        (none.status, none.body),
        (200, json!({"items": [], "next": null}))
    );
    let all = ["*", "a", "a/b", "team"].map(|prefix| quota(prefix, 7));
    *bench.quotas.quotas.lock().unwrap() = all.to_vec();
    let first = list("/quotas?limit=3").await;
    assert_eq!(first.status, 200, "{}", first.body);
    assert_eq!(
        first.body["items"][1],
        json!({
            "prefix": "a",
            "bytes": {"used": 1500, "limit": 1000},
            "tags": {"used": 7},
            "warn_at": 90,
        })
    );
    let next = first.body["next"].as_str().unwrap();
    let second = list(&format!("/quotas?limit=3&after={next}")).await;
    assert_eq!(second.body["items"][0]["prefix"], "team");
    assert_eq!(second.body["next"], json!(null));
    // As many as there are: no empty page follows.
    let exact = list("/quotas?limit=4").await;
    assert_eq!(exact.body["next"], json!(null));
}

#[tokio::test]
async fn a_list_of_quotas_needs_its_scope_and_a_database() {
    let bench = Bench::new();
    let refused = bench
        .ask("root", &["audit:read"], ("GET", "/quotas"), &[], None)
        .await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    for (may_pass, status) in [(true, 503), (false, 500)] {
        *bench.quotas.fails.lock().unwrap() = Some(may_pass);
        let failed = bench
            .ask("root", &READ, ("GET", "/quotas"), &[], None)
            .await;
        assert_eq!(failed.status, status, "{}", failed.body);
        let text = failed.body.to_string();
        assert!(!text.contains("away") && !text.contains("broken"), "{text}");
    }
}
