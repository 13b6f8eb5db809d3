//! A registry whose content is in a bucket, with real clients, crashes, and a store that fails.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use oci::DigestAlgorithm;
use peers::{
    Docker, Fault, FaultProxy, Image, Output, Server, TestCertificate, TestKeyKind, VersityGateway,
    crane, http, regctl, run,
};
use storage::hash;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// A registry, and its bucket behind a proxy.
struct World {
    gateway: VersityGateway,
    proxy: FaultProxy,
    directory: TempDir,
    server: Server,
}

fn config(gateway: &VersityGateway, proxy: &FaultProxy, directory: &TempDir) -> String {
    format!(
        "server: {{addr: '@addr@'}}\n\
         database: {{url: 'sqlite://{database}'}}\n\
         registry:\n  auth: {{none: true}}\n  gc: {{schedule: never, grace: 1h}}\n  storage:\n    s3:\n      \
         bucket: {bucket}\n      rootdirectory: /registry\n      region: {region}\n      \
         regionendpoint: {endpoint}\n      secure: false\n      accesskey: {access}\n      \
         secretkey: {secret}\n      chunksize: 5MiB\n",
        database = directory.path().join("w.db").display(),
        bucket = gateway.bucket().name,
        region = gateway.bucket().region,
        endpoint = proxy.host_port(),
        access = gateway.bucket().access_key,
        secret = gateway.bucket().secret_key,
    )
}

impl World {
    fn start() -> Self {
        let gateway = VersityGateway::start();
        let proxy = FaultProxy::start(gateway.host_port());
        let directory = tempfile::tempdir().unwrap();
        let server = Server::start(Path::new(PROGRAM), &config(&gateway, &proxy, &directory));
        proxy.take_seen();
        Self {
            gateway,
            proxy,
            directory,
            server,
        }
    }

    /// SIGKILL, and another server on the same database and bucket.
    fn kill(&mut self) {
        self.server.kill();
        let config = config(&self.gateway, &self.proxy, &self.directory);
        self.server = Server::start(Path::new(PROGRAM), &config);
        self.proxy.take_seen();
    }

    fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.server.host_port())
    }

    /// A command beside the server.
    fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(PROGRAM);
        let file = self.server.config();
        run(command.args(arguments).arg(file))
    }

    /// The path of a new upload.
    fn begin(&self) -> String {
        let url = self.server.url("/v2/a/blobs/uploads/");
        let answer = http::request(&["-X", "POST", &url]);
        assert_eq!(answer.status, 202, "{}", self.server.log());
        answer.header("location").unwrap().to_owned()
    }

    /// Sends content of a file. Returns the status and `Location` or `Retry-After`.
    fn patch(&self, location: &str, content: &[u8]) -> http::Answer {
        let file = self.directory.path().join("content");
        fs::write(&file, content).unwrap();
        let data = format!("@{}", file.display());
        let kind = "Content-Type: application/octet-stream";
        http::request(&["-X", "PATCH", "-H", kind, "--data-binary", &data, location])
    }

    fn finish(&self, location: &str, content: &[u8]) -> http::Answer {
        let digest = hash::digest(DigestAlgorithm::Sha256, content);
        let between = if location.contains('?') { '&' } else { '?' };
        let url = format!("{location}{between}digest={digest}");
        http::request(&["-X", "PUT", &url])
    }
}

fn bytes(length: usize) -> Vec<u8> {
    // Text, because answers are read as text.
    (0..length).map(|n| b'a' + (n % 23) as u8).collect()
}

/// The address of the server that runs now, in a URL of the one before.
fn on(world: &World, location: &str) -> String {
    let path = location.split_once("/v2/").unwrap().1;
    world.server.url(&format!("/v2/{path}"))
}

#[test]
fn crane_regctl_and_docker_push_and_pull() {
    let world = World::start();
    let image = Image::saying("in a bucket");
    let reference = world.reference("team/app:1");
    let (crane, layout) = (crane(), image.layout().display().to_string());
    crane.run(&["push", &layout, &reference]).succeeded();
    let seen = world.proxy.take_seen();
    assert_eq!(seen.len(), 2, "layer, configuration: {seen:#?}");
    crane.run(&["push", &layout, &reference]).succeeded();
    assert_eq!(
        crane.run(&["digest", &reference]).succeeded().trim(),
        image.digest()
    );
    assert_eq!(
        world.proxy.take_seen(),
        [""; 0],
        "the same again, and its manifest"
    );
    let pulled = crane.home().join("pulled.tar").display().to_string();
    crane.run(&["pull", &reference, &pulled]).succeeded();
    let seen = world.proxy.take_seen();
    assert_eq!(seen.len(), 2, "{seen:#?}");

    let regctl = regctl(&world.server.host_port());
    let copy = world.reference("team/copy:2");
    regctl
        .run(&["image", "copy", &reference, &copy])
        .succeeded();
    assert_eq!(
        regctl.run(&["image", "digest", &copy]).succeeded().trim(),
        image.digest()
    );

    let docker = Docker::start();
    let client = docker.client();
    let other = world.reference("team/docker:1");
    docker
        .import(&Image::saying("of docker"), &other)
        .succeeded();
    client.run(&["push", &other]).succeeded();
    client.run(&["rmi", &other]).succeeded();
    client.run(&["pull", &other]).succeeded();
    client.run(&["pull", &reference]).succeeded();

    world.command(&["registry", "verify"]).succeeded();
    let log = world.server.log();
    assert!(!log.contains(world.gateway.bucket().secret_key), "{log}");
}

#[test]
fn an_upload_survives_kill_9() {
    let mut world = World::start();
    let content = bytes(12_000_000);
    let location = world.begin();
    let first = world.patch(&location, &content[..7_000_000]);
    assert_eq!(first.status, 202, "{}", world.server.log());
    let location = first.header("location").unwrap().to_owned();
    world.kill();
    let state = http::get(&on(&world, &location));
    assert_eq!(
        state.header("range"),
        Some("0-6999999"),
        "{}",
        world.server.log()
    );
    let second = world.patch(&on(&world, &location), &content[7_000_000..]);
    assert_eq!(second.status, 202, "{}", world.server.log());
    let location = second.header("location").unwrap().to_owned();
    world.kill();
    let finished = world.finish(&on(&world, &location), &content);
    assert_eq!(finished.status, 201, "{}", world.server.log());
    let digest = hash::digest(DigestAlgorithm::Sha256, &content);
    let url = world.server.url(&format!("/v2/a/blobs/{digest}"));
    assert!(http::get(&url).body.as_bytes() == content);
    let range = http::request(&["-H", "Range: bytes=6999998-7000001", &url]);
    assert_eq!(range.status, 206);
    assert_eq!(range.body.as_bytes(), &content[6_999_998..7_000_002]);
    world.proxy.take_seen();
    let head = http::request(&["--head", &url]);
    assert_eq!(head.header("content-length"), Some("12000000"));
    assert_eq!(world.proxy.take_seen(), [""; 0], "rows answer");
}

#[test]
fn a_crash_in_a_push_leaves_nothing_once_it_was_collected() {
    let mut world = World::start();
    let content = bytes(12_000_000);
    let location = world.begin();
    // The second part is on its way when the server is killed.
    let slow = Fault::Delay(Duration::from_secs(600));
    world.proxy.fail("partNumber=2", 0, slow);
    thread::scope(|scope| {
        let sending = scope.spawn(|| {
            let file = world.directory.path().join("killed");
            fs::write(&file, &content).unwrap();
            let data = format!("@{}", file.display());
            http::try_request(&["-X", "PATCH", "--data-binary", &data, &location])
        });
        let is_sent = || {
            let seen = world.proxy.take_seen();
            seen.iter().any(|request| request.contains("partNumber=2"))
        };
        while !is_sent() {
            thread::yield_now();
        }
        let pid = world.server.id().to_string();
        run(Command::new("kill").args(["-9", &pid])).succeeded();
        assert!(sending.join().unwrap().is_none());
    });
    world.kill();
    assert_eq!(world.gateway.multipart_uploads(), 1);
    let location = on(&world, &location);
    assert_eq!(http::request(&["-X", "DELETE", &location]).status, 204);
    world.command(&["registry", "gc"]).succeeded();
    assert_eq!(world.gateway.multipart_uploads(), 0);
    assert_eq!(world.gateway.keys("registry/blobs/"), [""; 0]);
}

#[test]
fn a_store_that_is_away_is_503_and_the_server_is_not_ready() {
    let world = World::start();
    let image = Image::saying("away");
    let reference = world.reference("team/app:1");
    let crane = crane();
    let layout = image.layout().display().to_string();
    crane.run(&["push", &layout, &reference]).succeeded();
    let location = world.begin();
    world.proxy.fail_all(Some(Fault::Status(503)));
    let refused = world.patch(&location, b"content");
    assert_eq!(refused.status, 503, "{}", world.server.log());
    assert!(refused.header("retry-after").is_some());
    // Rows answer what they know.
    assert_eq!(
        crane.run(&["digest", &reference]).succeeded().trim(),
        image.digest()
    );
    let ready = http::get(&world.server.url("/readyz"));
    assert_eq!(ready.status, 503);
    assert_eq!(http::get(&world.server.url("/healthz")).status, 200);
    world.proxy.fail_all(None);
    assert_eq!(world.patch(&location, b"content").status, 202);
    let is_ready = || http::get(&world.server.url("/readyz")).status == 200;
    while !is_ready() {
        thread::yield_now();
    }
}

#[test]
fn check_connect_and_the_start_say_what_is_wrong_with_the_bucket() {
    let world = World::start();
    let tried = world.command(&["check", "--connect"]);
    assert!(
        tried
            .succeeded()
            .contains("registry.storage.s3: an object was written")
    );
    let file = world.directory.path().join("wrong.yml");
    let right = fs::read_to_string(world.server.config()).unwrap();
    let wrong = right.replace("bucket: content", "bucket: missing");
    fs::write(&file, wrong.replace("w.db", "other.db")).unwrap();
    let check = |arguments: &[&str]| run(Command::new(PROGRAM).args(arguments).arg(&file));
    for arguments in [&["check", "--connect"][..], &["serve"]] {
        let output = check(arguments);
        let text = format!("{}{}", output.stdout, output.stderr);
        assert!(!output.status.success(), "{text}");
        assert!(
            text.contains("s3://missing/registry: cannot write an object: NoSuchBucket"),
            "{text}"
        );
        assert!(!text.contains(world.gateway.bucket().secret_key), "{text}");
    }
}

#[test]
fn a_store_with_tls_is_verified() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = TestCertificate::new(TestKeyKind::P256, directory.path(), "store");
    let gateway = VersityGateway::start_with_tls(&certificate);
    let proxy = FaultProxy::start(gateway.host_port());
    let file = directory.path().join("wharfinger.yml");
    let plain = config(&gateway, &proxy, &directory).replace("@addr@", "127.0.0.1:5000");
    let secure = plain
        .replace("secure: false", "secure: true")
        .replace(proxy.host_port(), gateway.host_port());
    let trusting = format!(
        "ca_certificate: {}\n      secure: true",
        certificate.certificate.display()
    );
    for (text, found) in [
        (
            secure.replace("secure: true", &trusting),
            "registry.storage.s3: an object was written",
        ),
        (secure.clone(), "certificate"),
        (
            secure.replace("secure: true", "secure: true\n      skipverify: true"),
            "registry.storage.s3: an object was written",
        ),
    ] {
        fs::write(&file, &text).unwrap();
        let checked = run(Command::new(PROGRAM)
            .args(["check", "--connect"])
            .arg(&file));
        let said = format!("{}{}", checked.stdout, checked.stderr);
        assert!(said.contains(found), "{text}\n{said}");
    }
}
