//! Rules that are refused.

use policy::{Acl, AclOptions};

use crate::support::rule;

/// What is said about a rule with these conditions, a condition a line.
fn refused(conditions: &[(&str, &str)]) -> String {
    let errors = Acl::compile(
        vec![rule(&[], &[]), rule(conditions, &["*"])],
        AclOptions::default(),
    )
    .unwrap_err();
    let lines: Vec<String> = errors
        .iter()
        .map(|error| format!("{error}: {}", error.problem))
        .collect();
    lines.join("\n")
}

#[test]
fn every_mistake_is_reported_at_once() {
    let account = ("account", "/(/");
    insta::assert_snapshot!(refused(&[account, ("name", "[a"), ("ip", "10.0.0.0/33"), ("group", "/a**/")]), @r#"
    acl[1]: account: the regular expression is malformed: a `(` is not closed: add the `)`, or write `\(` for the character itself
    acl[1]: name: the pattern is malformed: a `[` is not closed: add the `]`, or write `\[` for the character itself
    acl[1]: ip: "10.0.0.0/33" is neither an IP address nor a network such as 10.0.0.0/8 or 2001:db8::/32
    acl[1]: labels.group: the regular expression is malformed: `*` repeats a repetition: put what comes before it into a group, `(?:…)`
    "#);
}

#[test]
fn what_stands_around_a_variable_has_to_be_well_formed() {
    assert!(refused(&[("name", "/^(${account}/")]).contains("not closed"));
    assert!(refused(&[("name", "${account}/[")]).contains("not closed"));
    assert!(refused(&[("type", "/${labels:x}**/")]).contains("repeats a repetition"));
    assert!(refused(&[("ip", "")]).contains("\"\" is neither an IP address nor a network"));
}
