//! A page that prints what the token server passes to `ext_authz` for a request of the
//! catalog: exactly these seven members.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use peers::{TestCertificate, TestKeyKind, http, program as installed};

use crate::e2e::world::{program, serve, with_pair};
use crate::registry::registry_2::Running;

const PRINTED: &str = r#"{"Account":"user","Type":"registry","Name":"catalog","Service":"Docker registry","IP":"111.250.164.33","Actions":["*"],"Labels":null}"#;

#[test]
fn a_catalog_request_reaches_ext_authz_as_printed() {
    let directory = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::Rsa, directory.path(), "auth-srv");
    let (script, asked) = (
        directory.path().join("authz"),
        directory.path().join("asked"),
    );
    fs::write(&script, format!("#!/bin/sh\ncat > '{}'\n", asked.display())).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let config =
        include_str!("catalog_request.yml").replace("@authz@", &script.display().to_string());
    let server = serve(&with_pair(&config, &pair));

    let query = "account=user&client_id=docker&offline_token=true&service=Docker+registry&scope=registry:catalog:*";
    let url = server.url(&format!("/auth?{query}"));
    let answer = http::request(&[
        "-u",
        "user:password",
        "-H",
        "X-Forwarded-For: 111.250.164.33",
        &url,
    ]);
    assert_eq!(answer.status, 200, "{answer:?}\n{}", server.log());
    assert_eq!(fs::read_to_string(&asked).unwrap(), PRINTED);

    // The real registry, and ours in its place.
    let (realm, bundle) = (server.url("/auth"), pair.certificate.display().to_string());
    let variables = [
        ("REGISTRY_AUTH", "token"),
        ("REGISTRY_AUTH_TOKEN_REALM", realm.as_str()),
        ("REGISTRY_AUTH_TOKEN_SERVICE", "Docker registry"),
        ("REGISTRY_AUTH_TOKEN_ISSUER", "Acme auth server"),
        ("REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE", &bundle),
    ];
    let bearer = format!(
        "Authorization: Bearer {}",
        answer.json_string("token").unwrap()
    );
    for registry in [installed("docker-registry"), program().to_owned()] {
        let registry = Running::start(&registry, &variables);
        let catalog = http::request(&["-H", &bearer, &format!("{}/v2/_catalog", registry.base)]);
        assert_eq!(
            (catalog.status, catalog.body.trim()),
            (200, r#"{"repositories":[]}"#)
        );
    }
}
