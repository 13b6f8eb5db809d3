//! Whatever a file holds, it is either read or refused with a word.

use proptest::prelude::*;

use super::fixture::Fixture;

/// Words of the schema and of YAML, thrown together.
fn line() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "server",
        "addr",
        "net",
        "tls_min_version",
        "hsts",
        "limits",
        "header",
        "token",
        "issuer",
        "expiration",
        "keys",
        "key",
        "services",
        "users",
        "ann",
        "password",
        "labels",
        "acl",
        "match",
        "actions",
        "ip",
        "name",
        "ext_auth",
        "command",
        "login",
        "remember",
        "per_address",
        "refresh_tokens",
        "idle",
        "database",
        "url",
        "ldap_auth",
        "<<",
        "issuer_file",
    ]);
    let value = prop::sample::select(vec![
        "",
        "~",
        "{}",
        "[]",
        "x",
        "900",
        "-1",
        "1e400",
        "99999999999999999999",
        "\"5\"",
        "[~, a]",
        "{a: b}",
        "5m",
        "20/min",
        "on",
        "[:1, :2]",
        "{match: {ip: 1}}",
        "*a",
        "&a x",
        "${env:NONE}",
        "${env:ISSUER}",
        "/(/",
        "sqlite:///x",
        "é",
        "\"\\/\"",
    ]);
    ("( |  |    |- |  - )?", key, value)
        .prop_map(|(indent, key, value)| format!("{indent}{key}: {value}\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_file_is_a_surprise(lines in prop::collection::vec(line(), 0..12)) {
        let fixture = FIXTURE.with(std::rc::Rc::clone);
        let found = fixture.findings(&lines.concat());
        prop_assert!(!found.contains("a defect of this program"), "{found}");
    }

    #[test]
    fn a_section_may_be_anything(value in "[a-z0-9{}\\[\\],:&*'\" ~/$-]{0,20}") {
        let fixture = FIXTURE.with(std::rc::Rc::clone);
        for section in ["server", "token", "users", "acl", "ext_auth", "login", "refresh_tokens", "database", "users_htpasswd"] {
            let found = fixture.findings(&format!("@server\n@token\n@users\n@acl\n{section}: {value}\n"));
            prop_assert!(!found.contains("a defect of this program"), "{found}");
        }
    }
}

#[test]
fn another_kind_of_file_is_refused_in_few_words() {
    let keys: String = (0..100_000).map(|n| format!("k{n}: {n}\n")).collect();
    let found = Fixture::new().findings(&keys);
    assert_eq!(found.lines().count(), 25, "{found}");
    assert!(
        found.ends_with("c.yml:21:1: error: 99980 more unknown keys begin here\n"),
        "{found}"
    );
    let keys: String = (0..21).map(|n| format!("k{n}: {n}\n")).collect();
    let found = Fixture::new().findings(&keys);
    assert!(
        found.ends_with("error: 1 more unknown key is here\n"),
        "{found}"
    );
    let found = Fixture::new().findings(&"a: b\n".repeat(100_000));
    assert_eq!(found.lines().count(), 21, "{found}");
    assert!(
        found.ends_with("c.yml:22:1: error: more than 20 duplicate keys\n"),
        "{found}"
    );
}

thread_local! {
    static FIXTURE: std::rc::Rc<Fixture> = std::rc::Rc::new(Fixture::new());
}
