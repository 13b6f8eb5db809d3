use super::*;

fn quota(
    prefix: &str,
    max_bytes: Option<u64>,
    max_tags: Option<u64>,
    warn_at: Option<u8>,
) -> Quota {
    Quota {
        prefix: prefix.parse().unwrap(),
        max_bytes,
        max_tags,
        warn_at,
    }
}

#[test]
fn a_prefix_covers_whole_components() {
    let covers = |prefix: &str, name: &str| {
        let prefix: QuotaPrefix = prefix.parse().unwrap();
        prefix.covers(&name.parse().unwrap())
    };
    for (prefix, name) in [
        ("team", "team"),
        ("team", "team/app"),
        ("*", "team"),
        ("", "a/b/c"),
        ("a/b", "a/b/c"),
    ] {
        assert!(covers(prefix, name), "{prefix:?} {name:?}");
    }
    for (prefix, name) in [("team", "team2"), ("team", "a/team"), ("a/b", "a")] {
        assert!(!covers(prefix, name), "{prefix:?} {name:?}");
    }
    assert!("Team".parse::<QuotaPrefix>().is_err());
    assert!("team/".parse::<QuotaPrefix>().is_err());
    assert_eq!(QuotaPrefix::all().to_string(), "*");
}

#[test]
fn a_repository_has_the_quotas_above_it() {
    let prefixes = ["a/b", "*", "a", "a/bc", "b", "a/b/c"];
    let quotas = prefixes.map(|prefix| quota(prefix, Some(1), None, None));
    let quotas = Quotas::new(quotas.into()).unwrap();
    let of = |name: &str| {
        let prefixes = quotas.of(&name.parse().unwrap()).prefixes();
        prefixes
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(of("a/b/c/d"), "* a a/b a/b/c");
    assert_eq!(of("a/bc"), "* a a/bc");
    assert_eq!(of("c"), "*");
    for name in ["a/b/c/d", "a/bc", "c", "a", "b/c"] {
        let name = name.parse().unwrap();
        let mut covering = quotas.prefixes();
        covering.retain(|prefix| prefix.covers(&name));
        assert_eq!(quotas.of(&name).prefixes(), covering);
    }
    let above = |prefix: &str| -> Vec<String> {
        let prefix = prefix.parse().unwrap();
        let above = quotas.above(&prefix);
        above.map(|quota| quota.prefix.to_string()).collect()
    };
    assert_eq!(above("a/b/c"), ["*", "a", "a/b"]);
    assert_eq!(above("a"), ["*"]);
    assert_eq!(above("*"), <[&str; 0]>::default());
    assert!(Quotas::default().of(&"a".parse().unwrap()).is_empty());
    let twice = vec![quota("a", None, None, None), quota("a", None, None, None)];
    let duplicate = Quotas::new(twice).unwrap_err();
    assert_eq!(duplicate, DuplicateQuota("a".parse().unwrap()));
}

#[test]
fn only_what_is_added_is_refused_or_reported() {
    let quotas = vec![quota("a", Some(100), Some(2), Some(80))];
    let quotas = Quotas::new(quotas).unwrap().of(&"a".parse().unwrap());
    let check = |used: (u64, u64), added: (u64, u64)| {
        let usage = |(bytes, tags)| QuotaUsage { bytes, tags };
        quotas.check(&[UsageChange {
            prefix: "a".parse().unwrap(),
            used: usage(used),
            added: usage(added),
        }])
    };
    assert_eq!(check((0, 0), (79, 1)).unwrap(), []);
    let [warning] = &check((79, 0), (1, 0)).unwrap()[..] else {
        panic!("one warning");
    };
    assert_eq!((warning.used, warning.limit), (80, 100));
    assert_eq!(check((80, 0), (20, 0)).unwrap(), []);
    assert_eq!(check((0, 1), (0, 1)).unwrap().len(), 1);
    // Over a limit that was lowered, what adds nothing is allowed.
    assert_eq!(check((200, 5), (0, 0)).unwrap(), []);
    let refused = check((80, 2), (21, 1)).unwrap_err();
    assert_eq!(
        refused,
        QuotaExceeded {
            prefix: "a".parse().unwrap(),
            resource: QuotaResource::Bytes,
            used: 80,
            limit: 100,
            requested: 21,
            is_partial: false,
        }
    );
    assert!(check((0, 2), (0, 1)).is_err());
    // Of several resources, each is looked at alone.
    assert!(check((200, 0), (0, 1)).is_ok());
}
#[test]
fn a_refusal_says_what_is_needed() {
    let said = |resource, requested, is_partial| {
        QuotaExceeded {
            prefix: "a".parse().unwrap(),
            resource,
            used: 8,
            limit: 9,
            requested,
            is_partial,
        }
        .to_string()
    };
    for (resource, requested, expected) in [
        (QuotaResource::Bytes, 2, "2 more bytes"),
        (QuotaResource::Bytes, 1, "1 more byte"),
        (QuotaResource::Tags, 1, "1 more tag"),
        (QuotaResource::Tags, 2, "2 more tags"),
    ] {
        let expected = format!("the quota of a does not have room for {expected}: 8 of 9 are used");
        assert_eq!(said(resource, requested, false), expected);
    }
    assert_eq!(
        said(QuotaResource::Bytes, 7, true),
        "the quota of a does not have room for a blob that needs at least 7 more bytes: 8 of 9 are used"
    );
}
