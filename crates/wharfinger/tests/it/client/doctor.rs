//! `wharfinger doctor` before real registries: healthy ones of each kind, and ones that were set up wrong in each way that
//! people ask about.

use std::fs;
use std::path::Path;
use std::process::Command;

use peers::{Auth, Certificate, Image, KeyKind, Nginx, Registry, RegistryConfig, Trust, registry2, registry3, run};
use serde_json::Value;

use super::runner::{User, code};
use crate::e2e::world::{ADMIN, Memory, World};

/// What the doctor says.
struct Report {
    probes: Vec<Value>,
    code: i32,
}

fn examine(arguments: &[&str], password: &str) -> Report {
    let output = User::new().run_with(&[&["doctor", "--json"], arguments].concat(), password, &[]);
    let json: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|_| panic!("{output}"));
    assert_eq!(json["healthy"].as_bool().unwrap(), code(&output) == 0);
    Report { probes: json["probes"].as_array().unwrap().clone(), code: code(&output) }
}

impl Report {
    fn with(&self, verdict: &str) -> Vec<&str> {
        let probes = self.probes.iter().filter(|probe| probe["verdict"] == verdict);
        probes.map(|probe| probe["id"].as_str().unwrap()).collect()
    }

    /// Exactly these failed; the first says these words.
    #[track_caller]
    fn fails(&self, ids: &[&str], evidence: &str, remedy: &str) {
        assert_eq!(self.with("failure"), ids, "{:#?}", self.probes);
        self.says(ids[0], evidence, remedy);
        assert_eq!(self.code, 1);
    }

    #[track_caller]
    fn says(&self, id: &str, evidence: &str, remedy: &str) {
        let probe = self.probes.iter().find(|probe| probe["id"] == id).unwrap();
        let text = |member: &str| probe[member].as_str().unwrap_or_default().to_owned();
        assert!(text("evidence").contains(evidence) && text("remedy").contains(remedy), "{probe:#}");
    }

    #[track_caller]
    fn is_healthy(&self) {
        assert_eq!((self.with("failure"), self.with("warning"), self.code), (vec![], vec![], 0), "{:#?}", self.probes);
    }
}

#[test]
fn healthy_registries_of_every_kind() {
    for kind in [KeyKind::P256, KeyKind::Rsa] {
        let world = World::start(kind, Memory::None);
        let image = Image::saying("healthy");
        for registry in &world.registries {
            let (host, user) = (registry.host_port(), User::new());
            user.login(ADMIN, &host).succeeded();
            let (layout, name) = (format!("oci:{}", image.layout().display()), format!("{host}/team/app:1"));
            user.run(&["push", "-q", &layout, &name]).succeeded();
            let report = examine(&["--user", ADMIN.0, "--password-stdin", "--push", &name], ADMIN.1);
            report.is_healthy();
            report.says("push-body", "bodies of 2 and 110 MB arrive", "");
            report.says("token-access", "granted repository:team/app:pull,push", "");
        }
    }
    for registry in [registry2(&RegistryConfig::default()), registry3(&RegistryConfig::default())] {
        let report = examine(&[&registry.host_port()], "");
        report.is_healthy();
        report.says("registry-challenge", "asks nobody who he is", "");
    }
}

/// A token server that always hands out one token, a registry that believes `trust`, and the key.
struct Stage {
    _token_server: Nginx,
    registry: Registry,
    directory: tempfile::TempDir,
    pair: Certificate,
}

impl Stage {
    /// `options` make the token; `bundle` is what the registry is given.
    fn set(kind: KeyKind, start: fn(&RegistryConfig) -> Registry, options: &[&str], bundle: Option<&Path>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let pair = Certificate::new(kind, directory.path(), "token");
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
        command.args(["token", "--expires", "900", "--key"]).arg(&pair.key);
        for (option, value) in [("--issuer", "Acme"), ("--service", "r"), ("--header", "kid")] {
            command.args([option, value].iter().filter(|_| !options.contains(&option)));
        }
        let given =
            options.iter().map(|option| option.replace("@certificate@", &pair.certificate.display().to_string()));
        let token = run(command.args(given));
        let server = Nginx::start(&format!(
            "listen @listen@; location /auth {{ default_type application/json; return 200 '{{\"token\":\"{}\"}}'; }}",
            token.succeeded()
        ));
        let bundle = bundle.map_or_else(|| pair.certificate.clone(), Path::to_owned);
        let auth = Auth::Token {
            realm: format!("http://{}/auth", server.host_port()),
            service: "r".to_owned(),
            issuer: "Acme".to_owned(),
            trust: Trust::Bundle(bundle),
        };
        let registry = start(&RegistryConfig { auth, ..RegistryConfig::default() });
        Self { _token_server: server, registry, directory, pair }
    }

    fn examine(&self, arguments: &[&str]) -> Report {
        examine(&[arguments, &[&self.registry.host_port()]].concat(), "")
    }

    /// A file that says what the registry wants, as its own configuration does.
    fn config(&self, issuer: &str, service: &str) -> String {
        let path = self.directory.path().join("registry.yml");
        let text = format!("version: 0.1\nauth:\n  token: {{realm: x, issuer: {issuer:?}, service: {service:?}}}\n");
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }
}

const BOTH: [fn(&RegistryConfig) -> Registry; 2] = [registry2, registry3];

#[test]
fn a_key_that_is_not_in_the_bundle() {
    for kind in [KeyKind::Rsa, KeyKind::P256] {
        for start in BOTH {
            let directory = tempfile::tempdir().unwrap();
            let other = Certificate::new(kind, directory.path(), "other").certificate;
            let stage = Stage::set(kind, start, &[], Some(&other));
            // Without the bundle at hand it can only be said that the token is not believed.
            let blind = stage.examine(&[]);
            blind.fails(&["token-accepted"], "401", "--rootcertbundle FILE");
            let seen = stage.examine(&["--rootcertbundle", &other.display().to_string()]);
            seen.fails(&["token-key", "token-accepted"], "token signed by untrusted key with ID", "rootcertbundle");
            let ids = key_ids(&other);
            seen.says(
                "token-key",
                &format!("the token names its key by kid {}", key_ids(&stage.pair.certificate).0),
                "",
            );
            seen.says("token-key", &format!("the bundle has {} (libtrust), {}", ids.0, ids.1), "");
        }
    }
}

#[test]
fn a_key_id_of_the_other_version() {
    for (start, kind_of_id, wanted) in [(BOTH[0], "thumbprint", "2.8"), (BOTH[1], "libtrust", "3.1")] {
        let stage = Stage::set(KeyKind::Rsa, start, &["--key-id", kind_of_id], None);
        let bundle = stage.pair.certificate.display().to_string();
        let report = stage.examine(&["--rootcertbundle", &bundle]);
        report.fails(&["token-accepted"], "401", "token.key_id:");
        report.says("token-key", &format!("{wanted} does not"), "for those that do not");
    }
}

#[test]
fn a_certificate_that_was_made_anew() {
    for start in BOTH {
        let directory = tempfile::tempdir().unwrap();
        let reissued = directory.path().join("old.pem");
        let stage = Stage::set(KeyKind::Rsa, start, &["--header", "x5c", "--certificate", "@certificate@"], None);
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-new", "-days", "10", "-subj", "/CN=renewed", "-key"]).arg(&stage.pair.key);
        run(command.arg("-out").arg(&reissued)).succeeded();
        let report = stage.examine(&["--rootcertbundle", &reissued.display().to_string()]);
        report.says("token-key", "x5c of 1 certificates", "the same key in another certificate");
        assert_eq!(report.with("failure"), ["token-key"], "the registry itself has the right one");
    }
}

#[test]
fn tokens_for_somebody_else() {
    for start in BOTH {
        let audience = Stage::set(KeyKind::Rsa, start, &["--header", "jwk", "--service", "other"], None);
        audience.examine(&[]).fails(
            &["token-claims", "token-accepted"],
            "intended for another audience",
            "to the letter",
        );
        let issuer = Stage::set(
            KeyKind::Rsa,
            start,
            &["--header", "x5c", "--certificate", "@certificate@", "--issuer", "Other"],
            None,
        );
        let config = issuer.config("Acme", "r");
        let report = issuer.examine(&["--config", &config]);
        report.fails(&["token-claims", "token-accepted"], "untrusted issuer: iss is \"Other\"", "auth.token.issuer");
        let x5c = ["--header", "x5c", "--certificate", "@certificate@"];
        let late = Stage::set(KeyKind::Rsa, start, &[&x5c[..], &["--not-before", "now+10m"]].concat(), None);
        late.examine(&[]).fails(&["token-claims", "token-accepted"], "not to be used before", "NTP");
    }
}

#[test]
fn certificates_of_the_registry() {
    let directory = tempfile::tempdir().unwrap();
    let pair = Certificate::new(KeyKind::P256, directory.path(), "tls");
    let tls = Some((pair.certificate.clone(), pair.key.clone()));
    let registry = registry3(&RegistryConfig { tls, ..RegistryConfig::default() });
    let host = registry.host_port();
    let unknown = examine(&[&host], "");
    unknown.fails(
        &["registry-certificate"],
        "nobody who is trusted here signed",
        &format!("/etc/docker/certs.d/{host}/ca.crt"),
    );
    let trusted = pair.certificate.display().to_string();
    let report = examine(&["--ca-file", &trusted, &host], "");
    report.is_healthy();
    report.says("registry-certificate", "subjectAltName localhost, 127.0.0.1", "");

    for (extension, evidence) in
        [(None, "has no subjectAltName"), (Some("subjectAltName=DNS:other.example"), "is not for 127.0.0.1")]
    {
        let (certificate, key) = (directory.path().join("c.pem"), directory.path().join("c.key"));
        let mut command = Command::new("openssl");
        command.args(["req", "-x509", "-nodes", "-days", "30", "-newkey", "rsa:2048", "-subj", "/CN=127.0.0.1"]);
        command.args(extension.iter().flat_map(|extension| ["-addext", extension]));
        run(command.arg("-keyout").arg(&key).arg("-out").arg(&certificate)).succeeded();
        let tls = Some((certificate.clone(), key));
        let registry = registry3(&RegistryConfig { tls, ..RegistryConfig::default() });
        let report = examine(&["--ca-file", &certificate.display().to_string(), &registry.host_port()], "");
        report.fails(&["registry-certificate"], evidence, "IP:127.0.0.1");
    }
}

#[test]
fn a_proxy_with_a_limit_and_without_its_name() {
    let registry = registry2(&RegistryConfig::default());
    let upstream = registry.host_port();
    let limited = Nginx::start(&format!(
        "listen @listen@; client_max_body_size 1m; location / {{ proxy_pass http://{upstream}; proxy_set_header Host $http_host; }}"
    ));
    let report = examine(&["--push", &format!("{}/a", limited.host_port())], "");
    report.fails(&["push-body"], "a body of 2 MB", "client_max_body_size 0");
    report.says("push-body", "Server: nginx/", "");
    let nameless = Nginx::start(&format!(
        "listen @listen@; client_max_body_size 0; location / {{ proxy_pass http://{upstream}; proxy_redirect off; }}"
    ));
    let report = examine(&["--push", &format!("{}/a", nameless.host_port())], "");
    report.fails(&["push-location"], &format!("sends the upload to http://{upstream}"), "proxy_set_header Host");
    // nginx that asks for a password of its own before the registry's token.
    let stage = Stage::set(KeyKind::P256, registry2, &[], None);
    let stripped = Nginx::start(&format!(
        "listen @listen@; location / {{ proxy_pass http://{}; proxy_hide_header WWW-Authenticate; }}",
        stage.registry.host_port()
    ));
    examine(&[&stripped.host_port()], "").fails(
        &["registry-challenge"],
        "without a WWW-Authenticate",
        "proxy_hide_header",
    );
}

#[test]
fn replicas_without_a_common_secret() {
    let one = registry2(&RegistryConfig::default());
    let two = registry2(&RegistryConfig::default());
    let pool = Nginx::start_with(
        &format!("upstream pool {{ server {}; server {}; }}", one.host_port(), two.host_port()),
        "listen @listen@; location / { proxy_pass http://pool; proxy_set_header Host $http_host; }",
    );
    let report = examine(&["--push", &format!("{}/a", pool.host_port())], "");
    report.fails(&["push-session"], "is not known when asked", "http.secret");
}

#[test]
fn what_cannot_be_examined_ends_with_2() {
    for arguments in [
        &["doctor", "a b"][..],
        &["doctor", "--config", "nowhere.yml", "127.0.0.1:1"],
        &["doctor", "--rootcertbundle", "x", "127.0.0.1:1"],
    ] {
        let output = User::new().run(arguments);
        assert_eq!(code(&output), 2, "{output}");
    }
    let people = User::new().run(&["doctor", "127.0.0.1:1"]);
    assert_eq!(code(&people), 1, "{people}");
    assert!(people.stdout.contains("failure     registry-reachable"), "{people}");
}

/// libtrust id and thumbprint of a certificate's key, from the program's own key tools.
fn key_ids(certificate: &Path) -> (String, String) {
    let text = fs::read_to_string(certificate).unwrap();
    let certificate = token::Certificate::bundle_from_pem(&text).unwrap().remove(0);
    let key = certificate.public_key().unwrap();
    (key.libtrust_id(), key.thumbprint())
}
