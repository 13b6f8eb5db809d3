//! Go's own answers, replayed (`tests/vectors/README.md`). Regular expressions are replayed beside
//! the parser, for what they capture cannot be seen from here.

use common::{IpNetwork, parse_ip};
use policy::{Acl, AclOptions};
use serde_json::Value;

use crate::support::{Request, on_name, pull_if};

fn lines(file: &str) -> impl Iterator<Item = Value> {
    file.lines().map(|line| serde_json::from_str(line).unwrap())
}

fn strings(line: Option<Value>) -> Vec<String> {
    serde_json::from_value(line.unwrap()).unwrap()
}

/// `flags` as hexadecimal digits of four bits, the highest first.
fn mask(flags: impl IntoIterator<Item = bool>) -> String {
    let flags: Vec<bool> = flags.into_iter().collect();
    let digit = |four: &[bool]| {
        (0..4).fold(0, |digit, at| {
            digit << 1 | u32::from(four.get(at) == Some(&true))
        })
    };
    flags
        .chunks(4)
        .map(|four| char::from_digit(digit(four), 16).unwrap())
        .collect()
}

#[test]
fn globs_match_as_path_match_does() {
    let mut lines = lines(include_str!("../vectors/path_match.jsonl"));
    let names = strings(lines.next());
    let (mut count, mut refused) = (0, 0);
    for line in lines {
        let pattern = line[0].as_str().unwrap();
        let acl = Acl::compile(vec![on_name(pattern)], AclOptions::default());
        let ours = acl.ok().map(|acl| {
            mask(
                names
                    .iter()
                    .map(|name| Request::pull("", name).is_decided_by(&acl)),
            )
        });
        assert_eq!(ours.as_deref(), line[1].as_str(), "{pattern:?}");
        count += 1;
        refused += usize::from(ours.is_none());
    }
    assert!(
        count > 2000 && refused > 300,
        "the recording is there: {count}, of which {refused} are refused"
    );
}

#[test]
fn attributes_are_quoted_as_quote_meta_does() {
    let acl = pull_if(&[("name", "/^x${account}/")]);
    let mut count = 0;
    for line in lines(include_str!("../vectors/quote_meta.jsonl")) {
        let passed = acl
            .explain(&Request::pull(line[0].as_str().unwrap(), "never").query())
            .skipped;
        assert_eq!(
            passed[0].expanded,
            [format!("/^x{}/", line[1].as_str().unwrap())]
        );
        count += 1;
    }
    assert!(count > 90);
}

#[test]
fn addresses_are_read_as_parse_ip_does() {
    let mut count = 0;
    for line in lines(include_str!("../vectors/parse_ip.jsonl")) {
        let ours = parse_ip(line[0].as_str().unwrap()).map(|address| address.to_string());
        assert_eq!(ours.as_deref(), line[1].as_str(), "{line}");
        count += 1;
    }
    assert!(count > 400);
}

#[test]
fn networks_are_read_as_parse_cidr_does() {
    let mut lines = lines(include_str!("../vectors/parse_cidr.jsonl"));
    let addresses: Vec<_> = strings(lines.next())
        .iter()
        .map(|text| parse_ip(text).unwrap())
        .collect();
    let mut count = 0;
    for line in lines {
        let network = line[0].as_str().unwrap().parse::<IpNetwork>();
        let ours = network
            .ok()
            .map(|network| mask(addresses.iter().map(|address| network.contains(*address))));
        assert_eq!(ours.as_deref(), line[1].as_str(), "{line}");
        count += 1;
    }
    assert!(count > 800);
}
