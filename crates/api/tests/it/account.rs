//! `/account`.

use serde_json::json;

use crate::bench::Bench;

#[tokio::test]
async fn a_caller_sees_who_it_is() {
    let bench = Bench::new();
    let scopes = ["own:read", "users:read,write"];
    let answer = bench
        .ask("ann", &scopes, ("GET", "/account"), &[], None)
        .await;
    assert_eq!(answer.status, 200);
    let expected = json!({
        "account": "ann",
        "scopes": ["wharfinger:own:read", "wharfinger:users:read,write"],
        "registry": "registry.example",
    });
    assert_eq!(answer.body, expected);
}
