//! What each account may do under rules like those that are in use: reviewed as a difference when it
//! changes.

use std::fmt::Write as _;

use policy::{Acl, AclEntry, AclOptions};

use crate::support::{Request, rule};

fn rules() -> Vec<AclEntry> {
    vec![
        rule(&[("ip", "127.0.0.0/8")], &["*"]),
        rule(&[("account", "admin")], &["*"]),
        rule(&[("account", "test"), ("name", "test-*")], &["*"]),
        rule(&[("account", "test")], &[]),
        rule(
            &[
                ("account", "/^(.+)@example\\.com$/"),
                ("name", "${account:1}/*"),
            ],
            &["*"],
        ),
        rule(
            &[
                ("account", "/.+/"),
                ("type", "registry"),
                ("name", "catalog"),
            ],
            &["*"],
        ),
        rule(&[("account", "/.+/"), ("name", "${account}/*")], &["*"]),
        rule(
            &[("name", "${labels:project}-${labels:tier}/*")],
            &["pull", "push"],
        ),
        rule(
            &[("name", "/^${labels:group}-shared\\/.+$/")],
            &["pull", "push"],
        ),
        rule(
            &[("group", "/^(ops|release)$/"), ("service", "registry*")],
            &["delete", "pull"],
        ),
        rule(&[("account", "/.+/"), ("type", "repository")], &["pull"]),
        rule(&[("account", ""), ("name", "hello-world")], &["pull"]),
    ]
}

/// An account, its labels, and its address.
type Account = (
    &'static str,
    &'static [(&'static str, &'static [&'static str])],
    &'static str,
);

const ACCOUNTS: [Account; 8] = [
    ("", &[], "192.0.2.1"),
    ("", &[], "127.0.0.1"),
    ("admin", &[], "192.0.2.1"),
    ("test", &[("group", &["ops"])], "192.0.2.1"),
    ("alice", &[("group", &["dev", "qa"])], "192.0.2.1"),
    (
        "bob",
        &[
            ("group", &["ops"]),
            ("project", &["apollo", "gemini"]),
            ("tier", &["prod", "stage"]),
        ],
        "2001:db8::1",
    ),
    (
        "carol@example.com",
        &[("project", &["apollo"])],
        "192.0.2.1",
    ),
    (
        "mallory.*",
        &[("group", &["*"]), ("project", &["*"]), ("tier", &["*"])],
        "192.0.2.1",
    ),
];

const RESOURCES: [(&str, &str); 11] = [
    ("repository", "hello-world"),
    ("repository", "test-1"),
    ("repository", "alice/app"),
    ("repository", "alice/team/app"),
    ("repository", "carol/app"),
    ("repository", "malloryX/app"),
    ("repository", "apollo-prod/web"),
    ("repository", "apollo-dev/web"),
    ("repository", "dev-shared/tools/make"),
    ("registry", "catalog"),
    ("plugin", "acme/disk"),
];

fn matrix(options: AclOptions) -> String {
    let acl = Acl::compile(rules(), options).unwrap();
    let mut matrix = String::new();
    for (account, labels, address) in ACCOUNTS {
        write!(matrix, "{account:?} from {address}").unwrap();
        for (name, values) in labels {
            write!(matrix, " {name}={}", values.join(",")).unwrap();
        }
        matrix.push('\n');
        for (resource_type, name) in RESOURCES {
            let mut request = Request::pull(account, name)
                .with(labels)
                .from(address)
                .asking(&["*", "delete", "pull", "push"]);
            request.resource_type = resource_type.to_owned();
            let decision = acl.decide(&request.query());
            let (rule, granted) = match &decision {
                Some(decision) => (
                    format!("rule {}", decision.rule),
                    decision.granted.join(","),
                ),
                None => ("no rule".to_owned(), String::new()),
            };
            let granted = if granted.is_empty() {
                "-".to_owned()
            } else {
                granted
            };
            let resource = format!("{resource_type}:{name}");
            writeln!(matrix, "    {resource:<34}{granted:<20}{rule}").unwrap();
        }
    }
    matrix
}

#[test]
fn who_may_do_what() {
    insta::assert_snapshot!(matrix(AclOptions::default()));
}

#[test]
fn who_may_do_what_when_labels_are_quoted() {
    insta::assert_snapshot!(matrix(AclOptions { quote_labels: true }));
}
