//! Clients that are sent to the bucket: which ones, for what, and that real ones follow.

use std::fs;
use std::process::Command;
use std::time::Duration;

use oci::DigestAlgorithm;
use peers::{
    Client, Containerd, Docker, FaultProxy, Image, Server, TestCertificate, TestKeyKind,
    VersityGateway, crane, http, run, skopeo,
};
use storage::hash;
use tempfile::TempDir;

use crate::e2e::world::{ADMIN, READER, crane_login, login, program, serve, with_pair};

/// A registry with its token server, and its bucket. Server and clients reach the bucket through
/// proxies of their own.
struct World {
    /// What the server sees of the bucket.
    inside: FaultProxy,
    /// What clients see of it.
    outside: FaultProxy,
    server: Server,
    config: String,
    directory: TempDir,
    gateway: VersityGateway,
}

/// The sections of the token server are those of its own tests.
fn config(gateway: &VersityGateway, inside: &str, endpoint: &str, directory: &TempDir) -> String {
    let pair = TestCertificate::new(TestKeyKind::P256, directory.path(), "token");
    let token = with_pair(include_str!("../e2e/ours.yml"), &pair);
    let (token, _) = token.split_once("registry:").unwrap();
    format!(
        "{token}database: {{url: 'sqlite://{database}'}}\n\
         registry:\n  gc: {{schedule: never, grace: 1h}}\n  storage:\n    \
         redirect: {{from: 100, endpoint: '{endpoint}'}}\n    \
         s3: {{bucket: {bucket}, region: {region}, regionendpoint: '{inside}', accesskey: {access}, \
         secretkey: {secret}}}\n",
        database = directory.path().join("w.db").display(),
        bucket = gateway.bucket().name,
        region = gateway.bucket().region,
        access = gateway.bucket().access_key,
        secret = gateway.bucket().secret_key,
    )
}

/// Another name of the same machine: clients send their token along to the registry's own host.
fn elsewhere(host_port: &str) -> String {
    host_port.replace("127.0.0.1", "localhost")
}

impl World {
    fn start() -> Self {
        let gateway = VersityGateway::start();
        let outside = FaultProxy::start(gateway.host_port());
        let endpoint = format!("http://{}", elsewhere(outside.host_port()));
        Self::with(gateway, outside, &endpoint)
    }

    fn with(gateway: VersityGateway, outside: FaultProxy, endpoint: &str) -> Self {
        let inside = FaultProxy::start(gateway.host_port());
        let directory = tempfile::tempdir().unwrap();
        let url = format!("http://{}", inside.host_port());
        let config = config(&gateway, &url, endpoint, &directory);
        let server = serve(&config);
        inside.take_seen();
        Self {
            inside,
            outside,
            server,
            config,
            directory,
            gateway,
        }
    }

    fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.server.host_port())
    }

    fn crane(&self, account: (&str, &str)) -> Client {
        let crane = crane();
        let host = self.server.host_port();
        let (user, password) = account;
        crane_login(&crane, (user, password), &host);
        crane
    }

    fn push(&self, image: &Image, name: &str) {
        let layout = image.layout().display().to_string();
        let reference = self.reference(name);
        self.crane(ADMIN)
            .run(&["push", &layout, &reference])
            .succeeded();
        self.inside.take_seen();
    }

    /// The header with a token for a repository.
    fn bearer(&self, (user, password): (&str, &str), actions: &str) -> String {
        let url = format!("/auth?service=wharfinger&scope=repository:team/app:{actions}");
        let login = format!("{user}:{password}");
        let answer = http::request(&["-u", &login, &self.server.url(&url)]);
        let token = answer.json_string("token").unwrap();
        format!("Authorization: Bearer {token}")
    }

    fn upload(&self, content: &str, digest: &str) {
        let file = self.directory.path().join("content");
        fs::write(&file, content).unwrap();
        let url = format!("/v2/team/app/blobs/uploads/?digest={digest}");
        let (url, admin) = (self.server.url(&url), self.bearer(ADMIN, "pull,push"));
        let data = format!("@{}", file.display());
        let kind = "Content-Type: application/octet-stream";
        let arguments = [
            "-X",
            "POST",
            "-H",
            &admin,
            "-H",
            kind,
            "--data-binary",
            &data,
            &url,
        ];
        let answer = http::request(&arguments);
        assert_eq!(answer.status, 201, "{}", self.server.log());
    }

    /// The client pulled from the bucket, and the server did not.
    #[track_caller]
    fn assert_redirected(&self, client: &str) {
        let (inside, outside) = (self.inside.take_seen(), self.outside.take_seen());
        let gets = |seen: &[String]| seen.iter().filter(|line| line.starts_with("GET ")).count();
        assert!(gets(&outside) >= 1, "{client}: {outside:?}");
        assert_eq!(gets(&inside), 0, "{client}: {inside:?}");
        // S3 refuses a request with two ways to log in, so the pull would have failed.
        assert!(outside.iter().all(|line| line.contains("X-Amz-Signature")));
    }

    /// The same configuration with a change, which is loaded without a restart.
    fn reload(&mut self, from: &str, to: &str) {
        self.config = self.config.replace(from, to);
        let lines = self.server.log().lines().count();
        self.server.rewrite(&self.config);
        let is_loaded = |log: &str| {
            let mut new = log.lines().skip(lines);
            new.any(|line| line.contains("configuration reloaded"))
        };
        while !is_loaded(&self.server.log()) {
            std::thread::yield_now();
        }
    }
}

#[test]
fn crane_skopeo_docker_and_containerd_follow() {
    let world = World::start();
    world.push(&Image::saying("elsewhere"), "team/app:1");
    let (reference, host) = (world.reference("team/app:1"), world.server.host_port());

    let crane = world.crane(READER);
    let archive = crane.home().join("pulled.tar").display().to_string();
    crane.run(&["pull", &reference, &archive]).succeeded();
    world.assert_redirected("crane");

    let skopeo = skopeo();
    login(&skopeo, &["--tls-verify=false"], READER, &host).succeeded();
    let from = format!("docker://{reference}");
    let to = format!("dir:{}", skopeo.home().join("pulled").display());
    skopeo
        .run(&["copy", "--src-tls-verify=false", &from, &to])
        .succeeded();
    world.assert_redirected("skopeo");

    let docker = Docker::start();
    let client = docker.client();
    login(&client, &[], READER, &host).succeeded();
    client.run(&["pull", &reference]).succeeded();
    world.assert_redirected("docker");

    let containerd = Containerd::start();
    let user = format!("{}:{}", READER.0, READER.1);
    let pull = ["images", "pull", "--plain-http", "--snapshotter", "native"];
    let pull = [&pull[..], &["--user", &user, &reference]].concat();
    containerd.client().run(&pull).succeeded();
    world.assert_redirected("containerd");

    let log = world.server.log();
    assert!(!log.contains("X-Amz"), "{log}");
}

#[test]
fn a_store_with_tls_is_followed() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = TestCertificate::new(TestKeyKind::P256, folder.path(), "store");
    let gateway = VersityGateway::start_with_tls(&certificate);
    let outside = FaultProxy::start(gateway.host_port());
    let endpoint = format!("https://{}", elsewhere(gateway.host_port()));
    let directory = tempfile::tempdir().unwrap();
    let own = format!("https://{}", gateway.host_port());
    let trusted = certificate.certificate.display().to_string();
    let config = config(&gateway, &own, &endpoint, &directory)
        .replace("bucket:", &format!("ca_certificate: {trusted}, bucket:"));
    let world = World {
        inside: FaultProxy::start(gateway.host_port()),
        outside,
        server: serve(&config),
        config,
        directory,
        gateway,
    };
    world.push(&Image::saying("over TLS"), "team/app:1");
    let reference = world.reference("team/app:1");
    let crane = world.crane(READER);
    let archive = crane.home().join("pulled.tar").display().to_string();
    let pull = ["pull", &reference, &archive];
    // It does not trust the store, so it was sent there.
    let refused = crane.run(&pull);
    let said = refused.refused();
    assert!(
        said.contains(&elsewhere(world.gateway.host_port())),
        "{said}"
    );
    crane
        .run_with_variables(&pull, &[("SSL_CERT_FILE", &trusted)])
        .succeeded();
    let skopeo = skopeo();
    let host = world.server.host_port();
    login(&skopeo, &["--tls-verify=false"], READER, &host).succeeded();
    let from = format!("docker://{reference}");
    let to = format!("dir:{}", skopeo.home().join("pulled").display());
    skopeo
        .run(&["copy", "--src-tls-verify=false", &from, &to])
        .succeeded();
}

/// Content of so many bytes, and its digest.
fn content(length: usize) -> (String, String) {
    let text: String = (0..length)
        .map(|n| char::from(b'a' + (n % 23) as u8))
        .collect();
    let digest = hash::digest(DigestAlgorithm::Sha256, text.as_bytes());
    (text, digest.to_string())
}

#[test]
fn only_large_content_for_clients_that_may_have_it_and_can_follow() {
    let mut world = World::start();
    let reader = world.bearer(READER, "pull");
    let ((large, digest), (small, small_digest)) = (content(1000), content(99));
    world.upload(&large, &digest);
    world.upload(&small, &small_digest);
    let url = world.server.url(&format!("/v2/team/app/blobs/{digest}"));
    let ask = |more: &[&str], url: &str| {
        let arguments = [&["-H", &reader], more, &[url]].concat();
        http::request(&arguments)
    };
    world.inside.take_seen();

    let sent = ask(&[], &url);
    assert_eq!((sent.status, sent.body.as_str()), (307, ""));
    let location = sent.header("location").unwrap().to_owned();
    let endpoint = format!(
        "http://{}/content/blobs/",
        elsewhere(world.outside.host_port())
    );
    assert!(location.starts_with(&endpoint), "{location}");
    assert!(!location.contains("team"), "no repository is in it");
    assert_eq!(sent.header("docker-content-digest"), Some(digest.as_str()));
    let caching = sent.header("cache-control").unwrap();
    let age = caching.strip_prefix("private, max-age=").unwrap();
    assert!((800..=1140).contains(&age.parse::<u32>().unwrap()), "{age}");
    assert_eq!(http::get(&location).body, large);
    let part = ask(&["-H", "Range: bytes=100-399"], &url);
    assert_eq!(part.status, 307);
    assert_eq!(
        world.inside.take_seen(),
        [""; 0],
        "no request for any of that"
    );

    for (more, url, status) in [
        (&["--head"][..], &url, 200),
        (&["-H", "Range: bytes=0-0"], &url, 206),
        (&["-H", "Range: bytes=0-49"], &url, 206),
        (&["-H", "Range: bytes=0-299,500-799"], &url, 206),
        (&["-H", "Range: bytes=1000-"], &url, 416),
        (&["-H", "If-Range: \"x\""], &url, 200),
        (&["-H", &format!("If-None-Match: \"{digest}\"")], &url, 304),
        // The name of the store, and a name above it.
        (&["-H", "Host: localhost:1"], &url, 200),
        (&[], &url.replace(&digest, &small_digest), 200),
    ] {
        let answer = ask(more, url);
        assert_eq!(answer.status, status, "{more:?}");
        assert_eq!(answer.header("location"), None, "{more:?}");
    }
    let anonymous = http::get(&url);
    assert_eq!(
        (anonymous.status, anonymous.header("location")),
        (401, None)
    );

    world.reload("from: 100,", "from: 100, except: [127.0.0.0/8],");
    let excepted = ask(&[], &url);
    assert_eq!(
        (excepted.status, excepted.body.as_str()),
        (200, large.as_str())
    );
    world.reload("127.0.0.0/8", "10.0.0.0/8");
    assert_eq!(ask(&[], &url).status, 307);
    world.reload("from: 100,", "enabled: false, from: 100,");
    assert_eq!(ask(&[], &url).status, 200);
    let log = world.server.log();
    assert!(
        !log.contains("X-Amz") && !log.contains("Signature"),
        "{log}"
    );
}

#[test]
fn a_url_leads_to_content_that_was_collected_meanwhile() {
    let mut world = World::start();
    world.server.kill();
    world.config = world.config.replace("grace: 1h", "grace: 1s");
    world.server = serve(&world.config);
    let (content, digest) = content(1000);
    world.upload(&content, &digest);
    let url = world.server.url(&format!("/v2/team/app/blobs/{digest}"));
    let admin = world.bearer(ADMIN, "pull,push,delete");
    let ask = |more: &[&str]| http::request(&[&["-H", &admin], more, &[url.as_str()]].concat());
    let location = ask(&[]).header("location").unwrap().to_owned();
    assert_eq!(ask(&["-X", "DELETE"]).status, 202);
    assert_eq!(ask(&[]).status, 404);
    // The grace time counts in whole seconds.
    std::thread::sleep(Duration::from_secs(3));
    let collect = || {
        let mut command = Command::new(program());
        let output = run(command
            .args(["registry", "gc", "--json"])
            .arg(world.server.config()));
        output.succeeded().to_owned()
    };
    let collected = collect();
    assert!(collected.contains("\"blobs\": 0"), "{collected}");
    collect();
    assert_eq!(http::get(&location).body, content);
    assert_eq!(world.gateway.keys("blobs/").len(), 1);
}
