//! Explanations for people.

use std::fmt::Write as _;

use auth::{ActionReport, CeilingReport, PassedRuleReport, ScopeReport, TokenExplanation};
use common::escape_line;
use policy::Mismatch;

/// What `account` (empty for anonymous) is granted of each scope, and why.
pub(super) fn scopes(reports: &[ScopeReport], account: &str) -> String {
    let account = match account {
        "" => "the anonymous",
        account => account,
    };
    let mut text = String::new();
    for report in reports {
        write_scope(&mut text, report, account);
    }
    text
}

/// What a token is granted of each scope, with both sides.
pub(super) fn token(explanation: &TokenExplanation) -> String {
    let TokenExplanation { token, scopes } = explanation;
    let account = escape_line(&token.account);
    let owner = escape_line(token.owner.as_deref().unwrap_or("the system"));
    let mut text = format!(
        "{account} (id {}) is owned by {owner}\n",
        escape_line(&token.id)
    );
    for report in scopes {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{} for {account}\n  granted: {}\n  the ceiling allows: {}{}",
            escape_line(&report.scope),
            escape_line(&list(&report.granted)),
            escape_line(&list(&report.ceiling.allows)),
            escape_line(&entries(&report.ceiling)),
        );
        match &report.owner {
            Some(of_owner) => {
                text += "what the rules allow the owner:\n";
                write_scope(&mut text, of_owner, &owner);
            }
            None => text += "  no rule is asked, because the robot is the system's\n",
        }
    }
    text
}

fn write_scope(text: &mut String, report: &ScopeReport, account: &str) {
    let mut lines = vec![format!("{} for {account}", report.scope)];
    lines.push(format!("  granted: {}", list(&report.granted)));
    lines.push(format!("  refused: {}", list(&report.refused)));
    lines.push(match (&report.rule, &report.comment, &report.unasked) {
        (Some(rule), Some(comment), _) => format!("  decided by {rule}: {comment}"),
        (Some(rule), None, _) => format!("  decided by {rule}"),
        (None, _, Some(policy)) if policy == "ext_authz" => {
            "  no rule matches: the program of ext_authz would be asked".to_owned()
        }
        (None, _, Some(policy)) => format!("  no rule matches: {policy} would be asked"),
        (None, _, None) => "  no rule matches: access is denied by default".to_owned(),
    });
    lines.extend(report.actions.iter().map(action_line));
    let passed = report.passed.iter();
    lines.extend(passed.map(|passed| format!("  not by {}: {}", passed.rule, reason(passed))));
    let unanswered = report.unanswered.iter();
    lines.extend(unanswered.map(|policy| format!("  not by {policy}: it has no answer")));
    // A comment or a name may hold a line end, which would forge a line.
    let lines: Vec<_> = lines.iter().map(|line| escape_line(line)).collect();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}", lines.join("\n"));
}

fn list(actions: &[String]) -> String {
    match actions {
        [] => "nothing".to_owned(),
        actions => actions.join(", "),
    }
}

/// `  pull: granted by policy.csv:3`.
fn action_line(report: &ActionReport) -> String {
    let verdict = if report.granted { "granted" } else { "refused" };
    let reason = match (&report.rule, &report.error) {
        (Some(rule), Some(error)) => format!(" by an error in {rule}: {error}"),
        (None, Some(error)) => format!(" by an error: {error}"),
        (Some(rule), None) => format!(" by {rule}"),
        (None, None) if report.granted => ", because no line denies it".to_owned(),
        (None, None) => ", because no line allows it".to_owned(),
    };
    format!("  {}: {verdict}{reason}", report.action)
}

/// `name: ${account}/* (bob/*) and library/ubuntu: it does not match`.
fn reason(passed: &PassedRuleReport) -> String {
    let quoted = |texts: &[String]| {
        let quoted: Vec<String> = texts.iter().map(|text| format!("{text:?}")).collect();
        quoted.join(", ")
    };
    if passed.pattern.is_empty() && passed.reason == Mismatch::NotForApi.to_string() {
        return format!("no {}: {}", passed.field, passed.reason);
    }
    let mut text = format!("{}: {:?}", passed.field, passed.pattern);
    let mut expanded = passed.expanded.iter();
    if expanded.any(|expanded| *expanded != passed.pattern) {
        let _ = write!(text, " (here {})", quoted(&passed.expanded));
    }
    if !passed.values.is_empty() {
        let _ = write!(text, " against {}", quoted(&passed.values));
    }
    format!("{text}: {}", passed.reason)
}

/// ` (repository:team/*:pull)`: the entries of a ceiling that match.
fn entries(ceiling: &CeilingReport) -> String {
    match ceiling.entries.as_deref() {
        None => " (there is none)".to_owned(),
        Some([]) => " (no entry matches)".to_owned(),
        Some(entries) => {
            let shown = entries.iter().map(|entry| {
                let actions = entry.actions.join(",");
                format!("{}:{}:{actions}", entry.resource_type, entry.name)
            });
            format!(" ({})", shown.collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_without_a_type_has_no_type_for_the_api() {
        let mut passed = PassedRuleReport {
            rule: "auth.yml:7".to_owned(),
            comment: None,
            field: "type".to_owned(),
            pattern: String::new(),
            expanded: Vec::new(),
            values: vec!["wharfinger".to_owned()],
            reason: Mismatch::NotForApi.to_string(),
        };
        let why = "the API needs a rule whose type is exactly wharfinger";
        assert_eq!(reason(&passed), format!("no type: {why}"));
        "*".clone_into(&mut passed.pattern);
        let written = r#"type: "*" against "wharfinger""#;
        assert_eq!(reason(&passed), format!("{written}: {why}"));
    }
}
