//! What a token costs: `cargo bench -p wharfinger --bench token_server`.
//!
//! The server is pinned to one core and the load generator (`wrk`, Debian's package) to the other.
//! The figure is requests per CPU-second of the *server*, user and system time together, so a slow
//! generator does not hide a fast server. Each case is printed with its limit, measured in the same
//! run: the rate at which aws-lc-rs signs on one core. Machines differ and are noisy: the ratios
//! are what to look at.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark measures time, and has no caller that an error could be returned to"
)]

mod common;

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use peers::{TestCertificate, TestKeyKind};
use token::PrivateKey;

use common::{CONNECTIONS, Process, free_address, median, pinned, rate};

/// How long each case is loaded.
const LOAD: Duration = Duration::from_secs(5);

/// Anonymous may pull; `alice`'s password is `secret`, hashed at cost 10.
const CONFIG: &str = r#"
server: {addr: "ADDRESS", log: {level: info}}
token: {issuer: bench, expiration: 900, certificate: CERTIFICATE, key: KEY}
users:
  "": {}
  alice: {password: "HASH"}
acl:
  - {match: {account: "admin"}, actions: ["*"]}
  - {match: {account: "/.+/", name: "${account}/*"}, actions: ["*"]}
  - {match: {account: "/.+/"}, actions: [pull]}
  - {match: {account: ""}, actions: [pull]}
login: {per_address: 1000000/s, per_account: 1000000/s}
"#;

const ANONYMOUS: &str = "/auth?service=registry.example.com&scope=repository:library/ubuntu:pull";
const LOGIN: &str =
    "/auth?account=alice&service=registry.example.com&scope=repository:alice/app:pull,push";

fn main() {
    // `cargo test --benches` runs this, too, and asks for nothing to be measured.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let rsa = TestCertificate::new(TestKeyKind::Rsa, folder.path(), "rsa");
    let p256 = TestCertificate::new(TestKeyKind::P256, folder.path(), "p256");
    println!(
        "{:<44} {:>10} {:>10} {:>7}",
        "case, one core, per CPU-second of the server", "ours", "limit", "ratio"
    );
    for (name, pair) in [("RS256 (2048)", &rsa), ("ES256", &p256)] {
        let limit = signatures_per_second(&pair.key);
        let server = Server::start(folder.path(), pair);
        row(
            &format!("token, {name}, anonymous"),
            server.rate(ANONYMOUS, None),
            limit,
        );
    }
    let server = Server::start(folder.path(), &p256);
    let limit = signatures_per_second(&p256.key);
    row(
        "login again, bcrypt cost 10, ES256",
        server.rate(LOGIN, Some("alice:secret")),
        limit,
    );
    drop(server);
    start_and_memory(folder.path(), &p256);
    wrong_passwords(folder.path(), &p256);
}

fn row(case: &str, ours: f64, limit: f64) {
    println!(
        "{case:<44} {ours:>10.0} {limit:>10.0} {:>6.0}%",
        100.0 * ours / limit
    );
}

/// A server of ours.
struct Server(Process);

impl Server {
    fn start(folder: &Path, pair: &TestCertificate) -> Self {
        Self::start_on(folder, pair, "0")
    }

    fn start_on(folder: &Path, pair: &TestCertificate, cores: &str) -> Self {
        let address = free_address();
        let config = CONFIG
            .replace("ADDRESS", &address)
            .replace("CERTIFICATE", pair.certificate.to_str().unwrap())
            .replace("KEY", pair.key.to_str().unwrap())
            .replace("HASH", &hash());
        let path = folder.join("bench.yml");
        std::fs::write(&path, config).unwrap();
        let mut command = pinned(cores, env!("CARGO_BIN_EXE_wharfinger"));
        Self(Process::start(
            command.arg("serve").arg(&path),
            &address,
            "/healthz",
        ))
    }

    /// Answered requests per CPU-second of the server.
    fn rate(&self, url: &str, credentials: Option<&str>) -> f64 {
        self.load(url, credentials, Duration::from_secs(1), CONNECTIONS, "1")
            .wait()
            .unwrap();
        let before = self.0.cpu_seconds();
        let mut load = self.load(url, credentials, LOAD, CONNECTIONS, "1");
        let mut report = String::new();
        load.stdout
            .take()
            .unwrap()
            .read_to_string(&mut report)
            .unwrap();
        load.wait().unwrap();
        let cpu = self.0.cpu_seconds() - before;
        assert!(!report.contains("Non-2xx"), "{report}");
        let requests = report
            .lines()
            .find_map(|line| line.trim().split_once(" requests in"))
            .unwrap()
            .0;
        requests.parse::<f64>().unwrap() / cpu
    }

    fn load(
        &self,
        url: &str,
        credentials: Option<&str>,
        time: Duration,
        connections: usize,
        core: &str,
    ) -> Child {
        let mut command = pinned(core, "wrk");
        command.args([
            "-t1",
            "-c",
            &connections.to_string(),
            "-d",
            &format!("{}s", time.as_secs()),
        ]);
        if let Some(credentials) = credentials {
            let encoded = data_encoding::BASE64.encode(credentials.as_bytes());
            command.args(["-H", &format!("Authorization: Basic {encoded}")]);
        }
        command.arg(format!("http://{}{url}", self.0.address));
        command
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("wrk (apt-get install wrk): {error}"))
    }
}

/// How often aws-lc-rs signs a token's worth of bytes in a second of one core.
fn signatures_per_second(key: &Path) -> f64 {
    let key = PrivateKey::from_pem(&std::fs::read_to_string(key).unwrap()).unwrap();
    let message = [7; 600];
    rate(|| drop(key.sign(&message).unwrap()))
}

/// The hash of `secret` at cost 10, made by the program itself.
fn hash() -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_wharfinger"))
        .args(["hash", "--cost", "10"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"secret\n").unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn start_and_memory(folder: &Path, pair: &TestCertificate) {
    let servers = (0..10).map(|_| Server::start(folder, pair));
    let (starts, memory): (Vec<Duration>, Vec<f64>) = servers
        .map(|Server(process)| (process.ready_after, process.megabytes("VmRSS:")))
        .unzip();
    println!(
        "ready after start, median of 10: {:.1} ms",
        median(starts).as_secs_f64() * 1000.0
    );
    println!("resident when idle: {:.1} MB", memory[9]);
}

/// How long an anonymous token takes while 64 clients send wrong passwords, which nothing but the
/// bound on verifications slows down (the limits on failures are off). The server has both cores,
/// as a small machine would.
fn wrong_passwords(folder: &Path, pair: &TestCertificate) {
    let server = Server::start_on(folder, pair, "0,1");
    for (case, attacked) in [
        ("in peace", false),
        ("while 64 clients send wrong passwords", true),
    ] {
        let attack = attacked.then(|| {
            server.load(
                LOGIN,
                Some("alice:wrong"),
                Duration::from_secs(8),
                64,
                "0,1",
            )
        });
        std::thread::sleep(Duration::from_secs(1));
        let mut times: Vec<Duration> = Vec::new();
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(5) {
            let asked = Instant::now();
            assert_eq!(server.0.get(ANONYMOUS, ""), Some(200));
            times.push(asked.elapsed());
            std::thread::sleep(Duration::from_millis(2));
        }
        times.sort();
        let at =
            |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1000.0;
        println!(
            "anonymous token {case}: median {:.1} ms, p99 {:.1} ms ({} requests)",
            at(0.5),
            at(0.99),
            times.len()
        );
        if let Some(mut attack) = attack {
            attack.wait().unwrap();
        }
    }
}
