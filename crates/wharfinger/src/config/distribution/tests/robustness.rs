//! Whatever a file and the environment hold, it is either translated or refused with a word.

use proptest::prelude::*;

use super::translated;
use crate::config::distribution::keys;

/// Words of the dialect and of YAML, thrown together.
fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "version",
        "log",
        "level",
        "fields",
        "storage",
        "filesystem",
        "rootdirectory",
        "s3",
        "delete",
        "enabled",
        "maintenance",
        "readonly",
        "uploadpurging",
        "age",
        "auth",
        "token",
        "realm",
        "htpasswd",
        "path",
        "silly",
        "http",
        "addr",
        "tls",
        "certificate",
        "clientcas",
        "headers",
        "letsencrypt",
        "notifications",
        "endpoints",
        "proxy",
        "wharfinger",
        "registry",
        "<<",
    ]);
    let value = prop::sample::select(vec![
        "",
        "~",
        "{}",
        "[]",
        "x",
        "0.1",
        "-1",
        "\"5\"",
        "[~, a]",
        "{a: b}",
        "5m",
        "on",
        "*a",
        "&a x",
        "token",
        "filesystem",
        "{enabled: true}",
        "{token: {realm: r}}",
        "[{disabled: true}]",
        "/",
        "é",
        "${env:NONE}",
    ]);
    ("( |  |    |- |  - )?", key, value)
        .prop_map(|(indent, key, value)| format!("{indent}{key}: {value}\n"))
}

fn variable() -> impl Strategy<Value = (String, String)> {
    let known: Vec<String> = keys::variables().collect();
    let name = prop_oneof![
        prop::sample::select(known),
        "REGISTRY_(AUTH|STORAGE|HTTP|LOG|HTTP_TLS_CLIENTCAS|MIDDLEWARE_STORAGE)(_[A-Z0-9]{0,3}){0,3}",
    ];
    let value = prop_oneof![
        "[a-z0-9{}\\[\\],:&*'\" ~/$-]{0,12}",
        Just("token".to_owned()),
        Just("filesystem".to_owned())
    ];
    (name, value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nothing_is_a_surprise(
        lines in prop::collection::vec(line(), 0..12),
        variables in prop::collection::vec(variable(), 0..5),
    ) {
        let (ours, found) = translated(&format!("version: 0.1\n{}", lines.concat()), variables);
        prop_assert!(!ours.is_empty() || found.contains(": error: "), "{found}");
    }
}
