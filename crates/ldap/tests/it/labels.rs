//! Labels from an entry and from groups.

use identity::{AuthenticationOutcome, Authenticator, LoginSource, Recheck};
use ldap::{FilterTemplate, GroupSearch, LabelRule, LdapSettings, ValueChange};
use peers::Slapd;
use policy::Labels;

use crate::support::{as_account, backend, person, proof, settings, shared};

fn rule(label: &str, attribute: &str, change: ValueChange) -> LabelRule {
    LabelRule {
        label: label.to_owned(),
        attribute: attribute.to_owned(),
        change,
    }
}

fn names() -> ValueChange {
    ValueChange {
        parse_cn: true,
        ..ValueChange::default()
    }
}

async fn labels_of_ann(settings: LdapSettings) -> Labels {
    match backend(settings).recheck("ann").await.unwrap() {
        Recheck::Present { subject, .. } => subject.labels,
        other => panic!("{other:?}"),
    }
}

/// OpenLDAP answers `memberOf`, however the configuration spells it. Two labels on one attribute do
/// not change each other.
#[tokio::test]
async fn an_attribute_is_found_in_any_case_and_each_label_is_its_own() {
    let lower = ValueChange {
        lower_case: true,
        ..names()
    };
    let registry = ValueChange {
        pattern: Some("^registry-(.*)$".parse().unwrap()),
        ..lower.clone()
    };
    let labels = labels_of_ann(LdapSettings {
        labels: vec![
            rule("names", "memberof", names()),
            rule("lower", "MEMBEROF", lower),
            rule("registry", "memberOf", registry),
            rule("raw", "memberOf", ValueChange::default()),
            rule("absent", "description", ValueChange::default()),
        ],
        ..settings(&shared().host_port())
    })
    .await;
    assert_eq!(labels["names"], ["dev", "Registry-Push"]);
    assert_eq!(labels["lower"], ["dev", "registry-push"]);
    assert_eq!(labels["registry"], ["push"]);
    let dev = format!("cn=dev,{}", Slapd::GROUPS);
    let push = format!("cn=Registry-Push,{}", Slapd::GROUPS);
    assert_eq!(labels["raw"], [dev, push]);
    assert_eq!(labels["absent"], [""; 0]);
}

fn searching(filter: &str, attribute: &str, nested: bool) -> GroupSearch {
    GroupSearch {
        label: "groups".to_owned(),
        base: Slapd::GROUPS.to_owned(),
        filter: FilterTemplate::of_groups(filter).unwrap(),
        attribute: attribute.to_owned(),
        nested,
        change: ValueChange {
            lower_case: true,
            ..ValueChange::default()
        },
    }
}

/// `dev` is in `staff`, `staff` and `everyone` are in each other, and a POSIX group names accounts.
#[tokio::test]
async fn groups_are_searched_and_groups_of_groups() {
    let by_name = "(&(objectClass=groupOfNames)(member=${dn}))";
    let dev = format!("cn=dev,{}", Slapd::GROUPS);
    let push = format!("cn=registry-push,{}", Slapd::GROUPS);
    for (filter, attribute, nested, expected) in [
        (by_name, "cn", false, vec!["dev", "registry-push"]),
        (
            by_name,
            "CN",
            true,
            vec!["dev", "everyone", "registry-push", "staff"],
        ),
        (by_name, "dn", false, vec![&dev, &push]),
        ("(memberUid=${account})", "cn", false, vec!["unix"]),
        (
            "(|(member=${dn})(memberUid=${account}))",
            "cn",
            false,
            vec!["dev", "registry-push", "unix"],
        ),
        ("(member=${dn}x)", "cn", true, vec![]),
    ] {
        for search_as in [None, Some(as_account(&person("${account}")))] {
            let mut settings = LdapSettings {
                groups: Some(searching(filter, attribute, nested)),
                ..settings(&shared().host_port())
            };
            if let Some(search_as) = search_as {
                settings.search_as = search_as;
            }
            let mut labels = labels_after_login(settings).await;
            labels.get_mut("groups").unwrap().sort();
            assert_eq!(labels["groups"], expected, "{filter} {attribute} {nested}");
        }
    }
}

async fn labels_after_login(settings: LdapSettings) -> Labels {
    let backend = backend(settings);
    let (proof, source) = (proof("ann", "sesame"), LoginSource::new(None, "ann"));
    match backend.authenticate(&proof, &source).await.unwrap() {
        AuthenticationOutcome::Accepted(identity) => identity.subject.labels,
        other => panic!("{other:?}"),
    }
}
