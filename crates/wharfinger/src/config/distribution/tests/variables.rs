//! The variables that people set, one by one.

use super::translated;
use crate::config::distribution::environment::Variables;
use crate::config::distribution::names;

const FILE: &str = include_str!("registry-2.8-image.yml");

fn with(pairs: &[(&str, &str)]) -> (String, String) {
    let pairs: Variables = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    translated(FILE, pairs)
}

/// As in the manuals: the image's file, and a variable that changes one setting.
#[test]
fn one_variable_changes_one_setting() {
    for (name, value, ours) in [
        (
            "REGISTRY_HTTP_ADDR",
            "0.0.0.0:443",
            "server.addr = \"0.0.0.0:443\"",
        ),
        ("REGISTRY_HTTP_NET", "unix", "server.net = \"unix\""),
        (
            "REGISTRY_HTTP_HOST",
            "https://r.example",
            "server.public_url = \"https://r.example\"",
        ),
        (
            "REGISTRY_HTTP_PREFIX",
            "/a/b/",
            "server.path_prefix = \"/a/b\"",
        ),
        (
            "REGISTRY_HTTP_RELATIVEURLS",
            "true",
            "registry.relative_urls = true",
        ),
        (
            "REGISTRY_HTTP_TLS_CERTIFICATE",
            "/certs/domain.crt",
            "server.certificate = \"/certs/domain.crt\"",
        ),
        (
            "REGISTRY_HTTP_TLS_KEY",
            "/certs/domain.key",
            "server.key = \"/certs/domain.key\"",
        ),
        (
            "REGISTRY_HTTP_TLS_MINIMUMTLS",
            "tls1.3",
            "server.tls_min_version = \"TLS13\"",
        ),
        (
            "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY",
            "/data",
            "registry.storage.filesystem.root = \"/data\"",
        ),
        (
            "REGISTRY_STORAGE_DELETE_ENABLED",
            "true",
            "registry.storage.delete = true",
        ),
        (
            "REGISTRY_STORAGE_DELETE_ENABLED",
            "on",
            "registry.storage.delete = true",
        ),
        (
            "REGISTRY_STORAGE_MAINTENANCE_READONLY",
            "{\"enabled\": true}",
            "registry.storage.maintenance.readonly = true",
        ),
        (
            "REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED",
            "true",
            "registry.storage.maintenance.readonly = true",
        ),
        (
            "REGISTRY_STORAGE_MAINTENANCE_UPLOADPURGING_AGE",
            "72h",
            "registry.uploads.expire = \"3d\"",
        ),
        (
            "REGISTRY_LOG_LEVEL",
            "DEBUG",
            "server.log.level = \"debug\"",
        ),
        (
            "REGISTRY_LOG_FORMATTER",
            "json",
            "server.log.format = \"json\"",
        ),
        ("REGISTRY_LOGLEVEL", "warn", "server.log.level = \"warn\""),
        (
            "REGISTRY_CATALOG_MAXENTRIES",
            "50",
            "registry.catalog.max = 50",
        ),
        (
            "REGISTRY_HTTP_HEADERS_Access-Control-Allow-Origin",
            "[\"*\"]",
            "",
        ),
        (
            "REGISTRY_HTTP_HEADERS",
            "{X-A: [b, c]}",
            "registry.headers.X-A[1] = c",
        ),
    ] {
        let (changed, found) = with(&[(name, value)]);
        assert!(!found.contains("error"), "{name}: {found}");
        assert!(
            changed.lines().any(|line| line == ours) || ours.is_empty(),
            "{name}: no line {ours} in\n{changed}"
        );
    }
}

#[test]
fn a_variable_chooses_who_may_come_in() {
    let token = [
        ("REGISTRY_AUTH", "token"),
        ("REGISTRY_AUTH_TOKEN_ISSUER", "Acme auth server"),
        (
            "REGISTRY_AUTH_TOKEN_REALM",
            "https://auth.example.com:5001/auth",
        ),
        ("REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE", "/ssl/server.pem"),
        ("REGISTRY_AUTH_TOKEN_SERVICE", "Docker registry"),
    ];
    let (ours, found) = with(&token);
    assert!(
        !found.contains("error") && !found.contains("REGISTRY"),
        "{found}"
    );
    let auth: Vec<_> = ours
        .lines()
        .filter(|line| line.contains(".auth."))
        .collect();
    assert_eq!(
        auth,
        [
            "registry.auth.token.realm = \"https://auth.example.com:5001/auth\"",
            "registry.auth.token.service = \"Docker registry\"",
            "registry.auth.token.issuer = \"Acme auth server\"",
            "registry.auth.token.rootcertbundle = \"/ssl/server.pem\"",
        ]
    );
    // Without the word that chooses, the settings choose; the word alone says what is missing.
    assert_eq!(with(&token[1..]).0, ours);
    let (_, alone) = with(&token[..1]);
    assert!(
        alone.contains("REGISTRY_AUTH: error: auth.token.realm is missing"),
        "{alone}"
    );
}

/// What Kubernetes puts beside services named `registry`, `registry-auth`, `registry-storage`, …
#[test]
fn names_that_nobody_chose_only_warn() {
    let plain = with(&[]);
    for name in [
        "REGISTRY_PORT",
        "REGISTRY_SERVICE_HOST",
        "REGISTRY_PORT_5000_TCP_ADDR",
        "REGISTRY_AUTH_PORT",
        "REGISTRY_AUTH_SERVICE_HOST",
        "REGISTRY_AUTH_TOKEN_PORT_5001_TCP",
        "REGISTRY_AUTH_TOKEN_SERVICE_HOST",
        "REGISTRY_STORAGE_PORT_5000_TCP_PROTO",
        "REGISTRY_STORAGE_S3_SERVICE_HOST",
        "REGISTRY_HTTP_ADDR_PORT",
        "REGISTRY_PROXY_PORT",
        "REGISTRY_NOTIFICATIONS_SERVICE_PORT",
        "REGISTRY_",
    ] {
        let (ours, found) = with(&[(name, "tcp://10.0.0.1:5000")]);
        assert_eq!(ours, plain.0, "{name}");
        let line = found
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("{name}: {found}"));
        assert!(
            line.contains(": warning: no setting has this name, so it is ignored"),
            "{line}"
        );
        assert!(!found.contains("error"), "{found}");
    }
}

/// Every name that a variable may have is one that a reader of the file asks for.
#[test]
fn every_known_variable_is_asked_for() {
    let mut number = 0;
    for name in names::variables() {
        let (_, found) = with(&[(&name, "x")]);
        assert!(
            !found.contains("unknown key") && !found.contains("no setting has this name"),
            "{name}: {found}"
        );
        number += 1;
    }
    assert!(number > 80, "{number}");
}
