//! Globs, regular expressions and variables, tried with mutations.

use std::str::from_utf8;

use policy::{Acl, AclOptions};

use crate::support::{Request, on_name};

#[test]
fn fuzz_patterns() {
    let seeds = [
        "team-[a-z]*/\\*?x",
        "/^dev-(?P<n>[[:alpha:]]+|\\pL{2,3}?)$/",
        "/(?i:a|b)*\\Q.*\\E[^\\d\\s]/",
        "${account}/${labels:group}/${name:1}",
        "[^-a-c\\]]*",
    ];
    fuzz::target("patterns", &seeds, |bytes| {
        let Ok(pattern) = from_utf8(bytes) else {
            return false;
        };
        let Ok(acl) = Acl::compile(vec![on_name(pattern)], AclOptions::default()) else {
            return false;
        };
        let request = Request::pull("alice", "team-a/x").with(&[("group", &["a", "*"])]);
        let decided = acl.decide(&request.query());
        assert_eq!(
            acl.explain(&request.query())
                .decided
                .map(|rule| rule.decision),
            decided
        );
        true
    });
}

#[test]
fn fuzz_networks() {
    let seeds = [
        "10.0.0.0/8",
        "2001:db8::/32",
        "::ffff:10.0.0.1",
        "192.0.2.1",
    ];
    fuzz::target("networks", &seeds, |bytes| {
        let network = from_utf8(bytes)
            .ok()
            .and_then(|text| text.parse::<common::IpNetwork>().ok());
        if let Some(network) = network {
            assert_eq!(network.to_string().parse(), Ok(network));
        }
        network.is_some()
    });
}
