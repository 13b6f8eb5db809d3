//! The answer to "why not?", for the surprises that `docker_auth`'s users report.

use policy::{Attribute, ConditionError, Field, Mismatch, RegexError, SkippedRule};

use crate::support::{Request, acl, pull_if, rule, strings};

#[track_caller]
fn first_mismatch(conditions: &[(&str, &str)], request: &Request) -> SkippedRule {
    let mut explanation = pull_if(conditions).explain(&request.query());
    assert_eq!((explanation.skipped.len(), explanation.decided), (1, None));
    explanation.skipped.remove(0)
}

#[test]
fn a_star_that_stops_at_a_slash_is_shown() {
    let passed = first_mismatch(
        &[("account", "alice"), ("name", "${account}/*")],
        &Request::pull("alice", "alice/team/app"),
    );
    assert_eq!(passed.field, Field::Text(Attribute::Name));
    assert_eq!(
        (passed.pattern.as_str(), passed.reason),
        ("${account}/*", Mismatch::Differs)
    );
    assert_eq!(
        (passed.expanded, passed.values),
        (strings(&["alice/*"]), strings(&["alice/team/app"]))
    );
}

#[test]
fn an_earlier_rule_that_decides_is_shown_with_what_it_refuses() {
    let mut deny = rule(&[("account", "test")], &["pull"]);
    deny.comment = Some("test may only pull".to_owned());
    let acl = acl(&[
        rule(&[("account", "admin")], &["*"]),
        deny,
        rule(&[("account", "test")], &["*"]),
    ]);
    let explanation = acl.explain(
        &Request::pull("test", "x")
            .asking(&["delete", "pull", "push"])
            .query(),
    );
    let decided = explanation.decided.unwrap();
    assert_eq!(
        (decided.decision.rule, decided.comment.as_deref()),
        (1, Some("test may only pull"))
    );
    assert_eq!(
        (decided.decision.granted, decided.refused),
        (strings(&["pull"]), strings(&["delete", "push"]))
    );
    assert_eq!(
        explanation
            .skipped
            .iter()
            .map(|passed| passed.rule)
            .collect::<Vec<_>>(),
        [0]
    );
}

#[test]
fn labels_and_addresses_say_what_is_missing() {
    let request = Request::pull("a", "x").with(&[("group", &["dev", "ops"])]);
    let passed = first_mismatch(&[("group", "qa")], &request);
    assert_eq!(
        (passed.field.to_string().as_str(), passed.values),
        ("labels.group", strings(&["dev", "ops"]))
    );
    assert_eq!(
        first_mismatch(&[("tier", "*")], &request).reason,
        Mismatch::NoLabel
    );
    let passed = first_mismatch(&[("ip", "10.1.2.3/8")], &request);
    assert_eq!(
        (passed.reason, passed.expanded),
        (Mismatch::NoAddress, strings(&["10.0.0.0/8"]))
    );
    let passed = first_mismatch(&[("name", "${labels:group}/x")], &request);
    assert_eq!(passed.expanded, ["dev/x", "ops/x"]);
    assert_eq!(
        first_mismatch(&[("name", "${labels:none}/x")], &request).expanded,
        ["${labels:none}/x"]
    );
}

#[test]
fn what_variables_make_malformed_or_too_much_is_told() {
    let passed = first_mismatch(
        &[("name", "/${labels:g}/")],
        &Request::pull("a", "x").with(&[("g", &["("])]),
    );
    assert_eq!(
        passed.reason,
        Mismatch::Malformed(ConditionError::Regex(RegexError::UnclosedGroup))
    );
    let values: Vec<String> = (0..40).map(|value| format!("{value}*")).collect();
    let mut request = Request::pull("a", "x");
    request.labels.insert("a".to_owned(), values.clone());
    request.labels.insert("b".to_owned(), values);
    let passed = first_mismatch(&[("name", "${labels:a}${labels:b}")], &request);
    assert_eq!(passed.reason, Mismatch::TooManyCombinations(1600));
    assert_eq!(passed.expanded.len(), 8, "the first few");
}

#[test]
fn an_explanation_is_json() {
    let acl = acl(&[rule(&[("name", "b")], &["*"]), rule(&[], &["pull"])]);
    let explanation = acl.explain(&Request::pull("a", "x").asking(&["pull", "push"]).query());
    insta::assert_snapshot!(serde_json::to_string_pretty(&explanation).unwrap());
}
