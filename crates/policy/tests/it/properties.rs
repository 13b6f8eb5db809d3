//! What holds for any rules and any query.

use std::net::IpAddr;

use common::IpNetwork;
use policy::{Acl, AclEntry, AclOptions, Conditions, Labels};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;

use crate::support::{Request, on_name, pull_if, strings};

/// Patterns out of few pieces, so that they match now and then, and are malformed now and then.
fn pattern() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "a",
        "b",
        "/",
        "*",
        "?",
        "[ab]",
        "[^a]",
        "/^",
        "$/",
        ".",
        ".*",
        "(",
        ")",
        "|",
        "(a|b)",
        "(.+)",
        "\\",
        "[",
        "${account}",
        "${name}",
        "${account:1}",
        "${name:1}",
        "${labels:g}",
        "${labels:h}",
        "${labels:",
        "}",
        "${",
    ];
    vec(prop::sample::select(PIECES), 0..5).prop_map(|pieces| pieces.concat())
}

/// Rules about an account, a repository or a directory, mostly by their plain names.
fn short_entry() -> impl Strategy<Value = AclEntry> {
    const NAMES: &[&str] = &[
        "a",
        "b",
        "",
        "a/b",
        "a/*",
        "b/?",
        r"\a/b",
        "a/b/[ab]",
        "*/a",
        "a*/b",
        r"/^a\/b/",
        "/^a/",
        "/^b?\\/a/",
        "/(?i)^A/",
        "/b$/",
        "${account}/b",
        "${account:1}/*",
        "a/${labels:g}",
    ];
    let account = prop::sample::select(&["a", "b", "", "[ab]", "/(a|b)/", "${labels:g}"][..]);
    let name = prop::sample::select(NAMES);
    (option::of(account), option::of(name)).prop_map(|(account, name)| AclEntry {
        conditions: Conditions {
            account: account.map(str::to_owned),
            name: name.map(str::to_owned),
            ..Conditions::default()
        },
        ..AclEntry::default()
    })
}

fn entry() -> impl Strategy<Value = AclEntry> {
    let texts = (
        option::of(pattern()),
        option::of(pattern()),
        option::of(pattern()),
        option::weighted(0.2, pattern()),
    );
    let ip = option::weighted(
        0.2,
        prop::sample::select(&["10.0.0.0/8", "::1", "0.0.0.0/0"][..]),
    );
    let labels = btree_map("[gh]", pattern(), 0..2);
    let actions = vec(prop::sample::select(&["*", "pull", "push", ""][..]), 0..3);
    (texts, ip, labels, actions).prop_map(
        |((account, name, service, resource_type), ip, labels, actions)| AclEntry {
            conditions: Conditions {
                account,
                resource_type,
                name,
                service,
                ip: ip.map(str::to_owned),
                labels,
            },
            actions: strings(&actions),
            comment: None,
        },
    )
}

fn request() -> impl Strategy<Value = Request> {
    let text = || "[ab/(*|]{0,4}";
    let labels = btree_map("[gh]", vec("[ab/*()|\\\\]{0,3}", 0..4), 0..3);
    let actions = vec(
        prop::sample::select(&["*", "delete", "pull", "push", ""][..]),
        0..4,
    );
    let ip = prop::sample::select(&["10.1.2.3", "::1", "192.0.2.1", ""][..]);
    (text(), text(), text(), labels, actions, ip).prop_map(
        |(account, name, service, labels, mut actions, ip)| {
            actions.sort_unstable();
            let mut request = Request {
                labels,
                service,
                ..Request::pull(&account, &name)
            };
            request.actions = strings(&actions);
            request.from(ip)
        },
    )
}

/// Those of `entries` that can be compiled.
fn well_formed(entries: Vec<AclEntry>) -> Vec<AclEntry> {
    entries
        .into_iter()
        .filter(|entry| Acl::compile(vec![entry.clone()], AclOptions::default()).is_ok())
        .collect()
}

proptest! {
    #[test]
    fn explaining_and_deciding_agree(entries in vec(entry(), 0..8), request in request(), quote_labels: bool) {
        let acl = Acl::compile(well_formed(entries), AclOptions { quote_labels }).unwrap();
        let explanation = acl.explain(&request.query());
        let decision = acl.decide(&request.query());
        prop_assert_eq!(explanation.decided.as_ref().map(|decided| &decided.decision), decision.as_ref());
        let passed: Vec<usize> = explanation.skipped.iter().map(|passed| passed.rule).collect();
        if let Some(decided) = explanation.decided {
            prop_assert_eq!(passed, (0..decided.decision.rule).collect::<Vec<_>>());
            let asked = |action: &&String| request.actions.contains(action);
            prop_assert!(decided.decision.granted.iter().all(|action| asked(&action)));
            prop_assert!(decided.decision.granted.is_sorted());
            let answered = decided.decision.granted.iter().chain(&decided.refused);
            prop_assert!(request.actions.iter().all(|action| answered.clone().any(|answer| answer == action)));
        }
    }

    #[test]
    fn a_long_list_decides_as_a_walk_through_it_does(
        entries in vec(short_entry(), 0..60), account in "[ab]?", name in "[ab](/[ab]){0,2}",
    ) {
        let acl = Acl::compile(well_formed(entries), AclOptions::default()).unwrap();
        // It asserts that the explanation, which tries one rule after the other, agrees.
        let _either = Request::pull(&account, &name).with(&[("g", &["a"])]).is_decided_by(&acl);
    }

    #[test]
    fn rules_after_the_one_that_decides_do_not_matter(
        entries in vec(entry(), 1..8), more in vec(entry(), 0..3), request in request(),
    ) {
        let entries = well_formed(entries);
        let longer = entries.iter().cloned().chain(well_formed(more)).collect();
        let shorter = Acl::compile(entries, AclOptions::default()).unwrap();
        let longer = Acl::compile(longer, AclOptions::default()).unwrap();
        if let Some(decision) = shorter.decide(&request.query()) {
            prop_assert_eq!(longer.decide(&request.query()), Some(decision));
        }
    }

    #[test]
    fn any_text_is_a_rule_or_an_error(pattern in "\\PC{0,12}", value in "\\PC{0,8}") {
        for pattern in [format!("/{pattern}/"), pattern] {
            let Ok(acl) = Acl::compile(vec![on_name(&pattern)], AclOptions::default()) else { continue };
            let _either = Request::pull(&value, &value).with(&[("g", &[&value])]).is_decided_by(&acl);
        }
    }

    #[test]
    fn any_expansion_is_an_answer(value in "[\\[\\](){}|*+?^$.\\\\a-c0-9,:<>P-]{0,24}", name in "[a-c]{0,3}") {
        let any = ("account", "/(?s)^(.*)$/");
        for pattern in ["${account:1}", "/${account:1}/", "/^(${account:1}|x)$/", "/${labels:g}+[${labels:g}]/"] {
            let _either = Request::pull(&value, &name).with(&[("g", &[&value])]).is_decided_by(&pull_if(&[any, ("name", pattern)]));
        }
    }

    #[test]
    fn an_account_stands_for_itself(account in "\\PC{0,8}", other in "\\PC{0,8}") {
        // A glob that begins and ends with a slash is a regular expression, and the account's
        // slashes count.
        prop_assume!(!account.starts_with('/'));
        for pattern in ["${account}", "/^${account}$/"] {
            let acl = pull_if(&[("name", pattern)]);
            prop_assert!(account.is_empty() && pattern.ends_with('/') || Request::pull(&account, &account).is_decided_by(&acl));
            prop_assert_eq!(Request::pull(&account, &other).is_decided_by(&acl), account == other);
        }
    }

    #[test]
    fn a_quoted_label_stands_for_itself(values in vec("\\PC{0,6}|/\\PC{0,3}/", 1..4), other in "\\PC{0,6}") {
        let mut request = Request::pull("a", &other);
        request.labels = Labels::from([("g".to_owned(), values.clone())]);
        for pattern in ["${labels:g}", "x${labels:g}", "/^${labels:g}$/"] {
            let acl = Acl::compile(vec![on_name(pattern)], AclOptions { quote_labels: true }).unwrap();
            let prefix = if pattern.starts_with('x') { "x" } else { "" };
            request.name = format!("{prefix}{other}");
            prop_assert_eq!(request.is_decided_by(&acl), values.contains(&other), "{}", pattern);
            request.name = format!("{prefix}{}", values[0]);
            prop_assert!(request.is_decided_by(&acl), "{}", pattern);
        }
    }

    #[test]
    fn a_network_prints_as_it_is_read(address: IpAddr, bits in 0..=128u8, other: IpAddr) {
        if let Ok(network) = format!("{address}/{bits}").parse::<IpNetwork>() {
            prop_assert!(network.contains(address) || address != address.to_canonical());
            let again: IpNetwork = network.to_string().parse().unwrap();
            prop_assert_eq!(again, network);
            prop_assert_eq!(again.contains(other), network.contains(other));
        }
    }
}
