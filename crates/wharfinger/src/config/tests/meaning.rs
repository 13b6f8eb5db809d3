//! What comes out of a file that is right: exactly docker_auth's YAML, defaults, files,
//! variables.

use std::time::Duration;

use ::token::{HeaderMember, KeyIdKind};
use policy::AclQuery;

use super::fixture::{Fixture, at};
use crate::config::{Config, ListenAddress};

fn config(fixture: &Fixture, text: &str) -> Config {
    match fixture.load(text) {
        Ok(loaded) => loaded.config,
        Err(wrong) => panic!("{text}\n{wrong}"),
    }
}

/// A token section with these settings besides a key.
fn with_token(settings: &str) -> String {
    format!(
        "@server\n@users\n@acl\ntoken:\n  key: \"{{{{dir}}}}/ec.key\"\n  certificate: \"{{{{dir}}}}/ec.pem\"\n{settings}"
    )
}

fn granted(config: &Config, account: &str, name: &str) -> Vec<String> {
    let labels = config
        .users
        .as_ref()
        .and_then(|users| users.find(account))
        .map(|user| user.labels.clone());
    let query = AclQuery {
        account,
        labels: &labels.unwrap_or_default(),
        resource_type: "repository",
        name,
        service: "",
        ip: None,
        actions: &["pull".to_owned(), "push".to_owned()],
    };
    config
        .acl
        .as_ref()
        .unwrap()
        .acl
        .decide(&query)
        .map(|decision| decision.granted)
        .unwrap_or_default()
}

#[test]
fn numbers_are_yaml_v2_s() {
    let fixture = Fixture::new();
    for (written, seconds) in [
        ("900", 900),
        ("1_000", 1000),
        ("0x100", 256),
        ("0170", 120),
        ("0b1000000", 64),
        ("1e3", 1000),
        ("900.7", 900),
        ("!!int \"900\"", 900),
        ("15m", 900),
        ("\"15m\"", 900),
        ("\"${env:EXPIRATION}\"", 600),
        ("${env:EXPIRATION}", 600),
    ] {
        let config = config(
            &fixture,
            &with_token(&format!("  issuer: I\n  expiration: {written}\n")),
        );
        assert_eq!(
            config.token.as_ref().unwrap().options.expiration,
            Duration::from_secs(seconds),
            "{written}"
        );
    }
}

#[test]
fn texts_keep_their_letters() {
    let fixture = Fixture::new();
    for (written, text) in [
        ("yes", "yes"),
        ("0x1F", "0x1F"),
        ("2024-01-02", "2024-01-02"),
        ("1_000", "1_000"),
        (".inf", ".inf"),
        ("\"a\\tb\"", "a\tb"),
        ("'it''s'", "it's"),
        (">-\n    two\n    lines", "two lines"),
        ("${env:ISSUER}", "From the environment"),
        ("<${env:ISSUER}>", "<From the environment>"),
    ] {
        let config = config(
            &fixture,
            &with_token(&format!("  expiration: 60\n  issuer: {written}\n")),
        );
        assert_eq!(config.token.as_ref().unwrap().issuer, text, "{written}");
    }
    let from_file = config(
        &fixture,
        &with_token("  expiration: 60\n  issuer_file: \"{{dir}}/issuer\"\n"),
    );
    assert_eq!(from_file.token.as_ref().unwrap().issuer, "From a file");
}

#[test]
fn booleans_are_yaml_1_1_s() {
    let fixture = Fixture::new();
    for (written, kind) in [
        ("yes", KeyIdKind::Thumbprint),
        ("on", KeyIdKind::Thumbprint),
        ("y", KeyIdKind::Thumbprint),
        ("No", KeyIdKind::Libtrust),
    ] {
        let text = with_token(&format!(
            "  expiration: 60\n  issuer: I\n  disable_legacy_key_id: {written}\n"
        ));
        assert_eq!(
            config(&fixture, &text).token.unwrap().options.key_id,
            kind,
            "{written}"
        );
    }
}

#[test]
fn nothing_is_the_empty_text_in_lists_and_names() {
    let fixture = Fixture::new();
    let users = "users:\n  null: {labels: {g: [~, a], h: }}\n  123: {}\n  yes: {}\n";
    let config = config(&fixture, &format!("@server\n@token\n@acl\n{users}"));
    let names: Vec<_> = config
        .users
        .as_ref()
        .unwrap()
        .iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["", "123", "yes"]);
    let anonymous = config.users.as_ref().unwrap().find("").unwrap();
    assert_eq!(anonymous.labels["g"], ["", "a"]);
    assert_eq!(anonymous.labels["h"], Vec::<String>::new());
}

#[test]
fn a_null_condition_is_any_and_a_null_label_is_the_empty_pattern() {
    let fixture = Fixture::new();
    let users = "users:\n  ann: {labels: {g: [\"\"]}}\n  bob: {labels: {g: [x]}}\n";
    let rules = "acl:\n  - match: {account: ~, name: , labels: {g: }}\n    actions: [pull]\n";
    let config = config(&fixture, &format!("@server\n@token\n{users}{rules}"));
    assert_eq!(granted(&config, "ann", "x"), ["pull"]);
    assert_eq!(granted(&config, "bob", "x"), Vec::<String>::new());
}

#[test]
fn merges_in_the_order_of_the_file() {
    let fixture = Fixture::new();
    // Settings are merged key by key, deep down; a `<<` behind a key replaces it.
    let rules = "acl:\n\
                 - &base {match: {account: ann, name: base}, actions: [pull]}\n\
                 - {<<: *base, match: {name: before}}\n\
                 - {match: {name: after, service: \"\"}, <<: *base}\n";
    let text = format!("@server\n@token\n@users\n{rules}");
    let merged = fixture.load(&text).unwrap().effective.to_string();
    for rule in [
        "  - {match: {account: \"ann\", name: \"base\"}, actions: [\"pull\"]}\n",
        "  - {match: {account: \"ann\", name: \"before\"}, actions: [\"pull\"]}\n",
        "  - {match: {account: \"ann\", name: \"base\", service: \"\"}, actions: [\"pull\"]}\n",
    ] {
        assert!(merged.contains(rule), "no {rule} in {merged}");
    }
    // Names are replaced whole: an account has no labels of an earlier one with its name.
    let users = "x-base: &base\n  ann: {labels: {g: [a]}}\nusers:\n  <<: *base\n  ann: {}\n";
    let users = config(&fixture, &format!("@server\n@token\n@acl\n{users}"))
        .users
        .unwrap();
    assert!(users.find("ann").unwrap().labels.is_empty());
    let users = "users:\n  ann: {labels: {g: [a]}}\n  <<: {ann: {labels: {h: [b]}}}\n";
    let users = config(&fixture, &format!("@server\n@token\n@acl\n{users}"))
        .users
        .unwrap();
    let labels = &users.find("ann").unwrap().labels;
    assert_eq!(labels.keys().collect::<Vec<_>>(), ["h"]);
}

#[test]
fn byte_order_marks_and_carriage_returns_say_nothing() {
    let fixture = Fixture::new();
    let text = with_token("  issuer: I\n  expiration: 60\n")
        .replace("@server", "\u{feff}server: {addr: \":1\"}");
    let text = text
        .replace("@acl", "acl: []")
        .replace("@users", "users: {}")
        .replace('\n', "\r\n");
    assert_eq!(config(&fixture, &text).server.listen.len(), 1);
}

#[test]
fn defaults() {
    let fixture = Fixture::new();
    let config = config(
        &fixture,
        "@server\n@token\n@users\n@acl\next_auth:\nlogin:\nldap_auth: ~\n",
    );
    assert_eq!(config.server.limits.header, 32 * 1024);
    assert_eq!(
        config.token.as_ref().unwrap().options.header,
        [HeaderMember::Kid]
    );
    assert_eq!(
        config.token.as_ref().unwrap().not_before_skew,
        Duration::from_secs(10)
    );
    assert_eq!(config.login, identity::LoginSettings::default());
    assert!(
        config.refresh_tokens.is_none() && config.database.is_none(),
        "a bare docker_auth file keeps nothing"
    );
    assert!(config.ext_auth.is_none() && config.server.tls.is_none());
    assert!(config.ldap_auth.is_none());
}

#[test]
fn either_word_turns_refresh_tokens_on() {
    let fixture = Fixture::new();
    let base = "@server\n@token\n@users\n@acl\n";
    let asked = config(&fixture, &format!("{base}refresh_tokens: {{idle: 2d}}\n"));
    assert_eq!(
        asked.refresh_tokens.unwrap().idle,
        Duration::from_secs(2 * 86_400)
    );
    assert_eq!(
        asked.database.unwrap().path(),
        Some(std::path::Path::new("/var/lib/here/wharfinger.db"))
    );
    let kept = config(
        &fixture,
        &format!("{base}database: {{url: \"sqlite:///data/w.db\"}}\n"),
    );
    assert_eq!(kept.refresh_tokens.unwrap().per_user, 100);
    assert_eq!(
        kept.database.unwrap().path(),
        Some(std::path::Path::new("/data/w.db"))
    );
}

#[test]
fn without_keys_of_its_own_a_token_is_signed_with_the_server_s() {
    let fixture = Fixture::new();
    let text = "@users\n@acl\nserver: {addr: \":1\", key: \"{{dir}}/rsa.key\", certificate: \"{{dir}}/rsa.pem\"}\n\
                token: {issuer: I, expiration: 60}\n";
    let loaded = fixture.load(text).unwrap();
    assert!(loaded.config.server.tls.is_some());
    assert_eq!(
        loaded.config.token.as_ref().unwrap().keys[0]
            .key
            .algorithm(),
        ::token::SignatureAlgorithm::RS256
    );
    let files: Vec<_> = loaded
        .files
        .iter()
        .map(|file| file.file_name().unwrap().to_str().unwrap())
        .collect();
    assert_eq!(
        files,
        ["c.yml", "rsa.pem", "rsa.key"],
        "each once, to be watched"
    );
}

#[test]
fn the_pair_signs_and_all_keys_are_published() {
    let fixture = Fixture::new();
    let keys = "  keys:\n    - {key: \"{{dir}}/rsa.key\", not_after: 2030-01-01}\n    - {key: \"{{dir}}/ed.key\"}\n";
    let services =
        "  services: {old: {key_id: libtrust, expiration: 2m}, new: {header: [kid, x5c]}}\n";
    let text = with_token(&format!(
        "  issuer: I\n  expiration: 60\n  key_id: thumbprint\n{keys}{services}"
    ));
    let token = config(&fixture, &text).token.unwrap();
    let algorithms: Vec<_> = token
        .keys
        .iter()
        .map(|key| key.key.algorithm().to_string())
        .collect();
    assert_eq!(algorithms, ["ES256", "RS256", "EdDSA"]);
    assert_eq!(token.keys[1].not_after, Some(at(1_893_456_000)));
    let (old, new) = (&token.services["old"], &token.services["new"]);
    assert_eq!(
        (old.key_id, old.expiration.as_secs(), &old.header[..]),
        (KeyIdKind::Libtrust, 120, &[HeaderMember::Kid][..])
    );
    assert_eq!(
        (new.key_id, new.expiration.as_secs()),
        (KeyIdKind::Thumbprint, 60)
    );
    assert_eq!(new.header, [HeaderMember::Kid, HeaderMember::X5c]);
}

/// docker_auth starts with such a hash, and verifies it for hours.
#[test]
fn a_hash_that_is_too_costly_warns_and_keeps_its_user_out() {
    let fixture = Fixture::new();
    let hash = "$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC";
    let costly = hash.replace("$05$", "$31$");
    let users = format!(
        "users:\n  ann: {{password: \"{costly}\"}}\n  bob: {{password: [\"{costly}\", \"{hash}\"]}}\n"
    );
    let loaded = fixture
        .load(&format!("@server\n@token\n@acl\n{users}"))
        .unwrap();
    let warning = "no password is accepted for it: bad bcrypt hash: its cost is 31, and none above 17 \
                   is verified: hash the password anew with `wharfinger hash`";
    let warnings = loaded.warnings.iter();
    let found = warnings.filter(|found| found.text().contains(warning));
    assert_eq!(found.count(), 2);
    let users = loaded.config.users.unwrap();
    let ann = &users.find("ann").unwrap().passwords;
    assert!(ann.len() == 1 && !ann[0].verify("badmin"));
    let bob = &users.find("bob").unwrap().passwords;
    assert!(!bob[0].verify("badmin") && bob[1].verify("badmin"));
}

#[test]
fn passwords_from_files_and_several() {
    let fixture = Fixture::new();
    let hash = "$2y$05$WuwBasGDAgr.QCbGIjKJaep4dhxeai9gNZdmBnQXqpKly57oNutya";
    let users = format!(
        "users:\n  ann: {{password_file: \"{{{{dir}}}}/hash\"}}\n  bob: {{password: [\"{hash}\", \"{hash}\"]}}\n\
         users_htpasswd: \"{{{{dir}}}}/htpasswd\"\n"
    );
    let loaded = fixture
        .load(&format!("@server\n@token\n@acl\n{users}"))
        .unwrap();
    let users = loaded.config.users.unwrap();
    assert!(users.find("ann").unwrap().passwords[0].verify("badmin"));
    assert_eq!(users.find("bob").unwrap().passwords.len(), 2);
    assert!(
        loaded
            .config
            .htpasswd
            .unwrap()
            .accounts
            .find("bob")
            .is_some()
    );
    assert!(loaded.files.iter().any(|file| file.ends_with("hash")));
}

#[test]
fn listening() {
    let fixture = Fixture::new();
    let listen = |server: &str| {
        let text = format!("server: {server}\n@token\n@users\n@acl\n");
        config(&fixture, &text)
            .server
            .listen
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
    };
    assert_eq!(listen("{addr: \":5001\"}"), [":5001"]);
    assert_eq!(
        listen("{addr: [\":5001\", /run/w.sock, \"[::1]:5002\"]}"),
        [":5001", "/run/w.sock", "[::1]:5002"]
    );
    assert_eq!(listen("{addr: w.sock, net: unix}"), ["w.sock"]);
    let loaded = fixture
        .load("server: {addr: w.sock, net: unix}\n@token\n@users\n@acl\n")
        .unwrap();
    assert!(matches!(
        &loaded.config.server.listen[..],
        [ListenAddress::Unix(_)]
    ));
}

#[test]
fn hsts() {
    let fixture = Fixture::new();
    let hsts = |written: &str| {
        let text = format!("server: {{addr: \":1\", hsts: {written}}}\n@token\n@users\n@acl\n");
        config(&fixture, &text)
            .server
            .hsts
            .map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(
        hsts("true").as_deref(),
        Some("max-age=63072000; includeSubDomains")
    );
    assert_eq!(hsts("false"), None);
    assert_eq!(
        hsts("{max_age: 1d, include_subdomains: false}").as_deref(),
        Some("max-age=86400")
    );
    assert_eq!(
        hsts("{preload: true}").as_deref(),
        Some("max-age=63072000; includeSubDomains; preload")
    );
    assert_eq!(hsts("{enabled: false}"), None);
}

#[test]
fn a_key_that_registry_3_1_does_not_find_is_warned_of() {
    let vectors = concat!(env!("CARGO_MANIFEST_DIR"), "/../token/vectors");
    let found = Fixture::new().findings(&format!(
        "@server\n@users\n@acl\ntoken:\n  issuer: a\n  expiration: 900\n  key: {vectors}/p256-leading-zero.pem\n"
    ));
    assert!(
        found.contains("begins with a zero byte; registry 3.1"),
        "{found}"
    );
    assert_eq!(found.matches("zero byte").count(), 1, "{found}");
    let usual = Fixture::new().findings("@server\n@token\n@users\n@acl\n");
    assert!(!usual.contains("zero byte"), "{usual}");
}
