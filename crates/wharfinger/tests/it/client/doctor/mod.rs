//! `wharfinger doctor` with real registries: healthy ones of each kind, and ones with each mistake
//! that people ask about. Every mistake is staged with registry 2.8, registry 3 and our own. Exactly
//! the probes that it concerns fail.

mod addresses;
mod certificates;
mod healthy;
mod keys;
mod logins;
mod promises;
mod proxies;
mod remedies;
mod storage;
mod tokens;

use std::fs;
use std::path::Path;
use std::process::Command;

use peers::{
    Auth, Nginx, Output, RegistryConfig, RunningRegistry, Server, TestCertificate, TestKeyKind,
    Trust, registry_of, registry2, registry3, run,
};
use serde_json::Value;

use super::runner::{User, code};
use crate::e2e::world::{program, serve, with_pair};

/// The registries that everything is staged with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    Registry2,
    Registry3,
    Ours,
}

const ALL: [Made; 3] = [Made::Registry2, Made::Registry3, Made::Ours];

impl Made {
    fn start(self, config: &RegistryConfig) -> RunningRegistry {
        match self {
            Self::Registry2 => registry2(config),
            Self::Registry3 => registry3(config),
            Self::Ours => registry_of(program(), config),
        }
    }

    /// Open to every client.
    fn open(self) -> RunningRegistry {
        self.start(&RegistryConfig::default())
    }
}

/// What the doctor says.
struct ProbeReport {
    probes: Vec<Value>,
    code: i32,
    made: String,
}

fn run_probes(arguments: &[&str], password: &str) -> ProbeReport {
    examine_as(&User::new(), arguments, password)
}

fn examine_as(user: &User, arguments: &[&str], password: &str) -> ProbeReport {
    let output = user.run_with(&[&["doctor", "--json"], arguments].concat(), password, &[]);
    ProbeReport::of(&output, password)
}

impl ProbeReport {
    /// Reads what the doctor printed, which keeps what is promised of it: the same members for the
    /// same probes each time, a remedy for each finding, and no secret.
    #[track_caller]
    fn of(output: &Output, password: &str) -> Self {
        let said = format!("{}{}", output.stdout, output.stderr);
        assert!(password.is_empty() || !said.contains(password), "{output}");
        // What every token's claims begin with.
        assert!(!said.contains(".eyJ"), "{output}");
        let json: Value =
            serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output}"));
        let members = |value: &Value| {
            value
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect::<Vec<_>>()
        };
        assert_eq!(members(&json), ["healthy", "probes"]);
        let report = Self {
            probes: json["probes"].as_array().unwrap().clone(),
            code: code(output),
            made: output.to_string(),
        };
        let text = |probe: &Value, member: &str| probe[member].as_str().map(str::to_owned);
        let ids: Vec<_> = report
            .probes
            .iter()
            .filter_map(|probe| text(probe, "id"))
            .collect();
        assert_eq!(ids, client::PROBES, "{output}");
        for probe in &report.probes {
            assert_eq!(members(probe), ["id", "verdict", "evidence", "remedy"]);
            let verdict = text(probe, "verdict").unwrap();
            assert!(
                ["ok", "warning", "failure", "not-tested"].contains(&verdict.as_str()),
                "{probe:#}"
            );
            assert!(
                text(probe, "evidence").is_some_and(|evidence| !evidence.is_empty()),
                "{probe:#}"
            );
            let has_remedy = text(probe, "remedy").is_some_and(|remedy| !remedy.is_empty());
            assert!(
                has_remedy || !["warning", "failure"].contains(&verdict.as_str()),
                "{probe:#}"
            );
        }
        assert_eq!(json["healthy"], report.with("failure").is_empty());
        assert_eq!(
            report.code,
            i32::from(!report.with("failure").is_empty()),
            "{output}"
        );
        report
    }

    fn with(&self, verdict: &str) -> Vec<&str> {
        let probes = self
            .probes
            .iter()
            .filter(|probe| probe["verdict"] == verdict);
        probes.map(|probe| probe["id"].as_str().unwrap()).collect()
    }

    /// Exactly these failed and nothing is doubtful; the first says these words.
    #[track_caller]
    fn fails(&self, ids: &[&str], evidence: &str, remedy: &str) {
        assert_eq!(
            (&self.with("failure")[..], self.with("warning")),
            (ids, vec![]),
            "{}",
            self.made
        );
        self.says(ids[0], evidence, remedy);
    }

    /// Nothing failed, and exactly this is doubtful.
    #[track_caller]
    fn warns(&self, id: &str, evidence: &str, remedy: &str) {
        assert_eq!(
            (self.with("failure"), self.with("warning")),
            (vec![], vec![id]),
            "{}",
            self.made
        );
        self.says(id, evidence, remedy);
    }

    #[track_caller]
    fn says(&self, id: &str, evidence: &str, remedy: &str) {
        let probe = self.probes.iter().find(|probe| probe["id"] == id).unwrap();
        let text = |member: &str| probe[member].as_str().unwrap_or_default().to_owned();
        assert!(
            text("evidence").contains(evidence) && text("remedy").contains(remedy),
            "{probe:#}"
        );
    }

    #[track_caller]
    fn is_healthy(&self) {
        assert_eq!(
            (self.with("failure"), self.with("warning")),
            (vec![], vec![]),
            "{}",
            self.made
        );
    }
}

/// A token server that always issues one token, a registry that accepts `trust`, and the key.
struct Stage {
    _token_server: Nginx,
    registry: RunningRegistry,
    directory: tempfile::TempDir,
    pair: TestCertificate,
}

/// TransportOptions of `wharfinger token` for a token that names its key by its certificate.
const X5C: [&str; 4] = ["--header", "x5c", "--certificate", "@certificate@"];

impl Stage {
    /// `options` make the token; the registry accepts the key that signs it.
    fn set(kind: TestKeyKind, made: Made, options: &[&str]) -> Self {
        Self::with_bundle(kind, made, options, None)
    }

    /// The registry accepts the keys of `bundle`.
    fn with_bundle(kind: TestKeyKind, made: Made, options: &[&str], bundle: Option<&Path>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let pair = TestCertificate::new(kind, directory.path(), "token");
        let token = token(&pair, options);
        let trust = Trust::Bundle(bundle.map_or_else(|| pair.certificate.clone(), Path::to_owned));
        Self::handing_out(&token, directory, pair, made, trust)
    }

    fn handing_out(
        token: &str,
        directory: tempfile::TempDir,
        pair: TestCertificate,
        made: Made,
        trust: Trust,
    ) -> Self {
        let server = token_server(token);
        let realm = format!("http://{}/auth", server.host_port());
        let auth = Auth::Token {
            realm,
            service: "r".to_owned(),
            issuer: "Acme".to_owned(),
            trust,
        };
        let registry = made.start(&RegistryConfig {
            auth,
            ..RegistryConfig::default()
        });
        Self {
            _token_server: server,
            registry,
            directory,
            pair,
        }
    }

    fn run_probes(&self, arguments: &[&str]) -> ProbeReport {
        run_probes(&[arguments, &[&self.registry.host_port()]].concat(), "")
    }

    /// With the registry's bundle at hand.
    fn examine_with(&self, bundle: &Path) -> ProbeReport {
        self.run_probes(&["--rootcertbundle", &bundle.display().to_string()])
    }
}

/// Our token server, with the users and rules of the end-to-end tests.
struct Realm {
    server: Server,
    pair: TestCertificate,
    _directory: tempfile::TempDir,
}

impl Realm {
    fn start() -> Self {
        Self::with_rules(str::to_owned)
    }

    /// With other rules.
    fn with_rules(change: impl Fn(&str) -> String) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let pair = TestCertificate::new(TestKeyKind::P256, directory.path(), "token");
        // All registries accept a certificate in the header.
        let config = change(include_str!("../../e2e/world.yml"))
            .replace("@services@", "\"r\": {header: [x5c]}");
        Self {
            server: serve(&with_pair(&config, &pair)),
            pair,
            _directory: directory,
        }
    }

    /// The settings of a registry that accepts its tokens.
    fn auth(&self) -> Auth {
        Auth::Token {
            realm: self.server.url("/auth"),
            service: "r".to_owned(),
            issuer: "Acme auth server".to_owned(),
            trust: Trust::Bundle(self.pair.certificate.clone()),
        }
    }

    fn registry(&self, made: Made) -> RunningRegistry {
        made.start(&RegistryConfig {
            auth: self.auth(),
            ..RegistryConfig::default()
        })
    }
}

/// A token of `wharfinger token`; `@certificate@` stands for the pair's.
fn token(pair: &TestCertificate, options: &[&str]) -> String {
    let mut command = Command::new(program());
    command
        .args(["token", "--expires", "900", "--key"])
        .arg(&pair.key);
    for (option, value) in [
        ("--issuer", "Acme"),
        ("--service", "r"),
        ("--header", "kid"),
    ] {
        command.args(
            [option, value]
                .iter()
                .filter(|_| !options.contains(&option)),
        );
    }
    let certificate = pair.certificate.display().to_string();
    let given = options
        .iter()
        .map(|option| option.replace("@certificate@", &certificate));
    run(command.args(given)).succeeded().to_owned()
}

fn token_server(token: &str) -> Nginx {
    Nginx::start(&format!(
        "listen @listen@; location /auth {{ default_type application/json; return 200 '{{\"token\":\"{token}\"}}'; }}"
    ))
}

/// nginx before `registry`, with `directives` for everything and `more` beside that.
fn proxy(registry: &RunningRegistry, directives: &str, more: &str) -> Nginx {
    let upstream = registry.host_port();
    Nginx::start(&format!(
        "listen @listen@; {more} location / {{ proxy_pass http://{upstream}; {directives} }}"
    ))
}

/// The same, speaking TLS with `pair`.
fn tls_proxy(registry: &RunningRegistry, pair: &TestCertificate, directives: &str) -> Nginx {
    let (upstream, tls) = (registry.host_port(), tls(pair));
    Nginx::start(&format!(
        "listen @listen@ ssl; {tls} location / {{ proxy_pass http://{upstream}; {directives} }}"
    ))
}

fn tls(pair: &TestCertificate) -> String {
    format!(
        "ssl_certificate {}; ssl_certificate_key {};",
        pair.certificate.display(),
        pair.key.display()
    )
}

/// libtrust id and thumbprint of a certificate's key.
fn key_ids(certificate: &Path) -> (String, String) {
    let text = fs::read_to_string(certificate).unwrap();
    let certificate = ::token::Certificate::bundle_from_pem(&text)
        .unwrap()
        .remove(0);
    let key = certificate.public_key().unwrap();
    (key.libtrust_id(), key.thumbprint())
}
