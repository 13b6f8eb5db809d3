//! `server.public_url`: where a client without a token is sent, regardless of the request's headers.

use std::path::Path;

use peers::{Server, TestCertificate, TestKeyKind};

use crate::wire::Connection;

#[test]
fn realm_and_locations_are_what_the_operator_says() {
    let folder = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    let config = format!(
        "server: {{addr: \"@addr@\", public_url: \"https://hub.example.com/\", path_prefix: /acme}}\ntoken: {{issuer: i, \
         expiration: 900, certificate: \"{}\", key: \"{}\"}}\nusers: {{\"\": {{}}}}\nacl: [{{match: {{}}, actions: \
         [\"*\"]}}]\nregistry: {{storage: {{filesystem: {{root: \"{}\"}}}}@more@}}\n",
        pair.certificate.display(),
        pair.key.display(),
        folder.path().join("content").display()
    );
    let mut server = Server::start(
        Path::new(env!("CARGO_BIN_EXE_wharfinger")),
        &config.replace("@more@", ""),
    );
    let ask = |server: &Server, method: &str, url: &str, headers: &[(&str, &str)]| {
        // Neither counts any more: the operator knows better than a proxy.
        let said = [
            ("X-Forwarded-Host", "other.example.com"),
            ("Content-Length", "0"),
        ];
        Connection::open(&server.host_port()).request(method, url, &[&said, headers].concat(), None)
    };
    let uploads = "/v2/a/blobs/uploads/";
    let refused = ask(&server, "POST", uploads, &[]);
    let service = "wharfinger";
    let realm = "Bearer realm=\"https://hub.example.com/acme/auth\"";
    let scope = "scope=\"repository:a:pull,push\"";
    let challenge = format!("{realm},service=\"{service}\",{scope}");
    assert_eq!(
        (refused.status, refused.header("www-authenticate")),
        (401, Some(challenge.as_str()))
    );
    let token = ask(
        &server,
        "GET",
        "/acme/auth?service=wharfinger&scope=repository:a:pull,push",
        &[],
    );
    let bearer = format!("Bearer {}", token.json()["token"].as_str().unwrap());
    let credentials = [("Authorization", bearer.as_str())];
    let begun = ask(&server, "POST", uploads, &credentials);
    assert!(
        begun
            .header("location")
            .unwrap()
            .starts_with("https://hub.example.com/v2/a/blobs/uploads/"),
        "{begun:?}"
    );
    let slash = ask(&server, "HEAD", "/v2", &[]);
    assert_eq!(
        (slash.status, slash.header("location")),
        (301, Some("/v2/"))
    );

    // Asked to leave the host out of every Location, it does; a realm needs it.
    server.rewrite(&config.replace("@more@", ", relative_urls: true"));
    server.hang_up();
    server.wait_for_log("configuration reloaded");
    assert!(
        ask(&server, "POST", uploads, &credentials)
            .header("location")
            .unwrap()
            .starts_with("/v2/a/blobs/uploads/")
    );
    assert_eq!(
        ask(&server, "POST", uploads, &[]).header("www-authenticate"),
        Some(challenge.as_str())
    );
}
