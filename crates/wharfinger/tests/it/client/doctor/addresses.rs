//! Where registry and token server are, and how they are spoken to.

use peers::{
    Auth, Nginx, RegistryConfig, TestCertificate, TestKeyKind, Trust, in_network, program,
};

use super::certificates::Wanted;
use super::{ALL, Made, ProbeReport, Stage, X5C, run_probes, token_server};
use crate::e2e::world::{ADMIN, program as ours, with_pair};

/// Addresses that other machines have: for documentation (RFC 5737), and in a private network (RFC
/// 1918).
const PUBLIC: &str = "203.0.113.5";
const PRIVATE: &str = "10.9.8.7";

/// A registry on [`PUBLIC`]:5000, our token server on port 5001 of every address, and the doctor,
/// in a network of their own.
fn elsewhere(made: Made, realm: Option<&str>, tls: bool, arguments: &[&str]) -> ProbeReport {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let key = TestCertificate::new(TestKeyKind::P256, path, "token");
    let shown = Wanted::for_this_machine()
        .at(PUBLIC)
        .write(path, "tls", None);
    let auth = realm.map(|realm| Auth::Token {
        realm: realm.to_owned(),
        service: "r".to_owned(),
        issuer: "Acme auth server".to_owned(),
        trust: Trust::Bundle(key.certificate.clone()),
    });
    let config = RegistryConfig {
        auth: auth.unwrap_or_default(),
        tls: tls.then(|| (shown.certificate.clone(), shown.key.clone())),
        ..RegistryConfig::default()
    };
    let file = config.write(path, format!("{PUBLIC}:5000").parse().unwrap());
    let rules = include_str!("../../e2e/world.yml").replace("@services@", "\"r\": {header: [x5c]}");
    let rules = with_pair(&rules.replace("@addr@", ":5001"), &key);
    std::fs::write(path.join("realm.yml"), rules).unwrap();
    let registry = match made {
        Made::Registry2 => program("docker-registry"),
        Made::Registry3 => program("registry"),
        Made::Ours => ours().to_owned(),
    };
    let script = format!(
        "cd {directory}; export HOME={directory} OTEL_TRACES_EXPORTER=none\n\
         unset http_proxy https_proxy all_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY DOCKER_CONFIG REGISTRY_AUTH_FILE XDG_RUNTIME_DIR\n\
         {registry} serve {file} >registry.log 2>&1 &\n\
         {ours} serve realm.yml >realm.log 2>&1 &\n\
         for url in {scheme}://{PUBLIC}:5000/v2/ http://127.0.0.1:5001/healthz; do\n\
             until {curl} -ks -o /dev/null $url; do sleep 0.1; done\n\
         done\n\
         echo {password} | exec {ours} doctor --json {arguments} {PUBLIC}:5000\n",
        directory = path.display(),
        registry = registry.display(),
        file = file.display(),
        ours = ours().display(),
        scheme = if tls { "https" } else { "http" },
        curl = program("curl").display(),
        password = ADMIN.1,
        arguments = arguments.join(" "),
    );
    ProbeReport::of(&in_network(&[PUBLIC, PRIVATE], &script), ADMIN.1)
}

#[test]
fn plain_http_where_https_is_expected() {
    for made in ALL {
        let report = elsewhere(made, None, false, &[]);
        let evidence = "203.0.113.5:5000 speaks plain http, but clients expect https";
        report.fails(
            &["registry-scheme"],
            evidence,
            "\"insecure-registries\": [\"203.0.113.5:5000\"]",
        );
        elsewhere(made, None, false, &["--plain-http"]).is_healthy();
        elsewhere(made, None, true, &["--ca-file", "tls.pem"]).is_healthy();
    }
}

#[test]
fn a_realm_that_only_the_registry_reaches() {
    for made in ALL {
        for realm in ["http://127.0.0.1:5001/auth", "http://localhost:5001/auth"] {
            let report = elsewhere(made, Some(realm), false, &["--plain-http"]);
            let evidence = format!("the realm {realm} points each client to its own machine");
            report.fails(&["realm-address"], &evidence, "auth.token.realm");
        }
        let private = elsewhere(
            made,
            Some("http://10.9.8.7:5001/auth"),
            false,
            &["--plain-http"],
        );
        private.warns(
            "realm-address",
            "is in a private network, but the registry is not",
            "auth.token.realm",
        );
        let own = elsewhere(
            made,
            Some("http://203.0.113.5:5001/auth"),
            false,
            &["--plain-http"],
        );
        own.is_healthy();
    }
}

#[test]
fn a_plain_http_realm_for_an_https_registry() {
    for made in ALL {
        let realm = Some("http://203.0.113.5:5001/auth");
        let login = [
            "--ca-file",
            "tls.pem",
            "--user",
            ADMIN.0,
            "--password-stdin",
        ];
        let report = elsewhere(made, realm, true, &login);
        let evidence =
            "the registry speaks https, but its realm http://203.0.113.5:5001/auth is plain http";
        report.fails(&["realm-scheme"], evidence, "crane and regctl refuse it");
        report.says(
            "login",
            "login not sent: the token server speaks plain http; see realm-scheme",
            "",
        );
    }
}

/// A registry whose realm is this.
fn with_realm(made: Made, realm: &str, arguments: &[&str]) -> ProbeReport {
    let directory = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::P256, directory.path(), "token");
    let auth = Auth::Token {
        realm: realm.to_owned(),
        service: "r".to_owned(),
        issuer: "Acme".to_owned(),
        trust: Trust::Bundle(pair.certificate),
    };
    let registry = made.start(&RegistryConfig {
        auth,
        ..RegistryConfig::default()
    });
    run_probes(&[arguments, &[&registry.host_port()]].concat(), "")
}

#[test]
fn realms_that_lead_nowhere() {
    let server = token_server("a.b.c");
    for made in ALL {
        let report = with_realm(made, "http://127.0.0.1:1/auth", &[]);
        report.fails(
            &["realm-reachable"],
            "http://127.0.0.1:1 cannot be reached",
            "auth.token.realm is an address that clients can reach",
        );
        let report = with_realm(made, "http://auth.invalid/auth", &[]);
        report.fails(
            &["realm-reachable"],
            "http://auth.invalid cannot be found by name",
            "auth.token.realm",
        );
        let report = with_realm(made, &format!("https://{}/auth", server.host_port()), &[]);
        report.fails(
            &["realm-reachable"],
            "speaks plain http",
            "write http:// in auth.token.realm",
        );
        let report = with_realm(made, &format!("http://{}/token", server.host_port()), &[]);
        report.fails(
            &["realm-reachable"],
            "/token responds 404",
            "docker_auth's is /auth",
        );
        let gone = Nginx::start("listen @listen@; location / { proxy_pass http://127.0.0.1:1; }");
        let report = with_realm(made, &format!("http://{}/auth", gone.host_port()), &[]);
        report.fails(
            &["realm-reachable"],
            "502 Bad Gateway",
            "start the token server",
        );
    }
}

#[test]
fn tls_where_plain_http_was_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let pair = Wanted::for_this_machine().write(directory.path(), "tls", None);
    for made in ALL {
        let tls = Some((pair.certificate.clone(), pair.key.clone()));
        let registry = made.start(&RegistryConfig {
            tls,
            ..RegistryConfig::default()
        });
        let proxy = super::tls_proxy(&registry, &pair, "");
        for host in [registry.host_port(), proxy.host_port()] {
            let report = run_probes(&["--plain-http", &host], "");
            report.fails(
                &["registry-scheme"],
                "speaks https, but was asked over plain http",
                "leave out --plain-http",
            );
        }
    }
    let stage = Stage::set(TestKeyKind::P256, Made::Registry2, &X5C);
    run_probes(&["--plain-http", &stage.registry.host_port()], "").is_healthy();
}
