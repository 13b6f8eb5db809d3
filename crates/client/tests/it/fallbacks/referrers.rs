//! Lists of referrers at registries without them.

use client::LoginCredentials;

use super::{INDEX, MANIFEST, digest};
use crate::stub::{Reply, Stub};

fn referrer() -> String {
    let entry = format!(
        r#"{{"mediaType":"{MANIFEST}","digest":"{}","size":1,"artifactType":"a/b"}}"#,
        digest(b"artifact")
    );
    format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{entry}]}}"#)
}

fn referrers_stub(api: Reply, tagged: bool) -> Stub {
    Stub::start(move |request| {
        let path = request.path.split('?').next().unwrap();
        if path.starts_with("/v2/a/referrers/") {
            return api.clone();
        }
        match tagged && path.starts_with("/v2/a/manifests/sha256-") {
            true => Reply::new(200)
                .header("Content-Type", INDEX)
                .body(referrer()),
            false => Reply::json(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#),
        }
    })
}

/// Each has been seen at a registry that does not know referrers.
fn without_referrers() -> Vec<Reply> {
    let mut replies: Vec<_> = [400, 404, 405, 406, 410, 415, 501].map(Reply::new).into();
    replies.push(Reply::json(405, r#"{"errors":[{"code":"UNSUPPORTED"}]}"#));
    let page = "<html>Sign in</html>";
    replies.push(
        Reply::new(200)
            .header("Content-Type", "text/html")
            .body(page),
    );
    replies.push(Reply::json(200, "{}"));
    replies.push(Reply::json(200, "[]"));
    replies.push(Reply::json(200, r#"{"manifests":{}}"#));
    replies.push(Reply::json(200, r#"{"errors":[{"code":"UNSUPPORTED"}]}"#));
    replies.push(Reply::json(200, "null"));
    replies.push(Reply::new(200));
    replies.push(Reply::new(302).header("Location", "http://@self@/login"));
    replies
}

#[tokio::test]
async fn a_registry_without_referrers_has_their_list_under_a_tag() {
    let subject = digest(b"subject");
    for reply in without_referrers() {
        let told = format!("{reply:?}");
        let stub = referrers_stub(reply.clone(), true);
        let repository = stub.repository("a", LoginCredentials::Anonymous).await;
        let found = repository.referrers(&subject, None).await;
        let found = found.unwrap_or_else(|error| panic!("{told}: {error}"));
        assert_eq!(found.len(), 1, "{told}");
        assert_eq!(found[0].artifact_type.as_deref(), Some("a/b"));
        if !reply.is(302) {
            let stub = referrers_stub(reply, false);
            let repository = stub.repository("a", LoginCredentials::Anonymous).await;
            assert!(
                repository
                    .referrers(&subject, None)
                    .await
                    .unwrap()
                    .is_empty(),
                "{told}"
            );
        }
    }
}

/// A server that fails may have a list: an empty one would be a lie.
#[tokio::test]
async fn a_failure_counts_only_when_there_is_no_tag_either() {
    let subject = digest(b"subject");
    for status in [401, 403, 500] {
        let stub = referrers_stub(Reply::new(status), true);
        let repository = stub.repository("a", LoginCredentials::Anonymous).await;
        let found = repository.referrers(&subject, None).await;
        assert_eq!(found.unwrap().len(), 1, "{status}");
        let stub = referrers_stub(Reply::new(status), false);
        let repository = stub.repository("a", LoginCredentials::Anonymous).await;
        repository.referrers(&subject, None).await.unwrap_err();
    }
}

#[tokio::test]
async fn an_empty_list_is_a_list() {
    for body in [
        r#"{"schemaVersion":2,"manifests":[]}"#.to_owned(),
        format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":null}}"#),
        format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}"}}"#),
    ] {
        let stub = referrers_stub(Reply::json(200, &body), true);
        let repository = stub.repository("a", LoginCredentials::Anonymous).await;
        let found = repository.referrers(&digest(b"subject"), None).await;
        assert!(found.unwrap().is_empty(), "{body}");
    }
}
