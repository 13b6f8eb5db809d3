//! The parsers of what servers, files and users write, tried with mutations.

use std::str::from_utf8;

use crate::http_error_response::HttpErrorResponse;
use crate::{ImageName, Link, Platform};

#[test]
fn fuzz_link() {
    let seeds = [
        r#"</v2/a/tags/list?page=0>; rel="first", </v2/a/tags/list?page=1>; rel="next""#,
        r#"<https://a.example/x>;title="a, b\"c";rel=next;anchor="x",<y>"#,
    ];
    fuzz::target("link", &seeds, |bytes| {
        let Ok(text) = from_utf8(bytes) else {
            return false;
        };
        let links = Link::parse_all([text]);
        assert!(links.len() <= text.len());
        links.iter().any(|link| link.has_relation("next"))
    });
}

#[test]
fn fuzz_errors() {
    let seeds = [
        r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"x"}}]}"#,
        r#"{"error":"invalid_grant","error_description":"no such token"}"#,
        r#"{"details":"incorrect username or password","error":"unauthorized"}"#,
    ];
    fuzz::target("errors of servers", &seeds, |bytes| {
        let (errors, text) = HttpErrorResponse::errors_of(bytes);
        assert!(errors.len() <= 100 && text.chars().count() <= 1000);
        !errors.is_empty()
    });
}

#[test]
fn fuzz_names() {
    let digest = format!("sha256:{}", "0f".repeat(32));
    let seeds = [
        format!("registry.example:5000/library/app:v1@{digest}"),
        "docker.io/library/ubuntu".to_owned(),
        "[::1]:5000/a/b:latest".to_owned(),
        "linux/arm/v7".to_owned(),
    ];
    fuzz::target("image names", &seeds, |bytes| {
        let Ok(text) = from_utf8(bytes) else {
            return false;
        };
        let platform = text.parse::<Platform>();
        if let Ok(platform) = &platform {
            assert_eq!(platform.to_string().parse().as_ref(), Ok(platform));
        }
        let name = text.parse::<ImageName>();
        if let Ok(name) = &name {
            assert_eq!(name.to_string().parse().as_ref(), Ok(name));
        }
        name.is_ok() || platform.is_ok()
    });
}
