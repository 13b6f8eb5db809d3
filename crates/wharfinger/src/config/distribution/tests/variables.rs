//! The variables that people set, one by one.

use super::translated;
use crate::config::context::Variables;
use crate::config::distribution::keys;

const FILE: &str = include_str!("registry-2.8-image.yml");

fn with(pairs: &[(&str, &str)]) -> (String, String) {
    let pairs: Variables = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    translated(FILE, pairs)
}

/// Variables as in the manuals, and the line that each of them changes; empty for one without a line.
const CHANGES: [(&str, &str, &str); 20] = [
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
        "registry.path_prefix = \"/a/b\"",
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
];

/// The image's file, and one variable.
#[test]
fn one_variable_changes_one_setting() {
    for (name, value, ours) in CHANGES {
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
            "registry.auth.token.service = \"Docker registry\"",
            "registry.auth.token.issuer = \"Acme auth server\"",
            "registry.auth.token.rootcertbundle = \"/ssl/server.pem\"",
            "registry.auth.token.realm = \"https://auth.example.com:5001/auth\"",
        ]
    );
    // Without the word that chooses, the settings choose; the word alone says what is missing.
    assert_eq!(with(&token[1..]).0, ours);
    let (_, alone) = with(&token[..1]);
    let missing = "REGISTRY_AUTH: error: auth.token: missing realm, service, issuer, rootcertbundle or jwks; \
                   set them in the file, or as REGISTRY_AUTH_TOKEN_REALM, REGISTRY_AUTH_TOKEN_SERVICE, \
                   REGISTRY_AUTH_TOKEN_ISSUER, REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE\n";
    assert_eq!(alone, missing, "one error says all");
}

/// What Kubernetes sets beside services whose names begin with `registry`, whatever comes behind.
#[test]
fn variables_of_services_are_ignored_with_one_note() {
    let plain = with(&[]);
    let mut all = Vec::new();
    for service in [
        "REGISTRY",
        "REGISTRY_AUTH",
        "REGISTRY_AUTH_TOKEN",
        "REGISTRY_STORAGE",
        "REGISTRY_STORAGE_S3",
        "REGISTRY_HTTP_ADDR",
        "REGISTRY_REDIS",
        "REGISTRY_REDIS_CACHE",
        "REGISTRY_LOG_FIELDS",
        "REGISTRY_HEALTH_FILE",
        "REGISTRY_PROXY",
        "REGISTRY_NOTIFICATIONS",
        "REGISTRY_UI",
    ] {
        for (name, value) in [
            ("SERVICE_HOST", "10.0.0.1"),
            ("SERVICE_PORT", "5000"),
            ("SERVICE_PORT_HTTP", "5000"),
            ("PORT", "tcp://10.0.0.1:5000"),
            ("PORT_5000_TCP", "tcp://10.0.0.1:5000"),
            ("PORT_5000_TCP_ADDR", "10.0.0.1"),
            ("PORT_5000_TCP_PORT", "5000"),
            ("PORT_5000_TCP_PROTO", "tcp"),
        ] {
            let name = format!("{service}_{name}");
            let (ours, found) = with(&[(&name, value)]);
            assert_eq!(ours, plain.0, "{name}");
            let expected = format!("{name}: note: ignored: set by Kubernetes or Docker");
            assert!(found.contains(&expected), "{name}: {found}");
            assert!(
                !found.contains("error") && !found.contains("warning"),
                "{found}"
            );
            all.push((name, value));
        }
    }
    let all: Vec<_> = all
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    let (ours, found) = with(&all);
    assert_eq!(ours, plain.0);
    assert_eq!(
        found.lines().count(),
        1 + plain.1.lines().count(),
        "{found}"
    );
}

#[test]
fn every_known_variable_is_asked_for() {
    let mut number = 0;
    for name in keys::variables() {
        let (_, found) = with(&[(&name, "x")]);
        assert!(
            !found.contains("unknown key") && !found.contains("no setting has this name"),
            "{name}: {found}"
        );
        number += 1;
    }
    assert!(number > 80, "{number}");
}

#[test]
fn an_unknown_key_of_an_endpoint_is_named_with_the_known_ones() {
    let endpoint = |key: &str| {
        let text = format!(
            "version: 0.1\nstorage: {{inmemory: {{}}}}\nnotifications: {{endpoints: [{{name: a, url: 'https://a', {key}: 1h}}]}}\n"
        );
        translated(&text, Variables::new()).1
    };
    for (key, hint) in [
        ("give_up", "; known keys: name, disabled, url, "),
        ("backof", "; did you mean `backoff`?"),
    ] {
        let expected = format!("unknown key `{key}` in `notifications.endpoints`{hint}");
        let found = endpoint(key);
        assert!(found.contains(&expected), "{found}");
    }
}
