//! What a token costs: `cargo bench -p wharfinger`.
//!
//! The server is pinned to one core and the load generator (`wrk`, Debian's package) to the other. The figure is requests
//! per CPU-second of the *server*, user and system time together, so a slow generator does not hide a fast server. Each
//! case is told beside its limit, measured in the same run: the rate at which aws-lc-rs signs on one core. Machines
//! differ and are noisy: the ratios are what to look at.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark measures time, and has nobody to hand an error to"
)]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use peers::{Certificate, KeyKind};
use token::PrivateKey;

/// How long each case is loaded.
const LOAD: Duration = Duration::from_secs(5);

/// How many connections the load comes over.
const CONNECTIONS: &str = "16";

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
const LOGIN: &str = "/auth?account=alice&service=registry.example.com&scope=repository:alice/app:pull,push";

fn main() {
    // `cargo test --benches` runs this, too, and asks for nothing to be measured.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let rsa = Certificate::new(KeyKind::Rsa, folder.path(), "rsa");
    let p256 = Certificate::new(KeyKind::P256, folder.path(), "p256");
    println!("{:<44} {:>10} {:>10} {:>7}", "case, one core, per CPU-second of the server", "ours", "limit", "ratio");
    for (name, pair) in [("RS256 (2048)", &rsa), ("ES256", &p256)] {
        let limit = signatures_per_second(&pair.key);
        let server = Server::start(folder.path(), pair);
        row(&format!("token, {name}, anonymous"), server.rate(ANONYMOUS, None), limit);
    }
    let server = Server::start(folder.path(), &p256);
    let limit = signatures_per_second(&p256.key);
    row("login again, bcrypt cost 10, ES256", server.rate(LOGIN, Some("alice:secret")), limit);
    drop(server);
    start_and_memory(folder.path(), &p256);
    wrong_passwords(folder.path(), &p256);
}

fn row(case: &str, ours: f64, limit: f64) {
    println!("{case:<44} {ours:>10.0} {limit:>10.0} {:>6.0}%", 100.0 * ours / limit);
}

/// A server of ours, pinned to the first core.
struct Server {
    child: Child,
    address: String,
    ready_after: Duration,
}

impl Server {
    fn start(folder: &Path, pair: &Certificate) -> Self {
        Self::start_on(folder, pair, "0")
    }

    fn start_on(folder: &Path, pair: &Certificate, cores: &str) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = format!("127.0.0.1:{port}");
        let config = CONFIG
            .replace("ADDRESS", &address)
            .replace("CERTIFICATE", pair.certificate.to_str().unwrap())
            .replace("KEY", pair.key.to_str().unwrap())
            .replace("HASH", &hash());
        let path = folder.join("bench.yml");
        std::fs::write(&path, config).unwrap();
        let began = Instant::now();
        let child = Command::new("taskset")
            .args(["-c", cores, env!("CARGO_BIN_EXE_wharfinger"), "serve"])
            .arg(&path)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { child, address, ready_after: Duration::ZERO };
        while server.get("/healthz", "").is_none() {
            assert!(began.elapsed() < Duration::from_secs(10), "the server does not start");
            std::thread::sleep(Duration::from_micros(200));
        }
        server.ready_after = began.elapsed();
        server
    }

    /// Answered requests per CPU-second of the server.
    fn rate(&self, url: &str, credentials: Option<&str>) -> f64 {
        self.load(url, credentials, Duration::from_secs(1), CONNECTIONS, "1").wait().unwrap();
        let before = self.cpu_seconds();
        let mut load = self.load(url, credentials, LOAD, CONNECTIONS, "1");
        let mut report = String::new();
        load.stdout.take().unwrap().read_to_string(&mut report).unwrap();
        load.wait().unwrap();
        let cpu = self.cpu_seconds() - before;
        assert!(!report.contains("Non-2xx"), "{report}");
        let requests = report.lines().find_map(|line| line.trim().split_once(" requests in")).unwrap().0;
        requests.parse::<f64>().unwrap() / cpu
    }

    fn load(&self, url: &str, credentials: Option<&str>, time: Duration, connections: &str, core: &str) -> Child {
        let mut command = Command::new("taskset");
        command.args(["-c", core, "wrk", "-t1", "-c", connections, "-d", &format!("{}s", time.as_secs())]);
        if let Some(credentials) = credentials {
            let encoded = data_encoding::BASE64.encode(credentials.as_bytes());
            command.args(["-H", &format!("Authorization: Basic {encoded}")]);
        }
        command.arg(format!("http://{}{url}", self.address));
        command.stdout(Stdio::piped()).spawn().unwrap_or_else(|error| panic!("wrk (apt-get install wrk): {error}"))
    }

    fn cpu_seconds(&self) -> f64 {
        cpu_seconds(&format!("/proc/{}/stat", self.child.id()))
    }

    /// The status of one GET over a connection of its own.
    fn get(&self, url: &str, header: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        write!(stream, "GET {url} HTTP/1.1\r\nHost: b\r\nConnection: close\r\n{header}\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// User and system time of a process or thread, from its `stat` file (proc(5): fields 14 and 15, in hundredths).
fn cpu_seconds(stat: &str) -> f64 {
    let stat = std::fs::read_to_string(stat).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

/// How often aws-lc-rs signs a token's worth of bytes in a second of one core.
fn signatures_per_second(key: &PathBuf) -> f64 {
    let key = Arc::new(PrivateKey::from_pem(&std::fs::read_to_string(key).unwrap()).unwrap());
    let message = [7; 600];
    let sign = move || {
        let before = cpu_seconds("/proc/thread-self/stat");
        let began = Instant::now();
        let mut count = 0.0;
        while began.elapsed() < Duration::from_secs(3) {
            key.sign(&message).unwrap();
            count += 1.0;
        }
        count / (cpu_seconds("/proc/thread-self/stat") - before)
    };
    std::thread::spawn(sign).join().unwrap()
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

fn start_and_memory(folder: &Path, pair: &Certificate) {
    let mut starts: Vec<Duration> = Vec::new();
    let mut memory = 0;
    for _ in 0..10 {
        let server = Server::start(folder, pair);
        starts.push(server.ready_after);
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        memory = line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap();
    }
    starts.sort();
    println!("ready after start, median of 10: {:.1} ms", starts[5].as_secs_f64() * 1000.0);
    println!("resident when idle: {:.1} MB", memory as f64 / 1000.0);
}

/// How long an anonymous token takes while 64 clients send wrong passwords, which nothing but the bound on
/// verifications slows down (the limits on failures are off). The server has both cores, as a small machine would.
fn wrong_passwords(folder: &Path, pair: &Certificate) {
    let server = Server::start_on(folder, pair, "0,1");
    for (case, attacked) in [("in peace", false), ("while 64 clients send wrong passwords", true)] {
        let attack = attacked.then(|| server.load(LOGIN, Some("alice:wrong"), Duration::from_secs(8), "64", "0,1"));
        std::thread::sleep(Duration::from_secs(1));
        let mut times: Vec<Duration> = Vec::new();
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(5) {
            let asked = Instant::now();
            assert_eq!(server.get(ANONYMOUS, ""), Some(200));
            times.push(asked.elapsed());
            std::thread::sleep(Duration::from_millis(2));
        }
        times.sort();
        let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1000.0;
        println!("anonymous token {case}: median {:.1} ms, p99 {:.1} ms ({} requests)", at(0.5), at(0.99), times.len());
        if let Some(mut attack) = attack {
            attack.wait().unwrap();
        }
    }
}
