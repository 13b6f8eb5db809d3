//! A walk over every key of Distribution: none is accepted without a word and without an effect.

use super::translated;
use crate::config::context::Variables;
use crate::config::distribution::keys::{self, ROWS};
use crate::config::distribution::translation::{Effect, variable_of};

/// A file with everything that other keys need.
const BASE: &str = "version: 0.1
storage: {filesystem: {rootdirectory: /data}}
auth: {token: {realm: \"https://a.example/token\", service: s, issuer: i, rootcertbundle: /b}}
http: {tls: {certificate: /c, key: /k}}
";

/// A value of each key that says something else than its default.
const VALUES: &[(&str, &str)] = &[
    ("version", "0.2"),
    ("log.level", "debug"),
    ("loglevel", "debug"),
    ("log.formatter", "json"),
    ("log.accesslog.disabled", "true"),
    ("storage.filesystem.rootdirectory", "/other"),
    ("storage.s3", "{bucket: b}"),
    ("storage.s3.accesskey", "AKID"),
    ("storage.s3.secretkey", "secret"),
    ("storage.s3.sessiontoken", "token"),
    ("storage.s3.region", "eu-central-1"),
    ("storage.s3.regionendpoint", "https://s3.example"),
    ("storage.s3.forcepathstyle", "true"),
    ("storage.s3.bucket", "b"),
    ("storage.s3.encrypt", "true"),
    ("storage.s3.secure", "false"),
    ("storage.s3.skipverify", "true"),
    ("storage.s3.keyid", "key"),
    ("storage.s3.chunksize", "10485760"),
    ("storage.s3.rootdirectory", "/registry"),
    ("storage.s3.storageclass", "STANDARD_IA"),
    ("storage.s3.useragent", "agent"),
    ("storage.s3.redirectendpoint", "https://images.example"),
    ("storage.redirect.disable", "true"),
    ("storage.inmemory", "{}"),
    ("storage.delete.enabled", "true"),
    ("storage.maintenance.readonly.enabled", "true"),
    ("storage.maintenance.uploadpurging.enabled", "false"),
    ("storage.maintenance.uploadpurging.age", "72h"),
    ("storage.maintenance.uploadpurging.interval", "24h"),
    ("storage.maintenance.uploadpurging.dryrun", "true"),
    ("auth.token.realm", "https://b.example/token"),
    ("auth.token.service", "other"),
    ("auth.token.issuer", "other"),
    ("auth.token.rootcertbundle", "/other"),
    ("auth.token.jwks", "/j"),
    ("auth.token.autoredirect", "true"),
    ("auth.token.signingalgorithms", "[ES256]"),
    ("http.addr", ":6000"),
    ("http.net", "unix"),
    ("http.host", "https://r.example"),
    ("http.prefix", "/registry/"),
    ("http.relativeurls", "true"),
    ("http.draintimeout", "60s"),
    ("http.tls.certificate", "/other"),
    ("http.tls.key", "/other"),
    ("http.tls.clientcas", "[/ca.pem]"),
    ("http.tls.minimumtls", "tls1.3"),
    (
        "http.tls.ciphersuites",
        "[TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]",
    ),
    (
        "http.tls.letsencrypt",
        "{email: a@example.com, cachefile: /no/such/directory, hosts: [r.example]}",
    ),
    ("http.headers", "{X-A: [b]}"),
    ("http.debug.addr", ":5001"),
    ("http.http2.disabled", "true"),
    ("notifications.events.includereferences", "true"),
    ("health", "{storagedriver: {enabled: true}}"),
    ("notifications.endpoints", "[{name: a, url: \"https://a\"}]"),
    ("catalog.maxentries", "7"),
    ("proxy", "{remoteurl: \"https://registry-1.docker.io\"}"),
    ("middleware.registry", "[{name: a}]"),
    ("middleware.repository", "[{name: a}]"),
    ("middleware.storage", "[{name: a}]"),
    ("compatibility.schema1.enabled", "true"),
    ("validation.manifests.urls", "{allow: [\"^https://\"]}"),
    (
        "validation.manifests.indexes",
        "{platforms: list, platformlist: [{os: linux, architecture: amd64}]}",
    ),
    ("policy.repository.classes", "[image]"),
    ("auth.htpasswd", "{realm: r, path: /p}"),
    ("auth.none", "{}"),
];

/// What says nothing alone, and why.
const SILENT: &[(&str, &str)] = &[
    ("storage", "its keys are here"),
    ("auth", "its keys are here"),
    ("storage.maintenance.uploadpurging", "its keys are here"),
    (
        "validation.disabled",
        "it only switches off what is beside it",
    ),
    (
        "http.h2c.enabled",
        "HTTP/2 without TLS is always understood",
    ),
    (
        "auth.token.autoredirectpath",
        "it only counts beside autoredirect",
    ),
    (
        "http.tls.letsencrypt.cachefile",
        "it is in http.tls.letsencrypt above",
    ),
    (
        "http.tls.letsencrypt.email",
        "it is in http.tls.letsencrypt above",
    ),
    (
        "http.tls.letsencrypt.hosts",
        "it is in http.tls.letsencrypt above",
    ),
    (
        "http.tls.letsencrypt.directoryurl",
        "it is in http.tls.letsencrypt above",
    ),
    ("http.debug", "its keys are here"),
    (
        "http.debug.prometheus.enabled",
        "it only counts beside http.debug.addr",
    ),
    (
        "http.debug.prometheus.path",
        "it only counts beside http.debug.addr",
    ),
    ("auth.htpasswd.realm", "it is in auth.htpasswd above"),
    ("auth.htpasswd.path", "it is in auth.htpasswd above"),
    ("storage.filesystem", "its keys are here"),
    ("auth.token", "its keys are here"),
    (
        "compatibility.schema1.signingkeyfile",
        "it only counts beside enabled",
    ),
    (
        "compatibility.schema1.trustkey",
        "it only counts beside enabled",
    ),
    ("validation.enabled", "what it switches on is on"),
];

#[test]
fn every_key_has_an_effect_or_is_named() {
    let base = translated(BASE, Variables::new());
    for row in ROWS {
        let is_known = |list: &[(&str, &str)]| list.iter().any(|(path, _)| *path == row.path);
        if is_known(SILENT) {
            continue;
        }
        let value = match (
            &row.effect,
            VALUES.iter().find(|(path, _)| *path == row.path),
        ) {
            (_, Some((_, value))) => *value,
            (Effect::Ineffective(_) | Effect::Refused(_), None) => "{x: y}",
            _ => panic!("no value for {}", row.path),
        };
        let variables = vec![(variable_of(row.path), value.to_owned())];
        let (ours, found) = translated(BASE, variables);
        let is_named = found.lines().any(|line| {
            let is_new = !base.1.contains(line);
            is_new && (line.contains(row.path) || line.contains("only one "))
        });
        let has_effect = !ours.is_empty() && ours != base.0;
        assert!(is_named || has_effect, "{}:\n{ours}{found}", row.path);
    }
}

/// What [`BASE`] says, as variables.
const BASE_VARIABLES: &[(&str, &str)] = &[
    ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "/data"),
    ("REGISTRY_AUTH_TOKEN_REALM", "https://a.example/token"),
    ("REGISTRY_AUTH_TOKEN_SERVICE", "s"),
    ("REGISTRY_AUTH_TOKEN_ISSUER", "i"),
    ("REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE", "/b"),
    ("REGISTRY_HTTP_TLS_CERTIFICATE", "/c"),
    ("REGISTRY_HTTP_TLS_KEY", "/k"),
];

/// The other dialect's two forms: each key in the file has the effect of its variable.
#[test]
fn a_key_in_the_file_has_the_effect_of_its_variable() {
    let mut compared = 0;
    for (path, value) in VALUES {
        // The variable is another program's more often than not.
        if *path == "version" {
            continue;
        }
        let name = variable_of(path);
        let others = BASE_VARIABLES.iter().filter(|(other, _)| *other != name);
        let mut variables: Variables = others
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let keys: Vec<_> = path.split('.').collect();
        let (open, close) = (keys.join(": {"), "}".repeat(keys.len() - 1));
        let in_file = translated(
            &format!("version: 0.1\n{open}: {value}{close}\n"),
            variables.clone(),
        );
        variables.push((name.clone(), (*value).to_owned()));
        let as_variable = translated("version: 0.1\n", variables);
        let sorted = |ours: &str| {
            let mut lines: Vec<_> = ours.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(
            sorted(&in_file.0),
            sorted(&as_variable.0),
            "{path}:\n{}\n{}",
            in_file.1,
            as_variable.1
        );
        compared += 1;
    }
    assert!(compared > 40, "{compared}");
}

/// What Distribution's own file says needs no warning, and anything else does.
#[test]
fn only_what_differs_from_the_image_s_file_warns() {
    for row in ROWS.iter().filter(|row| row.stock.is_some()) {
        let said = |value: &str| {
            let name = variable_of(row.path);
            translated(BASE, vec![(name, value.to_owned())]).1
        };
        assert_eq!(said(row.stock.unwrap()), "", "{}", row.path);
        assert!(said("{x: y}").contains(row.path), "{}", row.path);
    }
    let image = include_str!("registry-2.8-image.yml");
    let (_, found) = translated(image, Variables::new());
    assert!(
        !found.contains("warning") && !found.contains("error"),
        "{found}"
    );
}

#[test]
fn every_key_of_ours_has_one_name_there() {
    for row in ROWS {
        if let Some(ours) = row.ours {
            assert_eq!(keys::name_of(ours), Some(row.path));
        }
    }
}
