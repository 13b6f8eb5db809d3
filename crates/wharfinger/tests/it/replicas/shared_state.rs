//! What one replica hands out, another takes: the address of a next page, and of an upload.

use std::path::Path;

use data_encoding::HEXLOWER;
use peers::{TestCertificate, TestKeyKind};

use super::world::Replicas;
use crate::token_login::basic;
use crate::wire::{Answer, Connection};

/// bcrypt of `badmin`.
const ADMIN: &str = "$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC";

/// An image of nothing.
const INDEX: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

fn sections(folder: &Path) -> String {
    let pair = TestCertificate::new(TestKeyKind::P256, folder, "token");
    format!(
        "token: {{issuer: i, expiration: 900, certificate: {}, key: {}}}\n\
         users: {{admin: {{password: '{ADMIN}'}}}}\n\
         acl: [{{match: {{account: admin}}, actions: ['*']}}]\n",
        pair.certificate.display(),
        pair.key.display(),
    )
}

/// A request with a token for `scope`, which the first replica issued.
fn ask(
    replicas: &Replicas,
    server: usize,
    (method, url): (&str, &str),
    scope: &str,
    body: Option<&str>,
) -> Answer {
    let question = format!("/auth?service=wharfinger&scope={scope}");
    let login = basic("admin", "badmin");
    let mut issuer = Connection::open(&replicas.servers[0].host_port());
    let headers = [("Authorization", login.as_str())];
    let login = issuer.request("GET", &question, &headers, None);
    assert_eq!(login.status, 200, "{login:?}");
    let token = login.json()["token"].as_str().unwrap().to_owned();
    let mut request =
        format!("{method} {url} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n");
    if let Some(body) = body {
        let kind = match method {
            "PUT" if !body.is_empty() => "vnd.oci.image.index.v1+json",
            _ => "octet-stream",
        };
        let length = body.len();
        request += &format!("Content-Type: application/{kind}\r\nContent-Length: {length}\r\n");
    }
    request += "\r\n";
    request += body.unwrap_or_default();
    let mut connection = Connection::open(&replicas.servers[server].host_port());
    connection.send(request.as_bytes()).unwrap();
    connection.answer(false).unwrap()
}

/// The path of an address.
fn path(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/')
        .map_or(String::new(), |at| rest[at..].to_owned())
}

#[test]
fn an_upload_and_a_list_go_on_at_another_replica() {
    let folder = tempfile::tempdir().unwrap();
    let replicas = Replicas::start(2, &sections(folder.path()), "  gc: {schedule: never}\n");
    replicas.wait_until_ready();
    for name in ["a", "b", "c"] {
        let scope = format!("repository:{name}:pull,push");
        let begun = format!("/v2/{name}/blobs/uploads/");
        let begun = ask(&replicas, 0, ("POST", &begun), &scope, Some(""));
        assert_eq!(begun.status, 202, "{begun:?}");
        let upload = path(begun.header("location").unwrap());
        let sent = ask(&replicas, 1, ("PATCH", &upload), &scope, Some("{}"));
        assert_eq!(sent.status, 202, "{sent:?}\n{}", replicas.logs());
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"{}");
        let digest = format!("sha256:{}", HEXLOWER.encode(digest.as_ref()));
        let upload = path(sent.header("location").unwrap());
        let end = format!(
            "{upload}{}digest={digest}",
            if upload.contains('?') { '&' } else { '?' }
        );
        let put = ask(&replicas, 0, ("PUT", &end), &scope, Some(""));
        assert_eq!(put.status, 201, "{put:?}\n{}", replicas.logs());
        let manifest = format!("/v2/{name}/manifests/1");
        let pushed = ask(&replicas, 1, ("PUT", &manifest), &scope, Some(INDEX));
        assert_eq!(pushed.status, 201, "{pushed:?}");
    }
    let scope = "registry:catalog:*";
    let mut next = "/v2/_catalog?n=1".to_owned();
    let mut names = Vec::new();
    for server in [0, 1, 0, 1] {
        let page = ask(&replicas, server, ("GET", &next), scope, None);
        assert_eq!(page.status, 200, "{page:?}");
        let listed = page.json()["repositories"].as_array().unwrap().clone();
        names.extend(listed.iter().map(|name| name.as_str().unwrap().to_owned()));
        let Some(link) = page.header("link") else {
            break;
        };
        next = path(link.trim_start_matches('<').split('>').next().unwrap());
    }
    assert_eq!(names, ["a", "b", "c"]);
}
