//! A Casbin policy among the policies.

use std::sync::Arc;

use auth::{CASBIN_VALUES, CasbinAuthorizer};
use common::ClientAddress;
use policy::Labels;
use policy::casbin::Enforcer;

use crate::support::{ALICE, BOB, Server, Setup, basic};

const MODEL: &str = "[request_definition]\nr = account, type, name, service, ip, action, labels\n\
                     [policy_definition]\np = account, name, ip, action, labels\n\
                     [policy_effect]\ne = some(where (p.eft == allow))\n[matchers]\n\
                     m = r.account == p.account && keyMatch(r.name, p.name) && r.action == p.action && \
                     (p.labels == '' || r.labels == p.labels) && (p.ip == '' || ipMatch(r.ip, p.ip))\n";

/// A server with `policy`, which decides before the rules.
fn server(policy: &str) -> Server {
    let mut setup = Setup::new();
    let enforcer = Arc::new(Enforcer::compile(MODEL, policy, CASBIN_VALUES).unwrap());
    let authorizer = CasbinAuthorizer::new(enforcer, |line| format!("policy.csv:{line}"));
    setup.authorizers.push(Box::new(authorizer));
    for (name, labels) in [("ann", vec!["<dev>", "é"]), ("eve", vec![])] {
        let labels = labels.into_iter().map(str::to_owned).collect::<Vec<_>>();
        let labels = if labels.is_empty() {
            Labels::new()
        } else {
            Labels::from([("group".to_owned(), labels)])
        };
        let account = identity::Account {
            passwords: Vec::new(),
            labels,
        };
        setup.accounts.add(name.into(), account).unwrap();
    }
    setup.start()
}

/// What is in the token for `scope`.
async fn granted(server: &Server, credentials: (&str, &str), scope: &str) -> String {
    let url = format!("/auth?service=reg&scope={scope}");
    let response = server.get(&url, credentials).await;
    assert_eq!(response.status, 200, "{}", response.body);
    response.claims()["access"].to_string()
}

#[tokio::test]
async fn each_action_is_asked_by_itself() {
    let server = server("p, bob, team/*, \"\", pull, \"\"\np, bob, team/*, \"\", push, \"\"\n");
    let access = granted(&server, BOB, "repository:team/a:delete,pull,push").await;
    assert_eq!(
        access,
        r#"[{"type":"repository","name":"team/a","actions":["pull","push"]}]"#
    );
    assert_eq!(granted(&server, BOB, "repository:other:pull").await, "[]");
    // The rules after it would let alice do everything, and are not asked.
    assert_eq!(
        granted(&server, ALICE, "repository:team/a:pull").await,
        "[]"
    );
}

#[tokio::test]
async fn labels_are_json_as_go_writes_it() {
    let policy = "p, ann, *, \"\", pull, \"{\"\"group\"\":[\"\"\\u003cdev\\u003e\"\",\"\"é\"\"]}\"\n\
                  p, eve, *, \"\", pull, null\n";
    let server = server(policy);
    for account in ["ann", "eve"] {
        let access = granted(&server, (account, "any"), "repository:a:pull").await;
        assert_ne!(access, "[]", "{account}");
    }
}

#[tokio::test]
async fn what_cannot_be_evaluated_is_denied() {
    let server = server("p, bob, *, 192.0.2.0/24, pull, \"\"\n");
    let authorization = basic("bob", "secret");
    let headers = [("authorization", authorization.as_str())];
    let url = "/auth?service=reg&scope=repository:a:pull";
    for (client, allowed) in [
        (ClientAddress::direct("192.0.2.7".parse().ok()), true),
        (ClientAddress::direct("198.51.100.7".parse().ok()), false),
        (ClientAddress::direct(None), false),
    ] {
        let response = server.send_from(client, "GET", url, &headers, "").await;
        assert_eq!(response.status, 200, "{}", response.body);
        assert_eq!(
            response.claims()["access"] != serde_json::json!([]),
            allowed
        );
    }
}

#[tokio::test]
async fn a_catalog_is_filtered_by_a_casbin_policy() {
    let server = server("p, bob, team/*, \"\", pull, \"\"\n");
    let filter = server
        .server
        .repository_filter("bob", "pull", "reg", None)
        .await
        .unwrap();
    let filter = filter.unwrap();
    assert!(filter("team/a") && !filter("other"));
}
