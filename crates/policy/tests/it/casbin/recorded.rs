//! Casbin's own answers, replayed (`tests/vectors/casbin.json`). What is refused here and is not an
//! error there is listed, with the reason.

use policy::casbin::{CasbinError, CasbinProblem, Enforcer, EvaluationError};
use serde::Deserialize;
use serde_json::Value;

use super::{ALLOW, model};

#[derive(Deserialize)]
struct Recording {
    calls: Vec<RecordedCall>,
    matcher_columns: String,
    matcher_policy: String,
    matcher_requests: Vec<Vec<String>>,
    matchers: Vec<RecordedMatcher>,
    cases: Vec<RecordedCase>,
}

#[derive(Debug, Deserialize)]
struct RecordedCall {
    function: String,
    arguments: Vec<String>,
    result: Value,
}

#[derive(Deserialize)]
struct RecordedMatcher {
    matcher: String,
    answers: String,
}

#[derive(Deserialize)]
struct RecordedCase {
    name: String,
    model: String,
    policy: String,
    start: String,
    requests: Option<Vec<RecordedRequest>>,
}

#[derive(Deserialize)]
struct RecordedRequest {
    values: Vec<String>,
    answer: String,
    line: Option<usize>,
}

fn recording() -> Recording {
    serde_json::from_str(include_str!("../../vectors/casbin.json")).unwrap()
}

fn strs(values: &[String]) -> Vec<&str> {
    values.iter().map(String::as_str).collect()
}

/// The answer to a request, and the line that decided.
fn answer(enforcer: &Enforcer, values: &[String]) -> (&'static str, Option<usize>) {
    match enforcer.enforce(&strs(values)) {
        Ok(enforcement) if enforcement.allowed => ("allow", enforcement.line),
        Ok(enforcement) => ("deny", enforcement.line),
        Err(_) => ("error", None),
    }
}

#[test]
fn functions_have_casbin_s_results() {
    let calls = recording().calls;
    let (mut errors, mut texts, mut wrong) = (0, 0, Vec::new());
    for call in &calls {
        let mut arguments = call.arguments.clone();
        let columns = ["a", "b", "c", "d"];
        let named = columns
            .iter()
            .take(arguments.len())
            .map(|column| format!("r.{column}"));
        let named = named.collect::<Vec<_>>().join(", ");
        let mut matcher = format!("{}({named})", call.function);
        if call.function.starts_with("keyGet") {
            matcher = format!("{matcher} == r.{}", columns[arguments.len()]);
            arguments.push(call.result.as_str().unwrap_or_default().to_owned());
            texts += 1;
        }
        let columns = columns[..arguments.len()].join(", ");
        let model = model(&columns, "x", "", ALLOW, &matcher);
        let enforcer = Enforcer::compile(&model, "", arguments.len()).unwrap();
        let expected = match call.result {
            Value::Null => "error",
            Value::Bool(false) => "deny",
            _ => "allow",
        };
        errors += usize::from(expected == "error");
        let found = answer(&enforcer, &arguments).0;
        // Casbin compares the numbers of groups and names only if the pattern matches.
        let has_groups = call.function == "keyMatch4" && arguments[1].contains('(');
        if found != expected && !(has_groups && found == "error") {
            wrong.push(format!("{call:?}: {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        calls.len() > 700 && errors > 40 && texts > 100,
        "the recording is there: {} calls, {errors} errors, {texts} texts",
        calls.len()
    );
}

/// Matchers that Casbin evaluates for some requests at least, and that are refused here.
const REFUSED_MATCHERS: [(&str, &str); 7] = [
    ("g(r.a, p.a, '', '')", "Casbin ignores the fourth argument"),
    (
        "keyMatch((r.b, p.b))",
        "a list in parentheses is not arguments",
    ),
    (
        "(r.a == p.a) (r.b == p.b)",
        "Casbin ignores the second expression",
    ),
    ("(r.a == p.a) r.b", "the same"),
    ("(r.a == p.a) true", "the same"),
    ("(r.a ==)", "Casbin compares with nothing"),
    ("eval('true')", "only columns of the policy are evaluated"),
];

#[test]
fn matchers_have_casbin_s_answers() {
    let recording = recording();
    let (mut decided, mut refused, mut wrong) = (0, 0, Vec::new());
    for RecordedMatcher { matcher, answers } in &recording.matchers {
        let columns = &recording.matcher_columns;
        let model = model(columns, columns, "_, _", ALLOW, matcher);
        match Enforcer::compile(&model, &recording.matcher_policy, 3) {
            Ok(enforcer) => {
                let requests = recording.matcher_requests.iter();
                let found: String = requests
                    .map(|values| &answer(&enforcer, values).0[..1])
                    .collect();
                if found != *answers {
                    wrong.push(format!("{matcher}: {found}, and Casbin {answers}"));
                }
                decided += 1;
            }
            Err(errors) => {
                let is_listed = REFUSED_MATCHERS.iter().any(|(known, _)| known == matcher);
                if !is_listed && !answers.contains('e') && !errors.iter().all(is_of_kinds) {
                    wrong.push(format!("{matcher}: Casbin {answers}, and {errors:?}"));
                }
                refused += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        decided > 350 && refused > 400,
        "the recording is there: {decided} decided, {refused} refused"
    );
}

/// Whether an operator gets a value that it does not take. Casbin only notices when it is evaluated.
fn is_of_kinds(error: &CasbinError) -> bool {
    let kinds = |problem: &EvaluationError| {
        matches!(
            problem,
            EvaluationError::Operand { .. } | EvaluationError::Result(_)
        )
    };
    matches!(&error.problem, CasbinProblem::Evaluation(problem) if kinds(problem))
}

/// Cases with which Casbin starts and decides something, and that are refused here; why.
const REFUSED_CASES: [(&str, &str); 14] = [
    (
        "effect allow, error in a later line",
        "a line that may fail is refused",
    ),
    ("effect deny, error in a later line", "the same"),
    ("effect both, error in a later line", "the same"),
    ("effect priority, error in a later line", "the same"),
    ("effect subject, error in a later line", "the same"),
    ("eval of what is malformed in a second line", "the same"),
    ("guarded addresses, the other way around", "the same"),
    ("a malformed regular expression", "the same"),
    ("a malformed glob", "the same"),
    (
        "labels that are no labels",
        "they match every account there",
    ),
    (
        "priority that is no number",
        "the order is not defined there",
    ),
    (
        "role definition _, _, _, _ without lines",
        "a line of it would be an error there, too",
    ),
    ("policy: the kind r", "the line is ignored there"),
    ("policy: the kind m", "the same"),
];

/// Cases with which Casbin does not start, and that are accepted here; why.
const ACCEPTED_CASES: [(&str, &str); 2] = [
    ("model: a byte order mark", "it says nothing"),
    ("policy: a byte order mark", "it says nothing"),
];

/// Cases that are decided in another way; why.
const DIFFERENT_CASES: [(&str, &str); 2] = [
    (
        "eval with a space",
        "Casbin only knows `eval(`, and each decision is an error",
    ),
    (
        "policy: columns that join alike, two lines",
        "Casbin drops the second line",
    ),
];

#[test]
fn models_and_policies_have_casbin_s_answers() {
    let cases = recording().cases;
    let (mut answers, mut not_started, mut wrong) = (0, 0, Vec::new());
    let is_in = |list: &[(&str, &str)], case: &RecordedCase| {
        list.iter().any(|(name, _)| *name == case.name)
    };
    for case in &cases {
        let requests = case.requests.as_deref().unwrap_or_default();
        let values = requests.first().map_or(3, |request| request.values.len());
        not_started += usize::from(case.start != "ok");
        match Enforcer::compile(&case.model, &case.policy, values) {
            Ok(enforcer) => {
                if case.start != "ok" && !is_in(&ACCEPTED_CASES, case) {
                    wrong.push(format!("{}: Casbin does not start", case.name));
                }
                for request in requests {
                    let found = answer(&enforcer, &request.values);
                    // Casbin names the first line even if the matcher asks for none.
                    let matcher = case.model.rsplit("m = ").next();
                    let asks = matcher.is_some_and(|matcher| matcher.contains("p."));
                    let line = request.line.filter(|_| asks);
                    let expected = (request.answer.as_str(), line);
                    if found != expected && !is_in(&DIFFERENT_CASES, case) {
                        let (name, values) = (&case.name, &request.values);
                        wrong.push(format!(
                            "{name}: {values:?}: {found:?}, and Casbin {expected:?}"
                        ));
                    }
                    answers += 1;
                }
            }
            Err(errors) => {
                let mut requests = requests.iter();
                let never_decides = requests.all(|request| request.answer == "error");
                if case.start == "ok" && !never_decides && !is_in(&REFUSED_CASES, case) {
                    wrong.push(format!("{}: Casbin decides, and {errors:?}", case.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        answers > 400 && not_started > 20,
        "the recording is there: {answers} answers, {not_started} not started"
    );
}

#[test]
fn docker_auth_s_example_has_its_expected_answers() {
    let cases = recording().cases;
    let example = cases
        .iter()
        .find(|case| case.name == "docker_auth's example")
        .unwrap();
    let enforcer = Enforcer::compile(&example.model, &example.policy, 7).unwrap();
    let allowed = |account: &str, name: &str, ip: &str, labels: &str| {
        let mut allowed = Vec::new();
        for action in ["write", "read", "delete"] {
            let request = [account, "book", name, "bookstore1", ip, action, labels];
            if enforcer.enforce(&request).unwrap().allowed {
                allowed.push(action);
            }
        }
        allowed.join(",")
    };
    let (b, bc) = (r#"{"a":["b"]}"#, r#"{"a":["b","c"]}"#);
    assert_eq!(allowed("alice", "book1", "1.2.3.4", b), "write,read");
    assert_eq!(allowed("alice", "book1", "1.2.3.3", b), "");
    assert_eq!(allowed("bob", "book2", "192.168.1.123", bc), "read");
    assert_eq!(allowed("bob", "book2", "192.168.1.123", b), "");
    assert_eq!(allowed("admin", "book1", "", "null"), "write,read,delete");
    let requests = example.requests.as_ref().unwrap();
    assert_eq!(
        requests.len(),
        17 * 3,
        "its test has 17 questions of three actions"
    );
    assert_eq!(
        requests
            .iter()
            .filter(|request| request.answer == "allow")
            .count(),
        24
    );
}
