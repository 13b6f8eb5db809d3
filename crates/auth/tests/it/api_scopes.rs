//! Scopes of the API: rules that are written for repositories make no administrators.

use std::sync::Arc;

use auth::{
    AclAuthorizer, AuthorizeError, Authorizer, CASBIN_VALUES, CasbinAuthorizer, DecidedBy,
    Decision, ExplanationEnd, explain, explain_by_asking,
};
use common::BoxFuture;
use identity::{
    AccountHint, AuthenticationError, AuthenticationOutcome, Authenticator, BackendError, Identity,
    LoginSource, Proof, Recheck,
};
use policy::casbin::Enforcer;
use policy::{
    Acl, AclEntry, AclOptions, AclQuery, CeilingEntry, CeilingRules, Conditions, Labels,
    ScopeCeiling, Subject,
};

use crate::support::{ALICE, BOB, Server, Setup};

/// A rule of the section `acl`: the account's pattern, the type's, the name's, the actions.
type RuleText = (
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
    &'static [&'static str],
);

fn rules(rules: &[RuleText]) -> Box<dyn Authorizer> {
    let entries = rules
        .iter()
        .map(|(account, resource_type, name, actions)| AclEntry {
            conditions: Conditions {
                account: Some((*account).to_owned()),
                resource_type: resource_type.map(str::to_owned),
                name: name.map(str::to_owned),
                ..Conditions::default()
            },
            actions: actions.iter().map(ToString::to_string).collect(),
            comment: None,
        });
    let acl = Acl::compile(entries.collect(), AclOptions::default()).unwrap();
    Box::new(AclAuthorizer::new("acl_api", acl, Vec::new()))
}

/// What `scope` grants.
async fn granted(server: &Server, account: (&str, &str), scope: &str) -> String {
    let url = format!("/auth?service=wharfinger-api&scope={scope}");
    let response = server.get(&url, account).await;
    response.json()["scope"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn wide_rules_make_no_administrators() {
    for wide in [
        ("/.*/", None, None, &["*"][..]),
        ("/.*/", Some("*"), None, &["*"]),
        ("/.*/", Some("/.*/"), None, &["*"]),
        ("/.*/", Some("wharfinge?"), None, &["*"]),
        ("/.*/", Some("/^wharfinger$/"), None, &["*"]),
        ("/.*/", Some("${type}"), None, &["*"]),
        ("/.*/", Some("repository"), None, &["*"]),
    ] {
        let server = Setup {
            authorizers: vec![rules(&[wide])],
            rules: vec![("/.*/", &["*"])],
            ..Setup::new()
        }
        .start();
        for name in [
            "users", "robots", "tokens", "rules", "sessions", "audit", "trust", "own", "*",
        ] {
            for actions in ["write", "create", "*"] {
                let scope = format!("wharfinger:{name}:{actions}");
                assert_eq!(
                    granted(&server, ALICE, &scope).await,
                    "",
                    "{wide:?} {scope}"
                );
            }
        }
        let scope = "repository:alice/app:push";
        assert_eq!(granted(&server, ALICE, scope).await, scope);
    }
}

#[tokio::test]
async fn every_account_may_see_and_revoke_what_is_its_own() {
    let server = Setup {
        // No rule takes it away.
        authorizers: vec![rules(&[("/.*/", Some("wharfinger"), None, &[])])],
        ..Setup::new()
    }
    .start();
    for (scope, expected) in [
        ("wharfinger:own:read", "wharfinger:own:read"),
        ("wharfinger:own:read,revoke", "wharfinger:own:read,revoke"),
        (
            "wharfinger:own:create,read,revoke",
            "wharfinger:own:read,revoke",
        ),
        ("wharfinger:own:create", ""),
        ("wharfinger:own:*", ""),
        ("wharfinger:own/x:read", ""),
        // A class is no part of the type.
        ("wharfinger(class):own:read", "wharfinger:own:read"),
    ] {
        assert_eq!(granted(&server, BOB, scope).await, expected, "{scope}");
        assert_eq!(
            granted(&server, ("", ""), scope).await,
            "",
            "anonymous, {scope}"
        );
    }
}

#[tokio::test]
async fn a_rule_that_names_the_type_counts() {
    let server = Setup {
        authorizers: vec![rules(&[
            // Not for the API, although it is the first that matches.
            ("/.*/", None, None, &[]),
            ("alice", Some("wharfinger"), None, &["*"]),
            ("bob", Some("wharfinger"), Some("users"), &["read"]),
            ("bob", Some("wharfinger"), Some("own"), &["create"]),
        ])],
        ..Setup::new()
    }
    .start();
    let all = "wharfinger:users:read,write";
    assert_eq!(granted(&server, ALICE, all).await, all);
    assert_eq!(granted(&server, BOB, all).await, "wharfinger:users:read");
    assert_eq!(granted(&server, BOB, "wharfinger:rules:read").await, "");
    let own = "wharfinger:own:create,read,revoke";
    assert_eq!(granted(&server, BOB, own).await, own);
    assert_eq!(granted(&server, ALICE, own).await, own);
    // The type has no meaning for the other rules.
    assert_eq!(granted(&server, ALICE, "repository:a:pull").await, "");
}

/// A policy like a program: it grants everything, and must not be asked about the API.
struct Generous;

impl Authorizer for Generous {
    fn name(&self) -> &'static str {
        "ext_authz"
    }

    fn decides_api(&self) -> bool {
        false
    }

    fn decide<'a>(
        &'a self,
        query: &'a AclQuery<'a>,
        _: &'a LoginSource,
    ) -> BoxFuture<'a, Result<Option<Decision>, AuthorizeError>> {
        assert!(!query.is_about_api(), "{query:?}");
        let decision = Decision {
            granted: query.actions.to_vec(),
            by: DecidedBy {
                policy: Some("ext_authz"),
                rule: None,
            },
        };
        Box::pin(std::future::ready(Ok(Some(decision))))
    }
}

#[tokio::test]
async fn programs_servers_and_casbin_are_not_asked() {
    let model = "[request_definition]\nr = account, type, name, service, ip, action, labels\n\
                 [policy_definition]\np = account\n[policy_effect]\ne = some(where (p.eft == allow))\n\
                 [matchers]\nm = true\n";
    let enforcer = Enforcer::compile(model, "p, anyone\n", CASBIN_VALUES).unwrap();
    let casbin = CasbinAuthorizer::new(Arc::new(enforcer), |line| line.to_string());
    for generous in [Box::new(Generous) as Box<dyn Authorizer>, Box::new(casbin)] {
        let server = Setup {
            authorizers: vec![generous],
            ..Setup::new()
        }
        .start();
        assert_eq!(
            granted(&server, BOB, "repository:a:push").await,
            "repository:a:push"
        );
        assert_eq!(granted(&server, BOB, "wharfinger:users:write").await, "");
        assert_eq!(
            granted(&server, BOB, "wharfinger:own:read").await,
            "wharfinger:own:read"
        );
    }
}

/// Robots and personal tokens, as they log in: a name for each ceiling.
struct Ceilings;

impl Authenticator for Ceilings {
    fn name(&self) -> &'static str {
        "ceilings"
    }

    fn hint(&self, _: &str) -> AccountHint {
        AccountHint::NeedsProof
    }

    fn authenticate<'a>(
        &'a self,
        proof: &'a Proof,
        _: &'a LoginSource,
    ) -> BoxFuture<'a, Result<AuthenticationOutcome, AuthenticationError>> {
        let ceiling = match proof.account() {
            "unlimited" => ScopeCeiling::Unlimited,
            "repositories" => limited(&[("repository", "*")]),
            "everything" => limited(&[("*", "*"), ("/.*/", "/.*/")]),
            "users" => limited(&[("wharfinger", "users")]),
            "own" => limited(&[("wharfinger", "own")]),
            _ => return Box::pin(std::future::ready(Ok(AuthenticationOutcome::NoMatch))),
        };
        let subject = Subject {
            account: proof.account().to_owned(),
            ..Subject::default()
        };
        let identity = Identity {
            ceiling,
            ..Identity::new(subject)
        };
        let accepted = AuthenticationOutcome::Accepted(identity);
        Box::pin(std::future::ready(Ok(accepted)))
    }

    fn recheck<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Recheck, BackendError>> {
        Box::pin(std::future::ready(Ok(Recheck::NoMatch)))
    }
}

fn limited(entries: &[(&str, &str)]) -> ScopeCeiling {
    let entries = entries.iter().map(|(resource_type, name)| CeilingEntry {
        resource_type: (*resource_type).to_owned(),
        name: (*name).to_owned(),
        actions: vec!["*".to_owned()],
    });
    ScopeCeiling::Limited(CeilingRules::compile(entries.collect()).unwrap())
}

#[tokio::test]
async fn a_ceiling_must_name_the_type_too() {
    let server = Setup {
        backends: vec![Box::new(Ceilings)],
        authorizers: vec![rules(&[("/.*/", Some("wharfinger"), None, &["*"])])],
        ..Setup::new()
    }
    .start();
    let (users, own) = ("wharfinger:users:write", "wharfinger:own:read");
    for (account, may_users, may_own) in [
        ("unlimited", true, true),
        ("repositories", false, false),
        ("everything", false, false),
        ("users", true, false),
        ("own", false, true),
    ] {
        for (scope, may) in [(users, may_users), (own, may_own)] {
            let granted = granted(&server, (account, "x"), scope).await;
            assert_eq!(granted == scope, may, "{account} {scope}: {granted:?}");
        }
    }
}

#[tokio::test]
async fn explanations_agree_and_name_what_is_built_in() {
    let authorizers = [rules(&[
        ("/.*/", None, None, &["*"]),
        ("bob", Some("wharfinger"), Some("own"), &["create"]),
    ])];
    let labels = Labels::new();
    let source = LoginSource::new(None, "bob");
    for (account, name, asked, by, granted, passed) in [
        ("bob", "own", &["read"][..], "built-in", &["read"][..], 0),
        (
            "bob",
            "own",
            &["create", "read"],
            "acl_api[1]",
            &["create", "read"],
            1,
        ),
        ("eve", "own", &["create", "read"], "built-in", &["read"], 2),
        ("eve", "users", &["read"], "none", &[], 2),
        ("", "own", &["read"], "none", &[], 2),
    ] {
        let actions: Vec<String> = asked.iter().map(ToString::to_string).collect();
        let query = AclQuery {
            account,
            labels: &labels,
            resource_type: "wharfinger",
            name,
            service: "wharfinger-api",
            ip: None,
            actions: &actions,
        };
        let explanation = explain(&authorizers, &query);
        let asking = explain_by_asking(&authorizers, &query, &source)
            .await
            .unwrap();
        assert_eq!(explanation, asking);
        assert_eq!(
            explanation.passed.len(),
            passed,
            "{account} {name} {asked:?}"
        );
        match explanation.end {
            ExplanationEnd::Decided(decision) => {
                assert_eq!(
                    (decision.by.as_str(), &decision.granted[..]),
                    (by, &strings(granted)[..])
                );
                assert_eq!(decision.comment.is_some(), by == "built-in");
            }
            end => assert_eq!((end, by), (ExplanationEnd::Denied, "none")),
        }
    }
}

fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(ToString::to_string).collect()
}
