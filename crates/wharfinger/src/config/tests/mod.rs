//! Whole configurations: what is reported about them, what comes out of them, and that nothing makes
//! a reader panic.

mod docker_auth;
mod fixture;
mod fuzz;
mod manual;
mod meaning;
mod printing;
mod reference;
mod robustness;
mod schema;

use std::fmt::Write;

use self::fixture::Fixture;

/// Configurations and what is said about each.
const FINDINGS: &str = include_str!("findings.txt");

/// `findings.txt` holds cases: a line `== NAME`, the configuration, a line `--`, and every line
/// that is said about it. `BLESS=1` writes what is said now; the difference is to be reviewed.
#[test]
fn what_is_said_about_configurations() {
    let fixture = Fixture::new();
    let (preface, cases) = FINDINGS.split_once("\n== ").unwrap();
    let mut said = preface.to_owned();
    let mut number = 0;
    for case in cases.split("\n== ") {
        let (name, rest) = case.split_once('\n').unwrap();
        // The line `--` may be the first, and a configuration may hold `---`.
        let rest = format!("\n{rest}\n");
        let (config, _) = rest.split_once("\n--\n").unwrap();
        let config = config
            .strip_prefix('\n')
            .map_or_else(String::new, |config| format!("{config}\n"));
        let found = fixture.findings(&config);
        write!(said, "\n== {name}\n{config}--\n{found}").unwrap();
        number += 1;
    }
    assert!(number >= 70, "only {number} cases were found");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(
            concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/tests/findings.txt"),
            &said,
        )
        .unwrap();
    }
    for (said, expected) in said.lines().zip(FINDINGS.lines()) {
        assert_eq!(said, expected);
    }
    assert_eq!(said.trim_end(), FINDINGS.trim_end());
}
