//! `wharfinger inspect` against the registries themselves: what it foretells is what they answer
//! and log.
//!
//! Every token of a long list is shown to registry 2.8 and to registry 3 (3.0 and 3.1 differ: the
//! one that is installed), set up with certificates, with a JWKS, with certificates of keys whose
//! tokens carry a reissued one, and with expired ones. One registry runs for each version and set
//! of keys; all subjects of a set are in its one bundle.

mod subject;
mod tokens;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use peers::{Auth, RegistryConfig, RunningRegistry, Trust, http, registry2, registry3};
use serde_json::Value;
use subject::Subject;
use tempfile::TempDir;
use tokens::Token;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");
const ISSUER: &str = "Acme";
const SERVICE: &str = "registry.example.com";

/// Whom a registry trusts, in the file that it reads and the option that tells `inspect` of it.
struct Set {
    name: &'static str,
    trust: Trust,
    _folder: TempDir,
}

impl Set {
    fn bundle(name: &'static str, subjects: &[Subject]) -> Self {
        let text: String = subjects
            .iter()
            .flat_map(|subject| &subject.trusted)
            .map(token::Certificate::to_pem)
            .collect();
        Self::written(name, &text, "bundle.pem", Trust::Bundle)
    }

    /// Every subject's key as `wharfinger keys jwks` writes it.
    fn jwks(name: &'static str, subjects: &[Subject]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = subjects.iter().enumerate().map(|(index, subject)| {
            let file = folder.path().join(format!("{index}.key"));
            std::fs::write(&file, subject.key.to_pkcs8_pem().unwrap().as_bytes()).unwrap();
            file
        });
        let files: Vec<PathBuf> = files.collect();
        let text = peers::run(Command::new(PROGRAM).args(["keys", "jwks"]).args(files));
        Self::written(name, text.succeeded(), "jwks.json", Trust::Jwks)
    }

    fn written(name: &'static str, text: &str, file: &str, trust: fn(PathBuf) -> Trust) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(file);
        std::fs::write(&path, text).unwrap();
        Self {
            name,
            trust: trust(path),
            _folder: folder,
        }
    }

    fn config(&self) -> RegistryConfig {
        let auth = Auth::Token {
            realm: "http://127.0.0.1:1/auth".to_owned(),
            service: SERVICE.to_owned(),
            issuer: ISSUER.to_owned(),
            trust: self.trust.clone(),
        };
        RegistryConfig {
            auth,
            ..RegistryConfig::default()
        }
    }

    /// What `wharfinger inspect` foretells of `token` for registry `version`.
    fn predicted(&self, token: &str, version: &str) -> Value {
        let (option, file): (_, &Path) = match &self.trust {
            Trust::Bundle(path) => ("--certificate", path),
            Trust::Jwks(path) => ("--jwks", path),
        };
        let mut command = Command::new(PROGRAM);
        command.args([
            "inspect",
            "--json",
            "--issuer",
            ISSUER,
            "--service",
            SERVICE,
            "--registry",
            version,
            option,
        ]);
        let output = peers::run(command.arg(file).args(["--", token]));
        let report: Value = serde_json::from_str(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {output}"));
        let verdict = report["registries"][0].clone();
        assert_eq!(
            output.status.success(),
            verdict["verdict"] == "accepted",
            "{output}"
        );
        verdict
    }

    /// Shows every token to `registry` and gathers what came otherwise than predicted.
    fn differences(
        &self,
        registry: &RunningRegistry,
        version: &str,
        tokens: &[Token],
    ) -> Vec<String> {
        let differences = tokens.iter().filter_map(|token| {
            let predicted = self.predicted(&token.text, version);
            let what = difference(registry, &token.text, &predicted)?;
            Some(format!(
                "registry {version}, {}, {}: {what}",
                self.name, token.name
            ))
        });
        differences.collect()
    }
}

/// How a registry's answer differs from the one predicted.
fn difference(registry: &RunningRegistry, token: &str, predicted: &Value) -> Option<String> {
    let before = registry.log().len();
    let header = format!("Authorization: Bearer {token}");
    let status = http::request(&["-H", &header, &registry.url("/v2/")]).status;
    let said = || registry.log()[before..].to_owned();
    match (predicted["verdict"].as_str()?, status) {
        ("accepted", 200) => None,
        ("refused", 401) => {
            let logged = predicted["logged"].as_str()?;
            // The line may be written a moment after the answer.
            let found = (0..100).any(|_| holds(&said(), logged) || pause());
            (!found).then(|| format!("should have logged {logged:?}, but:\n{}", reasons(&said())))
        }
        (verdict, status) => Some(format!(
            "{status}, but predicted was {verdict} ({predicted}):\n{}",
            reasons(&said())
        )),
    }
}

/// The lines of a log that may hold a reason.
fn reasons(log: &str) -> String {
    let lines = log
        .lines()
        .filter(|line| line.contains("level=info") || line.contains("level=warning"));
    lines
        .map(|line| format!("  {}\n", line.split(" go.version=").next().unwrap_or(line)))
        .collect()
}

/// Whether a log, which writes messages between quotes, holds the message; `…` stands for anything.
fn holds(log: &str, message: &str) -> bool {
    let escaped = message.replace('\\', "\\\\").replace('"', "\\\"");
    log.lines().any(|line| {
        let mut rest = Some(line);
        for part in escaped.split('…') {
            rest = rest
                .and_then(|rest| rest.split_once(part))
                .map(|(_, rest)| rest);
        }
        rest.is_some()
    })
}

fn pause() -> bool {
    std::thread::sleep(Duration::from_millis(20));
    false
}

/// Starts the registries that can be set up with `set` and compares all their answers.
fn compare(set: &Set, tokens: &[Token]) {
    assert!(tokens.len() >= 15);
    let mut differences = Vec::new();
    match &set.trust {
        Trust::Bundle(_) => {
            differences.extend(set.differences(&registry2(&set.config()), "2.8", tokens));
        }
        Trust::Jwks(_) => {
            let predicted = set.predicted(&tokens[0].text, "2.8");
            assert_eq!(
                predicted["verdict"], "not applicable",
                "registry 2.8 reads no JWKS"
            );
        }
    }
    differences.extend(set.differences(&registry3(&set.config()), registry3_version(), tokens));
    assert!(
        differences.is_empty(),
        "{} of {}:\n{}",
        differences.len(),
        tokens.len(),
        differences.join("\n")
    );
}

#[test]
fn a_bundle() {
    let mut subjects = Subject::all();
    subjects.push(Subject::below_an_authority());
    let mut tokens = tokens::with_every_header(&subjects);
    tokens.extend(tokens::odd(&subjects));
    compare(&Set::bundle("bundle", &subjects), &tokens);
}

#[test]
fn a_key_set() {
    let subjects = Subject::all();
    let mut tokens = tokens::with_every_header(&subjects);
    tokens.extend(tokens::odd(&subjects));
    compare(&Set::jwks("jwks", &subjects), &tokens);
}

#[test]
fn reissued_certificates() {
    let mut subjects: Vec<Subject> = Subject::all().into_iter().map(Subject::reissued).collect();
    subjects.push(Subject::reissued_by_itself());
    compare(
        &Set::bundle("reissued", &subjects),
        &tokens::with_every_header(&subjects),
    );
}

#[test]
fn expired_certificates() {
    let subjects: Vec<Subject> = Subject::all().into_iter().map(Subject::expired).collect();
    compare(
        &Set::bundle("expired", &subjects),
        &tokens::with_every_header(&subjects),
    );
}

/// Which registry 3 is installed: 3.0 answers otherwise than 3.1, and each is predicted.
fn registry3_version() -> &'static str {
    let said = peers::run(Command::new(peers::program("registry")).arg("--version"));
    if said.succeeded().contains(" v3.0.") {
        "3.0"
    } else {
        "3.1"
    }
}

/// What `program serve` says when it refuses to start.
fn refusal_to_start(program: &str, set: &Set) -> String {
    let folder = tempfile::tempdir().unwrap();
    let (option, path) = match &set.trust {
        Trust::Bundle(path) => ("rootcertbundle", path),
        Trust::Jwks(path) => ("jwks", path),
    };
    let config = format!(
        "version: 0.1\nstorage: {{inmemory: {{}}}}\nhttp: {{addr: '127.0.0.1:0'}}\n\
         auth: {{token: {{realm: 'http://127.0.0.1:1/', service: s, issuer: i, {option}: '{}'}}}}\n",
        path.display()
    );
    let file = folder.path().join("config.yml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new(peers::program(program));
    peers::run(
        command
            .arg("serve")
            .arg(file)
            .env("OTEL_TRACES_EXPORTER", "none"),
    )
    .refused()
}

#[test]
fn keys_that_keep_a_registry_from_starting() {
    let ed25519 = Subject::new("Ed25519", token::KeyKind::Ed25519);
    let token = tokens::with_every_header(std::slice::from_ref(&ed25519)).remove(0);
    let set = Set::bundle("Ed25519", std::slice::from_ref(&ed25519));
    let predicted = set.predicted(&token.text, "2.8");
    assert_eq!(predicted["verdict"], "does not start");
    let said = refusal_to_start("docker-registry", &set);
    assert!(
        holds(&said, predicted["logged"].as_str().unwrap()),
        "{said}"
    );

    let text = r#"{"keys": [{"kty": "OKP", "crv": "X25519", "x": "AA", "kid": "a"}]}"#;
    let set = Set::written("X25519", text, "jwks.json", Trust::Jwks);
    let predicted = set.predicted(&token.text, registry3_version());
    assert_eq!(predicted["verdict"], "does not start");
    let said = refusal_to_start("registry", &set);
    assert!(
        holds(&said, predicted["logged"].as_str().unwrap()),
        "{said}"
    );
}
