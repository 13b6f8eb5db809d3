//! From what a store has to compiled rules, with the `seq` of each that is wrong or doubtful.

use std::fmt;

use policy::{Acl, AclEntryError, AclOptions, Warning, WarningKind};

use super::{StoredRule, read_rule};

/// How many wrong rules, or doubts, are shown at once.
const MAX_SHOWN: usize = 10;

/// The compiled rules, or what is wrong with each of them.
pub(super) fn compile(stored: &[StoredRule], options: AclOptions) -> Result<Acl, Vec<String>> {
    let (mut entries, mut wrong) = (Vec::with_capacity(stored.len()), Vec::new());
    for StoredRule { seq, rule } in stored {
        match read_rule(rule) {
            Ok(entry) => entries.push(entry),
            Err(error) => wrong.push(format!("seq {seq}: {error}")),
        }
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let describe = |error: AclEntryError| {
        let seq = stored[error.rule].seq;
        format!("seq {seq}: match.{}: {}", error.field, error.problem)
    };
    Acl::compile(entries, options).map_err(|errors| errors.into_iter().map(describe).collect())
}

/// What is valid in the rules but probably not intended, each with its `seq`.
pub(super) fn doubts(stored: &[StoredRule], acl: &Acl) -> Vec<(i64, String)> {
    let repeated = stored.windows(2).filter(|pair| pair[0].seq == pair[1].seq);
    let repeated = repeated.map(|pair| {
        let doubt = "another rule has the same seq, so their order may change";
        (pair[0].seq, doubt.to_owned())
    });
    let warnings = acl.warnings();
    let warnings = warnings.map(|warning| (stored[warning.rule].seq, doubt(warning, stored)));
    repeated.chain(warnings).take(MAX_SHOWN).collect()
}

/// What a warning says, with the `seq` of the rule that it names.
fn doubt(warning: &Warning, stored: &[StoredRule]) -> String {
    let kind = match &warning.kind {
        WarningKind::Unreachable(by) => format!(
            "no request reaches it: the rule with seq {} has no conditions, and the first that \
             matches decides",
            stored[*by].seq
        ),
        kind => kind.to_string(),
    };
    match &warning.field {
        Some(field) => format!("{field}: {kind}"),
        None => kind,
    }
}

/// The first of them, and how many more there are.
pub(super) fn list(wrong: &[String]) -> impl fmt::Display {
    let shown = wrong.len().min(MAX_SHOWN);
    let first = wrong[..shown].join("; ");
    match wrong.len() - shown {
        0 => first,
        more => format!("{first}; and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rule(seq: i64, rule: serde_json::Value) -> StoredRule {
        StoredRule { seq, rule }
    }

    #[test]
    fn what_is_wrong_names_its_seq() {
        let stored = [
            rule(10, json!({"Match": {}, "Actions": []})),
            rule(20, json!({"Match": {"Name": "/(/"}, "Actions": []})),
            rule(30, json!({"Match": {"IP": "10.0.0"}, "Actions": []})),
        ];
        let wrong = compile(&stored, AclOptions::default()).unwrap_err();
        assert_eq!(wrong.len(), 2);
        assert!(
            wrong[0].starts_with("seq 20: match.name: the regular expression"),
            "{wrong:?}"
        );
        assert!(wrong[1].starts_with("seq 30: match.ip: "), "{wrong:?}");
        let stored = [rule(-7, json!({"Match": {}})), rule(8, json!(null))];
        let wrong = compile(&stored, AclOptions::default()).unwrap_err();
        assert!(
            wrong[0].starts_with("seq -7: `actions` is missing"),
            "{wrong:?}"
        );
        assert!(wrong[1].starts_with("seq 8: the rule is null"), "{wrong:?}");
    }

    #[test]
    fn doubts_name_their_seq() {
        let all = json!({"Match": {}, "Actions": ["*"]});
        let doubts_of = |stored: &[StoredRule]| {
            let acl = compile(stored, AclOptions::default()).unwrap();
            doubts(stored, &acl)
        };
        let unreachable = doubts_of(&[rule(1, all.clone()), rule(5, all.clone())]);
        assert_eq!(unreachable[0].0, 5);
        assert!(
            unreachable[0]
                .1
                .contains("the rule with seq 1 has no conditions")
        );
        let repeated = doubts_of(&[rule(3, all.clone()), rule(3, all)]);
        assert_eq!(repeated[0].0, 3);
        assert!(repeated[0].1.contains("the same seq"));
    }

    #[test]
    fn a_long_list_is_cut() {
        let wrong: Vec<String> = (0..12).map(|seq| format!("seq {seq}: wrong")).collect();
        let text = list(&wrong).to_string();
        assert!(text.starts_with("seq 0: wrong; seq 1: wrong; "));
        assert!(text.ends_with("seq 9: wrong; and 2 more"));
        assert_eq!(list(&wrong[..1]).to_string(), "seq 0: wrong");
    }
}
