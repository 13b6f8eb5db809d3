//! Patterns that are valid but match something else than they seem to.

use super::WarningKind;
use crate::Attribute;
use crate::captures::{CaptureReference, capture_at_end, find};
use crate::entry::Conditions;
use crate::syntax::is_regex;
use crate::variables::LABEL;

/// Captures that are never replaced in `pattern`.
pub(super) fn captures(pattern: &str, conditions: &Conditions) -> Vec<WarningKind> {
    let kind = |found| match found {
        CaptureReference::Capture(capture) => {
            let of = capture.attribute;
            let variable = conditions
                .on(of)
                .is_some_and(|written| written.contains("${"));
            variable.then_some(WarningKind::CaptureOfVariable {
                capture: capture.token,
                of,
            })
        }
        CaptureReference::NoAttribute { text } => {
            let (before, capture) = capture_at_end(text)?;
            // What another of the rule's patterns makes known is replaced here too.
            let hidden = !known(capture, conditions);
            let before = before
                .split_inclusive('}')
                .next()
                .unwrap_or_default()
                .to_owned();
            hidden.then(|| WarningKind::CaptureHidden {
                capture: capture.to_owned(),
                before,
            })
        }
        CaptureReference::NoRegex { text, of } => Some(WarningKind::CaptureOfNoRegex {
            capture: text.to_owned(),
            of,
        }),
        CaptureReference::OutOfRange { text, of, groups } => Some(WarningKind::CaptureOutOfRange {
            capture: text.to_owned(),
            of,
            groups,
        }),
    };
    find(pattern, conditions)
        .into_iter()
        .filter_map(kind)
        .collect()
}

/// Captures that are never replaced in `pattern`, a label's.
pub(super) fn captures_of_label(pattern: &str, conditions: &Conditions) -> Vec<WarningKind> {
    let captures = variables(pattern).filter(|variable| capture_at_end(variable).is_some());
    let unknown = captures.filter(|variable| !known(variable, conditions));
    unknown
        .map(|capture| WarningKind::CaptureInLabelOnly(capture.to_owned()))
        .collect()
}

/// Whether `capture` is found in one of the patterns in which captures are looked for.
fn known(capture: &str, conditions: &Conditions) -> bool {
    let patterns = Attribute::ALL
        .into_iter()
        .filter_map(|attribute| conditions.on(attribute));
    let mut found = patterns.flat_map(|pattern| find(pattern, conditions));
    found.any(|found| matches!(found, CaptureReference::Capture(found) if found.token == capture))
}

/// Every `${…}` in `pattern`.
fn variables(pattern: &str) -> impl Iterator<Item = &str> {
    pattern.match_indices("${").filter_map(|(start, _)| {
        let rest = &pattern[start..];
        rest.find('}').map(|end| &rest[..=end])
    })
}

/// Every label that `pattern` names.
pub(super) fn labels(pattern: &str) -> impl Iterator<Item = String> {
    variables(pattern)
        .filter(|variable| variable.starts_with(LABEL))
        .map(str::to_owned)
}

/// Text that looks like a variable but is not one.
pub(super) fn unknown_variables(pattern: &str) -> impl Iterator<Item = WarningKind> {
    let attribute = |variable: &str| {
        Attribute::ALL
            .iter()
            .any(|known| variable[2..variable.len() - 1] == *known.key())
    };
    let label = |variable: &str| variable.starts_with(LABEL);
    let known = move |variable: &&str| {
        attribute(variable) || label(variable) || capture_at_end(variable).is_some()
    };
    // A label without its dollar sign is easily overlooked.
    let bare = pattern
        .match_indices("{labels:")
        .filter(|(at, _)| !pattern[..*at].ends_with('$'));
    let bare = bare.filter_map(|(start, _)| pattern[start..].split_inclusive('}').next());
    let unknown = variables(pattern)
        .filter(move |variable| !known(variable))
        .chain(bare);
    unknown.map(|variable| WarningKind::UnknownVariable(variable.to_owned()))
}

/// What looks like another tool's glob.
pub(super) fn glob(pattern: &str, names_resource: bool) -> impl Iterator<Item = WarningKind> {
    let glob = !is_regex(pattern);
    let surprises = [
        (pattern.contains("**"), WarningKind::DoubleStar),
        (names_resource && pattern == "*", WarningKind::LoneStar),
        (pattern.contains("[!"), WarningKind::NotNegated),
    ];
    surprises
        .into_iter()
        .filter_map(move |(there, kind)| (there && glob).then_some(kind))
}

#[cfg(test)]
mod tests {
    use crate::entry::AclOptions;
    use crate::warning::tests::entry;
    use crate::warning::warnings;

    #[track_caller]
    fn warned(pairs: &[(&str, &str)], expected: &[&str]) {
        let quoted = AclOptions { quote_labels: true };
        let warnings = warnings(&[entry(pairs)], quoted);
        let kinds: Vec<String> = warnings
            .iter()
            .map(|warning| warning.kind.to_string())
            .collect();
        let starts = kinds
            .iter()
            .zip(expected)
            .all(|(kind, start)| kind.starts_with(start));
        assert!(starts && kinds.len() == expected.len(), "{kinds:#?}");
    }

    #[test]
    fn captures_that_never_match_are_named() {
        let account = ("account", "/^(.+)@(.+)$/");
        warned(&[account, ("name", "${account:1}/${account}")], &[]);
        warned(
            &[account, ("name", "${account}/${account:1}")],
            &["${account:1} is never replaced, so this never"],
        );
        warned(
            &[account, ("name", "${labels:g}/${account:2}")],
            &["${account:2} is never replaced, so this never"],
        );
        warned(
            &[
                account,
                ("name", "${account}/${account:1}"),
                ("type", "${account:1}"),
            ],
            &[],
        );
        warned(
            &[account, ("name", "${account:3}")],
            &["${account:3} is never replaced: the rule's `account` has 2"],
        );
        warned(&[account, ("name", "${Account:01}")], &[]);
        warned(
            &[account, ("name", "${account:who}")],
            &["${account:who} is not a variable"],
        );
        warned(
            &[("account", "a*"), ("name", "${account:1}")],
            &["${account:1} is never replaced: the rule's `account` is"],
        );
        warned(
            &[("name", "${service:1}")],
            &["${service:1} is never replaced: the rule's `service` is not"],
        );
        warned(
            &[("account", "/^(.+)${type}$/"), ("name", "${account:1}")],
            &["${account:1} is never replaced: variables"],
        );
    }

    #[test]
    fn captures_and_labels_in_a_label_s_pattern_are_named() {
        let account = ("account", "/^(.+)@(.+)$/");
        warned(
            &[account, ("group", "${account:1}")],
            &["${account:1} is not replaced in a label's pattern unless"],
        );
        warned(
            &[
                account,
                ("group", "${account:1}"),
                ("name", "${account:1}/*"),
            ],
            &[],
        );
        warned(
            &[("group", "${labels:team}")],
            &["${labels:team} is not replaced"],
        );
    }

    #[test]
    fn what_looks_like_another_tool_s_pattern_is_named() {
        warned(&[("name", "team/**")], &["`**` is `*`"]);
        warned(&[("name", "*")], &["`*` takes only names without"]);
        warned(&[("account", "*")], &[]);
        warned(&[("name", "[!a]*")], &["`[!` begins a class"]);
        warned(&[("name", "/^[!a]**$/")], &[]);
        warned(
            &[("name", "${labels:project}-{labels:tier}/*")],
            &["{labels:tier} is not a variable"],
        );
        warned(&[("name", "${user}/*")], &["${user} is not a variable"]);
    }
}
