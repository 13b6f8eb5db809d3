//! Lists that come in pages: which page is next, and what a hostile registry may not do with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use client::{ErrorKind, LoginCredentials};

use crate::stub::{Reply, Stub, password};

fn tags(names: &[&str]) -> Reply {
    let names: Vec<_> = names.iter().map(|name| format!("{name:?}")).collect();
    Reply::json(200, &format!(r#"{{"tags":[{}]}}"#, names.join(",")))
}

async fn all_tags(stub: &Stub) -> Result<Vec<String>, client::Error> {
    let repository = stub.repository("a", LoginCredentials::Anonymous).await;
    repository.tags(None).unwrap().all().await
}

#[tokio::test]
async fn the_link_to_the_next_page_is_found_among_others() {
    for link in [
        r#"</v2/a/tags/list?page=0>; rel="first", </v2/a/tags/list?page=1>; rel="next""#,
        r#"</v2/a/tags/list?page=1>; title="a, b; c"; rel="next", </v2/a/tags/list?page=9>; rel="last""#,
        r#"</v2/a/tags/list?page=1>;rel=next"#,
        r#"<?page=1>; REL="next last""#,
        r#"<http://@self@/v2/a/tags/list?page=1>; rel="next""#,
    ] {
        let stub = Stub::start(move |request| match request.path.split_once("page=") {
            None => tags(&["one"]).header("Link", link),
            Some((_, "1")) => tags(&["two"]),
            Some(_) => Reply::new(500),
        });
        assert_eq!(all_tags(&stub).await.unwrap(), ["one", "two"], "{link}");
    }
    let stub = Stub::start(|request| match request.path.contains("page=1") {
        true => tags(&["two"]),
        false => tags(&["one"])
            .header("Link", r#"</first>; rel="first""#)
            .header("Link", r#"</v2/a/tags/list?page=1>; rel="next""#),
    });
    assert_eq!(
        all_tags(&stub).await.unwrap(),
        ["one", "two"],
        "in two fields"
    );
}

/// Neither by a link nor by an upload's location is a token sent to another port or scheme.
#[tokio::test]
async fn a_token_is_not_sent_to_another_origin() {
    let other = Arc::new(Stub::start(|_| tags(&["stolen"])));
    for (scheme, host) in [
        ("http", other.host().to_owned()),
        ("https", "@self@".to_owned()),
    ] {
        let link = format!(r#"<{scheme}://{host}/v2/a/tags/list?page=1>; rel="next""#);
        let stub = Stub::start(move |request| match request.header("authorization") {
            _ if request.path.starts_with("/token") => Reply::json(200, r#"{"token":"secret"}"#),
            Some(_) => tags(&["one"]).header("Link", &link),
            None => {
                Reply::new(401).header("WWW-Authenticate", r#"Bearer realm="http://@self@/token""#)
            }
        });
        let repository = stub.repository("a", password("ann", "sesame")).await;
        let error = repository.tags(None).unwrap().all().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Server);
        assert!(error.to_string().contains("another origin"), "{error}");
        assert!(other.seen().is_empty());
    }
}

#[tokio::test]
async fn a_name_longer_than_any_legal_one_ends_the_list() {
    let long = "x".repeat(15 << 20);
    let stub = Stub::start(move |request| match request.path.contains("_catalog") {
        true => Reply::json(200, &format!(r#"{{"repositories":[{long:?}]}}"#)),
        false => tags(&[&long]).header("Link", r#"</v2/a/tags/list?again>; rel="next""#),
    });
    let error = all_tags(&stub).await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("`tags` hold a name of 15728640 bytes; the longest legal one has 128"),
        "{error}"
    );
    let registry = client::RegistryClient::new(stub.session(LoginCredentials::Anonymous).await);
    let error = registry.catalog(None).unwrap().all().await.unwrap_err();
    assert!(
        error.to_string().ends_with("the longest legal one has 255"),
        "{error}"
    );
}

#[tokio::test]
async fn a_page_without_end_is_not_read() {
    let stub = Stub::start(|_| Reply::json(200, &format!(r#"{{"x":"{}"}}"#, "x".repeat(17 << 20))));
    let error = all_tags(&stub).await.unwrap_err();
    assert!(
        error.to_string().contains("more than 16777216 bytes"),
        "{error}"
    );
}

#[tokio::test]
async fn empty_pages_without_end_are_not_followed() {
    let count = AtomicUsize::new(0);
    let stub = Stub::start(move |_| {
        let next = count.fetch_add(1, Ordering::Relaxed);
        let link = format!(r#"</v2/a/tags/list?page={next}>; rel="next""#);
        tags(&[]).header("Link", &link)
    });
    let error = all_tags(&stub).await.unwrap_err();
    assert!(error.to_string().contains("without end"), "{error}");
    assert!(stub.seen().len() < 1_100);
}

/// A registry that ignores `last` sends the same names again, perhaps with another link each time.
#[tokio::test]
async fn pages_that_repeat_without_end_are_not_followed() {
    let stub = Stub::start(|request| {
        let (names, next) = match request.path.contains("page=1") {
            true => (["c", "d"], 0),
            false => (["a", "b"], 1),
        };
        let link = format!(r#"</v2/a/tags/list?page={next}>; rel="next""#);
        tags(&names).header("Link", &link)
    });
    let error = all_tags(&stub).await.unwrap_err().to_string();
    assert!(
        error.contains("without end: stopped after 4 names"),
        "{error}"
    );
    assert!(stub.seen().len() < 1_100);
}

#[tokio::test]
async fn pages_as_go_writes_them_are_read() {
    for (body, names) in [
        (r#"{"name":"a","tags":null}"#, &[][..]),
        (r#"{"name":"a"}"#, &[]),
        (r#"{"Tags":["b","a"]}"#, &["a", "b"]),
        (r#"{"tags":["x"],"tags":["a",null]}"#, &["a"]),
    ] {
        let stub = Stub::start(move |_| Reply::json(200, body));
        assert_eq!(all_tags(&stub).await.unwrap(), names, "{body}");
    }
}
