//! The semantics that `docker_auth`'s users rely on, one by one.

use policy::{Acl, AclDecision, AclOptions, MAX_COMBINATIONS};

use crate::support::{Request, acl, on_name, pull_if, rule, strings};

#[track_caller]
fn decided(conditions: &[(&str, &str)], request: &Request) {
    assert!(
        request.is_decided_by(&pull_if(conditions)),
        "{conditions:?} should match {request:?}"
    );
}

#[track_caller]
fn passed(conditions: &[(&str, &str)], request: &Request) {
    assert!(
        !request.is_decided_by(&pull_if(conditions)),
        "{conditions:?} should not match {request:?}"
    );
}

#[test]
fn the_first_rule_that_matches_decides() {
    let acl = acl(&[
        rule(&[("account", "admin")], &["*"]),
        rule(&[("account", "test"), ("name", "test-*")], &["*"]),
        rule(&[("account", "test")], &[]),
        rule(&[("account", "/.+/")], &["pull"]),
    ]);
    let decide = |account, name| {
        acl.decide(
            &Request::pull(account, name)
                .asking(&["pull", "push"])
                .query(),
        )
    };
    let answer = |rule, granted| {
        Some(AclDecision {
            rule,
            granted: strings(granted),
        })
    };
    assert_eq!(decide("admin", "x"), answer(0, &["pull", "push"]));
    assert_eq!(decide("test", "test-x"), answer(1, &["pull", "push"]));
    assert_eq!(
        decide("test", "x"),
        answer(2, &[]),
        "denied, though the next rule would grant"
    );
    assert_eq!(decide("alice", "x"), answer(3, &["pull"]));
    assert_eq!(
        decide("", "x"),
        None,
        "no rule decides: the next policy is asked"
    );
}

#[test]
fn a_lone_star_grants_what_was_asked_and_nothing_else() {
    let granted = |listed: &[&str], asked: &[&str]| {
        let acl = acl(&[rule(&[], listed)]);
        acl.decide(&Request::pull("a", "b").asking(asked).query())
            .unwrap()
            .granted
    };
    assert_eq!(granted(&["*"], &["delete", "pull"]), ["delete", "pull"]);
    assert_eq!(granted(&["*"], &["*"]), ["*"]);
    assert_eq!(granted(&["*"], &[""]), [""]);
    assert_eq!(
        granted(&["*", "pull"], &["delete", "pull"]),
        ["pull"],
        "beside others it is an action like any other"
    );
    assert_eq!(granted(&["*", "pull"], &["*", "pull"]), ["*", "pull"]);
    assert_eq!(granted(&["push", "pull"], &["*"]), [""; 0]);
    assert_eq!(
        granted(&["push", "pull", "pull"], &["pull", "pull", "push"]),
        ["pull", "push"]
    );
    assert_eq!(granted(&[], &["pull"]), [""; 0]);
}

#[test]
fn absent_and_empty_conditions_differ() {
    decided(&[], &Request::pull("alice", "a/b"));
    decided(&[("account", "")], &Request::pull("", "a/b"));
    passed(&[("account", "")], &Request::pull("alice", "a/b"));
}

#[test]
fn globs_and_regular_expressions() {
    let app = Request::pull("alice", "team/app");
    decided(&[("name", "team/*")], &app);
    passed(&[("name", "*")], &app);
    passed(&[("name", "team*")], &app);
    decided(&[("name", "/am.ap/")], &app);
    passed(&[("name", "/^am.ap/")], &app);
    decided(&[("name", "//")], &Request::pull("alice", "//"));
    passed(&[("name", "//")], &app);
    decided(&[("name", "/")], &Request::pull("alice", "/"));
}

#[test]
fn every_condition_has_to_hold() {
    let all = [
        ("account", "alice"),
        ("type", "repository"),
        ("name", "a"),
        ("service", "*"),
        ("ip", "10.0.0.0/8"),
        ("g", "x"),
    ];
    let request = Request::pull("alice", "a")
        .from("10.1.2.3")
        .with(&[("g", &["x"])]);
    decided(&all, &request);
    for left_out in 0..all.len() {
        let mut one_wrong = all;
        one_wrong[left_out].1 = if one_wrong[left_out].0 == "ip" {
            "192.0.2.1"
        } else {
            "other"
        };
        passed(&one_wrong, &request);
    }
}

#[test]
fn addresses() {
    let from = |address| Request::pull("alice", "a").from(address);
    decided(&[("ip", "127.0.0.0/8")], &from("127.9.9.9"));
    decided(&[("ip", "10.0.0.0/08")], &from("::ffff:10.1.2.3"));
    decided(&[("ip", "::ffff:10.0.0.0/104")], &from("10.1.2.3"));
    passed(&[("ip", "::/0")], &from("10.1.2.3"));
    passed(&[("ip", "0.0.0.0/0")], &from("::1"));
    passed(&[("ip", "0.0.0.0/0")], &Request::pull("alice", "a"));
}

#[test]
fn labels_match_by_any_value() {
    let request = Request::pull("alice", "a").with(&[("group", &["dev", "ops"]), ("tier", &[])]);
    decided(&[("group", "ops")], &request);
    decided(&[("group", "/^(dev|qa)$/")], &request);
    passed(&[("group", "qa")], &request);
    passed(&[("tier", "*")], &request);
    passed(&[("absent", "*")], &request);
    decided(
        &[("group", "${account}")],
        &Request::pull("ops", "a").with(&[("group", &["dev", "ops"])]),
    );
}

#[test]
fn attributes_are_quoted_in_regular_expressions_and_globs() {
    decided(
        &[("name", "${account}/*")],
        &Request::pull("a.b*", "a.b*/x"),
    );
    passed(&[("name", "${account}/*")], &Request::pull("a*", "ab/x"));
    decided(&[("name", "/^${account}/")], &Request::pull("a.b", "a.b/x"));
    passed(&[("name", "/^${account}/")], &Request::pull("a.b", "axb/x"));
    decided(
        &[("name", "${type}-${service}-${account}")],
        &Request::pull("a", "repository-registry.example.com-a"),
    );
    decided(&[("name", "${user}")], &Request::pull("a", "${user}"));
}

#[test]
fn captures_come_from_the_rule_s_own_regular_expression() {
    let email = ("account", r"/^(.+)@(.+?)\.test\.com$/");
    let request = |name| Request::pull("bob@it.test.com", name);
    decided(&[email, ("name", "${account:1}/*")], &request("bob/app"));
    decided(
        &[email, ("name", "${account:2}-${account:1}")],
        &request("it-bob"),
    );
    decided(&[email, ("name", "${Account:01}")], &request("bob"));
    decided(&[email, ("name", "${account:3}")], &request("${account:3}"));
    decided(&[email, ("name", "${account:0}")], &request("${account:0}"));
    decided(
        &[email, ("name", "${account:1}/${account}")],
        &request("bob/bob@it.test.com"),
    );
    passed(
        &[email, ("name", "${account}/${account:1}")],
        &request("bob@it.test.com/bob"),
    );
    decided(
        &[
            email,
            ("name", "${account}/${account:1}"),
            ("service", "/${account:1}|/"),
        ],
        &request("bob@it.test.com/bob"),
    );
    passed(
        &[
            ("account", "/^(${type}|bob@.*)$/"),
            ("name", "${account:1}x"),
        ],
        &request("bob@it.test.comy"),
    );
    decided(
        &[("account", "/^x|(y)?.*$/"), ("name", "a${account:1}b")],
        &request("ab"),
    );
}

#[test]
fn captures_are_patterns_of_their_own() {
    let any = ("account", "/^(.*)$/");
    decided(
        &[any, ("name", "${account:1}")],
        &Request::pull("a*", "abc"),
    );
    decided(
        &[any, ("name", "/^(${account:1})$/")],
        &Request::pull("x|y", "y"),
    );
    passed(
        &[any, ("name", "/^${account:1}$/")],
        &Request::pull("(", "("),
    );
    decided(
        &[any, ("name", "x"), ("group", "*")],
        &Request::pull("(", "x").with(&[("group", &["g"])]),
    );
}

#[test]
fn captures_are_replaced_in_a_label_s_pattern_when_the_rule_has_them_elsewhere() {
    let email = ("account", "/^(.+)@.+$/");
    let request = Request::pull("bob@x", "bob/app").with(&[("owner", &["bob"])]);
    decided(
        &[email, ("name", "${account:1}/*"), ("owner", "${account:1}")],
        &request,
    );
    passed(&[email, ("owner", "${account:1}")], &request);
}

#[test]
fn labels_stand_for_each_of_their_values() {
    let request =
        |name| Request::pull("a", name).with(&[("group", &["dev", "ops"]), ("tier", &["1", "2"])]);
    decided(
        &[("name", "${labels:group}-shared/*")],
        &request("ops-shared/x"),
    );
    passed(
        &[("name", "${labels:group}-shared/*")],
        &request("qa-shared/x"),
    );
    decided(
        &[("name", "${labels:group}/${labels:tier}")],
        &request("dev/2"),
    );
    decided(
        &[("name", "${labels:group}-${labels:group}")],
        &request("dev-dev"),
    );
    passed(
        &[("name", "${labels:group}-${labels:group}")],
        &request("dev-ops"),
    );
    decided(
        &[("name", "${labels:absent}/x")],
        &request("${labels:absent}/x"),
    );
    decided(
        &[("name", "${labels:group}/x")],
        &request("${labels:group}/x"),
    );
    decided(
        &[("service", "*.${labels:group}")],
        &Request {
            service: "registry.ops".to_owned(),
            ..request("x")
        },
    );
    passed(&[("group", "${labels:group}")], &request("x"));
}

#[test]
fn label_values_are_patterns_unless_quoted() {
    let rules = || vec![on_name("${labels:g}")];
    let plain = Acl::compile(rules(), AclOptions::default()).unwrap();
    let quoted = Acl::compile(rules(), AclOptions { quote_labels: true }).unwrap();
    for (value, matched) in [
        ("ops*", "ops-1"),
        ("/.*/", "anything/at/all"),
        ("[ab]", "a"),
        ("?", "x"),
    ] {
        let request = Request::pull("a", matched).with(&[("g", &[value])]);
        assert!(
            request.is_decided_by(&plain) && !request.is_decided_by(&quoted),
            "{value}"
        );
        assert!(
            Request::pull("a", value)
                .with(&[("g", &[value])])
                .is_decided_by(&quoted),
            "{value}"
        );
    }
}

#[test]
fn an_expansion_that_is_malformed_matches_nothing() {
    let with = |value| Request::pull("a", "a").with(&[("g", &[value])]);
    passed(&[("name", "/^${labels:g}$/")], &with("("));
    passed(&[("name", "${labels:g}")], &with("["));
    passed(
        &[("name", "/^${labels:g}$/")],
        &with(r"(?:\pL{1000}\pL{1000}\pL{1000})?a"),
    );
    let both = Request::pull("a", "a").with(&[("g", &["(", "a"])]);
    decided(&[("name", "/^${labels:g}$/")], &both);
}

#[test]
fn combinations_have_a_bound() {
    let mut request = Request::pull("a", "v32x-v30x");
    let both = &[("name", "${labels:a}-${labels:b}")];
    let values =
        |count: u32| -> Vec<String> { (0..count).map(|value| format!("v{value}?")).collect() };
    const { assert!(33 * 31 < MAX_COMBINATIONS && MAX_COMBINATIONS < 33 * 32) };
    request.labels = [("a".to_owned(), values(33)), ("b".to_owned(), values(31))].into();
    decided(both, &request);
    request.labels.insert("b".to_owned(), values(32));
    passed(both, &request);
    // Values without wildcards of their own that are not in the name do not count.
    request.labels.insert(
        "a".to_owned(),
        (0..1000).map(|value| format!("w{value}")).collect(),
    );
    request.labels.insert(
        "b".to_owned(),
        (0..1000).map(|value| format!("z{value}")).collect(),
    );
    request.name = "w999-z999".to_owned();
    decided(both, &request);
}
