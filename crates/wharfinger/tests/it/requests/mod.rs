//! What both servers do alike with every request: one client address, one log, and a response that
//! reaches its client.

mod early_refusals;
mod log;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use peers::{Server, TestCertificate, TestKeyKind, http};
use tempfile::TempDir;

use crate::wire::{Answer, Connection};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// bcrypt of `secret`.
const HASH: &str = "$2y$05$Tvl1qcTqh3HHydXmB3jYQuBfXW0YXxRooJqXdEgn3btsMWN28jVFy";

/// Both servers in one process, with these settings beside the address.
struct Both {
    server: Server,
    folder: TempDir,
}

impl Both {
    fn start(settings: &str, acl: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
        let config = format!(
            "server: {{addr: \"@addr@\"{settings}}}\n\
             token: {{issuer: i, expiration: 900, certificate: {certificate}, key: {key}}}\n\
             users: {{\"\": {{}}, ann: {{password: \"{HASH}\"}}}}\n\
             acl: {acl}\n\
             database: {{url: \"sqlite://{folder}/w.db\"}}\n\
             registry: {{storage: {{filesystem: {{root: \"{folder}/content\"}}}}}}\n",
            certificate = pair.certificate.display(),
            key = pair.key.display(),
            folder = folder.path().display(),
        );
        Self {
            server: Server::start(Path::new(PROGRAM), &config),
            folder,
        }
    }

    fn request(&self, method: &str, url: &str, headers: &[(&str, &str)]) -> Answer {
        Connection::open(&self.server.host_port()).request(method, url, headers, None)
    }

    /// A token for `scope`, asked for with these headers.
    fn token(&self, scope: &str, headers: &[(&str, &str)]) -> String {
        let challenge = self.request("GET", "/v2/", &[]);
        let challenge = challenge.header("www-authenticate").unwrap().to_owned();
        let service = challenge.split("service=\"").nth(1).unwrap();
        let service = service.split('"').next().unwrap().replace(' ', "%20");
        let url = format!("/auth?service={service}&scope={scope}");
        let body = self.request("GET", &url, headers).body;
        let (_, token) = body.split_once("\"token\":\"").unwrap();
        token.split('"').next().unwrap().to_owned()
    }

    /// Sends a body with a token.
    fn send(&self, method: &str, path: &str, token: &str, kind: &str, body: &str) -> http::Answer {
        http::request(&[
            "-X",
            method,
            "-H",
            &format!("Authorization: Bearer {token}"),
            "-H",
            &format!("Content-Type: {kind}"),
            "-d",
            body,
            &self.server.url(path),
        ])
    }

    /// Pushes an image without layers to repository `a`.
    fn push(&self, headers: &[(&str, &str)]) {
        let token = self.token("repository:a:pull,push", headers);
        let digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        let blob = self.send(
            "POST",
            &format!("/v2/a/blobs/uploads/?digest={digest}"),
            &token,
            "application/octet-stream",
            "{}",
        );
        assert_eq!(blob.status, 201, "{}", blob.body);
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{kind}","config":{{"mediaType":"application/x","digest":"{digest}","size":2}},"layers":[]}}"#
        );
        let pushed = self.send("PUT", "/v2/a/manifests/one", &token, kind, &manifest);
        assert_eq!(pushed.status, 201, "{}", pushed.body);
    }
}

#[test]
fn both_servers_see_one_client_address() {
    let acl = r#"[{match: {ip: 10.0.0.0/8}, actions: ["*"]}]"#;
    for (settings, header, inside, outside) in [
        (
            ", real_ip_header: X-Forwarded-For, real_ip_pos: -2, trusted_proxies: [127.0.0.1]",
            "X-Forwarded-For",
            "10.1.1.1, 9.9.9.9",
            "9.9.9.9, 10.1.1.1",
        ),
        (
            ", real_ip_header: X-Client, trusted_proxies: [127.0.0.1]",
            "X-Client",
            "10.1.1.1",
            "9.9.9.9",
        ),
        (
            ", trusted_proxies: [127.0.0.1]",
            "X-Forwarded-For",
            "9.9.9.9, 10.1.1.1",
            "10.1.1.1, 9.9.9.9",
        ),
        (
            ", trusted_proxies: [127.0.0.1]",
            "Forwarded",
            "for=9.9.9.9, for=\"10.1.1.1:80\";proto=https",
            "for=10.1.1.1, for=9.9.9.9",
        ),
    ] {
        let both = Both::start(settings, acl);
        both.push(&[(header, inside)]);
        let token = both.token("repository:a:pull", &[(header, outside)]);
        let bearer = format!("Bearer {token}");
        let pull = both.request(
            "GET",
            "/v2/a/manifests/one",
            &[("Authorization", &bearer), (header, outside)],
        );
        assert_eq!(pull.status, 401, "{settings}: the token server");
        for (address, expected) in [(inside, r#"["a"]"#), (outside, "[]")] {
            let catalog = both.request(
                "GET",
                "/v2/_catalog",
                &[("Authorization", &bearer), (header, address)],
            );
            let expected = format!(r#"{{"repositories":{expected}}}"#);
            assert_eq!(catalog.body.trim(), expected, "{settings}: {address}");
        }
    }
}

#[test]
fn headers_of_an_unlisted_proxy_take_no_limit_away() {
    let mut both = Both::start(", limits: {}", "[]");
    let forged = [
        ("X-Forwarded-For", "1"),
        ("X-Forwarded-For", "10.1.1.1"),
        ("Forwarded", "for=10.1.1.1"),
        ("X-Real-IP", "10.1.1.1"),
    ];
    // Each account is another, so that only the address's own limit (20 a minute) can refuse.
    let status = |number: usize| {
        let url = format!("/auth?service=s&account=user{number}");
        let basic = data_encoding::BASE64.encode(format!("user{number}:wrong").as_bytes());
        let basic = format!("Basic {basic}");
        let headers = [("Authorization", basic.as_str()), forged[number % 4]];
        both.request("GET", &url, &headers).status
    };
    let statuses: Vec<u16> = (0..40).map(status).collect();
    assert_eq!(statuses[0], 401);
    assert!(statuses.contains(&429), "{statuses:?}");
    both.server.wait_for_log("server.trusted_proxies");
    let warnings = both.server.log().matches("is ignored because").count();
    assert_eq!(warnings, 1, "{}", both.server.log());
}

#[test]
fn no_client_chooses_the_host_in_a_response() {
    let both = Both::start("", "[]");
    let forged = [
        ("X-Forwarded-Host", "evil.example"),
        ("X-Forwarded-Proto", "https"),
        ("Forwarded", "host=evil.example;proto=https"),
    ];
    for header in forged {
        for path in ["/v2", "/v2/", "/v2/a/manifests/x"] {
            let answer = both.request("GET", path, &[header]);
            let text = format!("{:?}", answer.headers);
            assert!(!text.contains("evil.example"), "{path}: {text}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        }
    }
    let moved = both.request("GET", "/v2", &[]);
    assert_eq!(
        (moved.status, moved.header("location")),
        (301, Some("/v2/"))
    );
}

#[test]
fn a_registry_without_its_content_is_not_ready() {
    let mut both = Both::start("", "[]");
    let content = both.folder.path().join("content");
    let away = both.folder.path().join("away");
    for path in ["/readyz", "/healthz", "/livez"] {
        assert_eq!(both.request("GET", path, &[]).status, 200);
    }
    let ready = both.request("GET", "/readyz", &[]).body;
    for part in ["database", "content"] {
        let check = format!("{{\"name\":\"{part}\",\"ok\":true}}");
        assert!(ready.contains(&check), "{ready}");
    }
    std::fs::rename(&content, &away).unwrap();
    let answer = both.request("GET", "/readyz", &[]);
    assert_eq!(answer.status, 503, "{}", answer.body);
    let path = content.display().to_string();
    assert!(!answer.body.contains(&path), "{}", answer.body);
    both.server.wait_for_log(&path);
    // What is wrong is logged once.
    assert_eq!(both.request("GET", "/readyz", &[]).status, 503);
    assert_eq!(both.server.log().matches(&path).count(), 1);
    for path in ["/healthz", "/livez"] {
        assert_eq!(both.request("GET", path, &[]).status, 200);
    }
    std::fs::rename(&away, &content).unwrap();
    assert_eq!(both.request("HEAD", "/readyz", &[]).status, 200);
    assert_eq!(both.request("POST", "/readyz", &[]).status, 405);
}

#[test]
fn one_address_has_so_many_connections_and_a_trusted_proxy_any_number() {
    for (settings, refused) in [
        (", limits: {connections_per_address: 3}", true),
        (
            ", trusted_proxies: [127.0.0.1], limits: {connections_per_address: 3}",
            false,
        ),
    ] {
        let both = Both::start(settings, "[]");
        // The connections of the start-up check may take a moment to close.
        std::thread::sleep(Duration::from_millis(200));
        let mut open: Vec<TcpStream> = (0..3)
            .map(|_| TcpStream::connect(both.server.host_port()).unwrap())
            .collect();
        for stream in &mut open {
            stream
                .write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                .unwrap();
            assert!(stream.read(&mut [0; 1024]).unwrap() > 0);
        }
        let mut one_more = TcpStream::connect(both.server.host_port()).unwrap();
        let _ = one_more.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
        let answered = one_more.read(&mut [0; 1024]).is_ok_and(|read| read > 0);
        assert_eq!(answered, !refused, "{settings}");
    }
}
