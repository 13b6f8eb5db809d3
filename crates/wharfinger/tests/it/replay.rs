//! Two thousand recorded responses of `docker_auth`, compared with ours.
//!
//! Each of 80 configuration files starts our server as it started `docker_auth`, and 25 requests
//! are sent to it. The status, the token's subject and what it grants must be the same, except for
//! the differences that [`deliberate_difference`] names. The manual lists them under "Differences
//! from docker_auth".

use std::fs::File;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use peers::{http, program, run};
use serde::Deserialize;
use tempfile::TempDir;

use crate::wire::{Connection, claims};

const RECORDED: &str = include_str!("../vectors/docker_auth-decisions.jsonl");

#[derive(Deserialize)]
struct Case {
    config: String,
    requests: Vec<Request>,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: Option<String>,
    status: u16,
    sub: Option<String>,
    access: Option<Vec<Entry>>,
}

/// Type, name and actions.
type Entry = (String, String, Vec<String>);

/// What is compared of a response: the status and, if it is 200, the subject and the access that
/// grants something.
type Outcome = (u16, Option<String>, Option<Vec<Entry>>);

#[test]
fn docker_auth_s_recorded_answers() {
    let cases: Vec<Case> = RECORDED
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(cases.len(), 80);
    let keys = tempfile::tempdir().unwrap();
    make_keys(keys.path());
    let next = AtomicUsize::new(0);
    let replayed = AtomicUsize::new(0);
    let differences = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((index, case)) = cases
                    .iter()
                    .enumerate()
                    .nth(next.fetch_add(1, Ordering::Relaxed))
                {
                    replayed.fetch_add(
                        replay(index, case, keys.path(), &differences),
                        Ordering::Relaxed,
                    );
                }
            });
        }
    });
    assert_eq!(replayed.into_inner(), 1_999);
    let differences = differences.into_inner().unwrap();
    assert!(
        differences.is_empty(),
        "{} unexplained:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

/// Replays one file's requests, notes unexplained differences, and returns the number of requests.
fn replay(index: usize, case: &Case, keys: &Path, differences: &Mutex<Vec<String>>) -> usize {
    let running = Running::start(&case.config, keys);
    let mut connection = (running.scheme == "http").then(|| Connection::open(&running.address));
    for request in &case.requests {
        let ours = match &mut connection {
            Some(connection) => send(connection, request),
            None => send_over_tls(&running.address, request),
        };
        let theirs = recorded(request);
        let expected = deliberate_difference(request).unwrap_or(theirs);
        if ours != expected {
            let Request {
                method,
                url,
                headers,
                body,
                ..
            } = request;
            let difference =
                format!("{index}: {method} {url} {headers:?} {body:?}: {ours:?}, not {expected:?}");
            differences.lock().unwrap().push(difference);
        }
    }
    case.requests.len()
}

/// A server of a recorded file, in its own folder with the keys beside it.
struct Running {
    child: Child,
    /// `HOST:PORT`, or the path of a Unix socket.
    address: String,
    scheme: String,
    _folder: TempDir,
}

impl Running {
    fn start(config: &str, keys: &Path) -> Self {
        let folder = tempfile::tempdir().unwrap();
        symlink(keys, folder.path().join("keys")).unwrap();
        let config = config
            .replace("{{addr}}", "127.0.0.1:0")
            .replace("{{keys}}", keys.to_str().unwrap());
        std::fs::write(folder.path().join("auth.yml"), without_port(&config)).unwrap();
        let log = folder.path().join("log");
        let mut child = Command::new(env!("CARGO_BIN_EXE_wharfinger"))
            .arg("auth.yml")
            .current_dir(folder.path())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        loop {
            let text = std::fs::read_to_string(&log).unwrap();
            if let Some((address, scheme)) = listening(&text) {
                let path = folder.path().join(&address);
                let address = if address.ends_with(".sock") {
                    path.display().to_string()
                } else {
                    address
                };
                return Self {
                    child,
                    address,
                    scheme,
                    _folder: folder,
                };
            }
            assert!(
                child.try_wait().unwrap().is_none(),
                "it did not start:\n{text}\n{config}"
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The file with port 0 instead of the recorded port, which may be in use here.
fn without_port(config: &str) -> String {
    let line = |line: &str| match ["localhost:", "[::1]:"]
        .iter()
        .find_map(|host| line.find(host).map(|at| at + host.len()))
    {
        Some(port) if line.trim_start().starts_with("addr") => {
            let digits = line[port..].bytes().take_while(u8::is_ascii_digit).count();
            format!("{}0{}", &line[..port], &line[port + digits..])
        }
        _ => line.to_owned(),
    };
    config.split_inclusive('\n').map(line).collect()
}

/// The address and the scheme from the line of the log that says where the server listens.
fn listening(log: &str) -> Option<(String, String)> {
    let line = log
        .lines()
        .find(|line| line.contains("listening address="))?;
    let value = |name: &str| {
        Some(
            line.split_once(&format!("{name}=\""))?
                .1
                .split_once('"')?
                .0
                .to_owned(),
        )
    };
    Some((value("address")?, value("scheme")?))
}

/// Our response, if it differs on purpose.
fn deliberate_difference(request: &Request) -> Option<Outcome> {
    // docker_auth gives its front page to any method.
    if request.method == "POST" && request.status == 200 && request.sub.is_none() {
        return Some((405, None, None));
    }
    // A Basic header that cannot be read is a failed login; docker_auth takes it as anonymous.
    let basic = request
        .headers
        .iter()
        .find(|(name, _)| name == "Authorization")
        .map(|(_, value)| value.as_str())?;
    let (scheme, credentials) = basic.split_once(' ').unwrap_or((basic, ""));
    let readable = data_encoding::BASE64
        .decode(credentials.trim().as_bytes())
        .is_ok_and(|pair| pair.contains(&b':'));
    let refused =
        scheme.eq_ignore_ascii_case("basic") && !readable && matches!(request.status, 200 | 401);
    refused.then_some((401, None, None))
}

fn recorded(request: &Request) -> Outcome {
    (
        request.status,
        request.sub.clone(),
        request.access.clone().map(worth),
    )
}

fn send(connection: &mut Connection, request: &Request) -> Outcome {
    let headers: Vec<(&str, &str)> = request
        .headers
        .iter()
        .map(|(n, v)| (n.as_str(), v.as_str()))
        .collect();
    let answer = connection.request(
        &request.method,
        &request.url,
        &headers,
        request.body.as_deref(),
    );
    outcome(answer.status, &answer.body)
}

fn send_over_tls(address: &str, request: &Request) -> Outcome {
    let url = format!("https://{address}{}", request.url);
    let headers: Vec<String> = request
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    let mut arguments = vec!["--path-as-is", "--request", &request.method, &url];
    headers
        .iter()
        .for_each(|header| arguments.extend(["--header", header]));
    request
        .body
        .iter()
        .for_each(|body| arguments.extend(["--data-binary", body]));
    let answer = http::request(&arguments);
    outcome(answer.status, &answer.body)
}

fn outcome(status: u16, body: &str) -> Outcome {
    // The front page is no JSON.
    let answer = serde_json::from_str::<serde_json::Value>(body)
        .ok()
        .filter(|_| status == 200);
    let Some(answer) = answer else {
        return (status, None, None);
    };
    let claims = claims(answer["token"].as_str().unwrap());
    let access = claims["access"].as_array().unwrap().iter().map(|entry| {
        let text = |name: &str| entry[name].as_str().unwrap().to_owned();
        (
            text("type"),
            text("name"),
            serde_json::from_value(entry["actions"].clone()).unwrap(),
        )
    });
    (
        status,
        Some(claims["sub"].as_str().unwrap().to_owned()),
        Some(worth(access.collect())),
    )
}

/// The entries that grant something, as a set of sets, as they were recorded. `docker_auth` also
/// keeps those that grant nothing, and ours leaves them out.
fn worth(mut access: Vec<Entry>) -> Vec<Entry> {
    access.retain(|(_, _, actions)| !actions.is_empty());
    access
        .iter_mut()
        .for_each(|(_, _, actions)| actions.dedup());
    access.sort();
    access.dedup();
    access
}

/// The key pairs that the recorded files name, in every form that OpenSSL writes.
fn make_keys(folder: &Path) {
    let at = |name: &str| folder.join(name);
    let openssl = |arguments: &[&str], out: &PathBuf, key: Option<&PathBuf>| {
        let mut command = Command::new(program("openssl"));
        command.args(arguments).arg("-out").arg(out);
        if let Some(key) = key {
            command
                .arg(if arguments[0] == "req" { "-key" } else { "-in" })
                .arg(key);
        }
        run(&mut command).succeeded();
    };
    let certify = |name: &str| {
        let subject = [
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
        ];
        let arguments = [&["req", "-x509", "-days", "30"][..], &subject].concat();
        openssl(
            &arguments,
            &at(&format!("{name}.pem")),
            Some(&at(&format!("{name}.key"))),
        );
    };
    let rsa = [
        "genpkey",
        "-algorithm",
        "RSA",
        "-pkeyopt",
        "rsa_keygen_bits:2048",
    ];
    for name in ["rsa", "rsa-chain", "rsa-combined", "server"] {
        openssl(&rsa, &at(&format!("{name}.key")), None);
    }
    openssl(
        &["rsa", "-traditional"],
        &at("rsa-pkcs1.key"),
        Some(&at("rsa.key")),
    );
    for (name, curve) in [("ec256", "P-256"), ("ec384", "P-384"), ("ec521", "P-521")] {
        let curve = format!("ec_paramgen_curve:{curve}");
        openssl(
            &["genpkey", "-algorithm", "EC", "-pkeyopt", &curve],
            &at(&format!("{name}.key")),
            None,
        );
    }
    openssl(&["ec"], &at("ec256-sec1.key"), Some(&at("ec256.key")));
    // Without -noout the curve's parameters stand in front of the key.
    openssl(
        &["ecparam", "-name", "prime256v1", "-genkey"],
        &at("ec256-params.key"),
        None,
    );
    let names = [
        "rsa",
        "rsa-chain",
        "rsa-combined",
        "server",
        "rsa-pkcs1",
        "ec256",
        "ec384",
        "ec521",
        "ec256-sec1",
    ];
    names.into_iter().chain(["ec256-params"]).for_each(certify);
    // A bundle of two: the first is the key's own. One file that holds both certificate and key.
    let append = |to: &str, from: &str| {
        let both =
            std::fs::read_to_string(at(to)).unwrap() + &std::fs::read_to_string(at(from)).unwrap();
        std::fs::write(at(to), both).unwrap();
    };
    append("rsa-chain.pem", "rsa.pem");
    append("rsa-combined.pem", "rsa-combined.key");
    std::fs::copy(at("rsa-combined.pem"), at("rsa-combined.key")).unwrap();
}
