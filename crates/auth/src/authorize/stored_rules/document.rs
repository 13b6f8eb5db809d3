//! A rule as a database stores it: one JSON object, as `docker_auth` reads it with Go's
//! `encoding/json`.
//!
//! ```json
//! {"Match": {"Account": "/.+/", "Name": "${account}/*"}, "Actions": ["*"], "Comment": "one's own"}
//! ```

use common::nearest;
use policy::{AclEntry, Conditions};
use serde_json::{Map, Value};

/// Why a document is not a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleDocumentError {
    /// It is not an object.
    #[error("the rule is {0}: write an object with `match` and `actions`")]
    NoObject(&'static str),
    /// It has no conditions.
    #[error("`match` is missing: write {{}} for everything")]
    NoMatch,
    /// It says nothing of actions.
    #[error("`actions` is missing: [\"*\"] allows, [] denies")]
    NoActions,
    /// A member has another type.
    #[error("`{key}` is {found}: write {wanted}")]
    WrongType {
        /// The path of the member.
        key: String,
        /// What it is.
        found: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
    /// Two members have one name.
    #[error("`{0}` is there twice, in two spellings")]
    Repeated(&'static str),
    /// A condition that would not be checked.
    #[error("`match` has the unknown key {key:?}{}", hint(*.nearest))]
    UnknownCondition {
        /// Its name.
        key: String,
        /// The known name that is nearest.
        nearest: Option<&'static str>,
    },
}

/// The members of `match`. Another one would be a condition that is not checked.
const CONDITIONS: [&str; 6] = ["account", "type", "name", "ip", "service", "labels"];

/// The rule that `document` is. Members beside `match`, `actions` and `comment` belong to the
/// database, as MongoDB's `_id` does.
///
/// # Errors
/// When the document is not a rule. Its patterns are not looked at.
pub fn read_rule(document: &Value) -> Result<AclEntry, RuleDocumentError> {
    let not_a_rule = || RuleDocumentError::NoObject(kind(document));
    let rule = document.as_object().ok_or_else(not_a_rule)?;
    let conditions = member(rule, "match")?.ok_or(RuleDocumentError::NoMatch)?;
    let actions = member(rule, "actions")?.ok_or(RuleDocumentError::NoActions)?;
    Ok(AclEntry {
        conditions: read_conditions(object(conditions, "match")?)?,
        actions: texts(actions)?,
        comment: optional_text(rule, "comment", "comment")?,
    })
}

fn read_conditions(conditions: &Map<String, Value>) -> Result<Conditions, RuleDocumentError> {
    let is_known = |key: &&String| CONDITIONS.iter().any(|known| is_spelling_of(known, key));
    if let Some(key) = conditions.keys().find(|key| !is_known(key)) {
        return Err(RuleDocumentError::UnknownCondition {
            key: key.clone(),
            nearest: nearest(key, CONDITIONS),
        });
    }
    let none = Map::new();
    let labels = match member(conditions, "labels")? {
        Some(labels) => object(labels, "match.labels")?,
        None => &none,
    };
    let label = |(name, pattern): (&String, &Value)| {
        let key = format!("match.labels.{name}");
        Ok((name.clone(), text(pattern, &key)?))
    };
    Ok(Conditions {
        account: optional_text(conditions, "account", "match.account")?,
        resource_type: optional_text(conditions, "type", "match.type")?,
        name: optional_text(conditions, "name", "match.name")?,
        service: optional_text(conditions, "service", "match.service")?,
        ip: optional_text(conditions, "ip", "match.ip")?,
        labels: labels.iter().map(label).collect::<Result<_, _>>()?,
    })
}

/// The member `name`, whatever the case of its key; `null` is absent.
fn member<'a>(
    object: &'a Map<String, Value>,
    name: &'static str,
) -> Result<Option<&'a Value>, RuleDocumentError> {
    let mut found = object.iter().filter(|(key, _)| is_spelling_of(name, key));
    let first = found.next();
    // Go would read both, one over the other.
    if found.next().is_some() {
        return Err(RuleDocumentError::Repeated(name));
    }
    Ok(first
        .map(|(_, value)| value)
        .filter(|value| !value.is_null()))
}

/// Whether Go takes `key` for `name`, which is in lower case: without regard to case, and by
/// Unicode's folding of the two letters that fold to ASCII.
fn is_spelling_of(name: &str, key: &str) -> bool {
    let folded = key.chars().map(|letter| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        letter => letter.to_ascii_lowercase(),
    });
    folded.eq(name.chars())
}

fn object<'a>(value: &'a Value, key: &str) -> Result<&'a Map<String, Value>, RuleDocumentError> {
    value
        .as_object()
        .ok_or_else(|| wrong_type(key, value, "an object"))
}

fn optional_text(
    object: &Map<String, Value>,
    name: &'static str,
    key: &str,
) -> Result<Option<String>, RuleDocumentError> {
    member(object, name)?
        .map(|value| text(value, key))
        .transpose()
}

fn text(value: &Value, key: &str) -> Result<String, RuleDocumentError> {
    let text = value.as_str().map(str::to_owned);
    text.ok_or_else(|| wrong_type(key, value, "a string"))
}

fn texts(value: &Value) -> Result<Vec<String>, RuleDocumentError> {
    let list = value.as_array();
    let list = list.ok_or_else(|| wrong_type("actions", value, "a list of strings"))?;
    list.iter().map(|action| text(action, "actions")).collect()
}

fn wrong_type(key: &str, found: &Value, wanted: &'static str) -> RuleDocumentError {
    RuleDocumentError::WrongType {
        key: key.to_owned(),
        found: kind(found),
        wanted,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn hint(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("; did you mean `{nearest}`?"),
        None => format!("; known keys: {}", CONDITIONS.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Result<AclEntry, String> {
        read_rule(&serde_json::from_str(text).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn every_member_is_read_in_any_case() {
        let expected = AclEntry {
            conditions: Conditions {
                account: Some("/.+/".into()),
                resource_type: Some("repository".into()),
                name: Some("${account}/*".into()),
                service: Some("reg".into()),
                ip: Some("192.0.2.0/24".into()),
                labels: [("Group".to_owned(), "dev".to_owned())].into(),
            },
            actions: vec!["pull".into(), "push".into()],
            comment: Some("Own.".into()),
        };
        for text in [
            r#"{"Match": {"Account": "/.+/", "Type": "repository", "Name": "${account}/*", "IP": "192.0.2.0/24",
                "Service": "reg", "Labels": {"Group": "dev"}}, "Actions": ["pull", "push"], "Comment": "Own."}"#,
            r#"{"match": {"account": "/.+/", "type": "repository", "name": "${account}/*", "ip": "192.0.2.0/24",
                "service": "reg", "labels": {"Group": "dev"}}, "actions": ["pull", "push"], "comment": "Own."}"#,
            r#"{"_id": {"$oid": "6"}, "seq": 3, "MATCH": {"aCCOUNT": "/.+/", "TYPE": "repository", "name": "${account}/*",
                "Ip": "192.0.2.0/24", "\u017fervice": "reg", "label\u017f": {"Group": "dev"}},
                "ACTIONS": ["pull", "push"], "Comment": "Own."}"#,
        ] {
            assert_eq!(rule(text).as_ref(), Ok(&expected), "{text}");
        }
    }

    #[test]
    fn null_is_absent_and_nothing_may_be_granted() {
        let text =
            r#"{"Match": {"Account": null, "Labels": null}, "Actions": [], "Comment": null}"#;
        assert_eq!(rule(text), Ok(AclEntry::default()));
        let text = r#"{"Match": {"Account": ""}, "Actions": ["*"]}"#;
        assert_eq!(rule(text).unwrap().conditions.account.as_deref(), Some(""));
    }

    #[test]
    fn what_is_not_a_rule_is_refused_with_what_to_write() {
        for (text, said) in [
            (
                "3",
                "the rule is a number: write an object with `match` and `actions`",
            ),
            (
                "null",
                "the rule is null: write an object with `match` and `actions`",
            ),
            (
                r#"{"Actions": []}"#,
                "`match` is missing: write {} for everything",
            ),
            (
                r#"{"Match": null, "Actions": []}"#,
                "`match` is missing: write {} for everything",
            ),
            (
                r#"{"Match": {}}"#,
                r#"`actions` is missing: ["*"] allows, [] denies"#,
            ),
            (
                r#"{"Match": {}, "Actions": null}"#,
                r#"`actions` is missing: ["*"] allows, [] denies"#,
            ),
            (
                r#"{"Match": [], "Actions": []}"#,
                "`match` is a list: write an object",
            ),
            (
                r#"{"Match": {}, "Actions": "*"}"#,
                "`actions` is a string: write a list of strings",
            ),
            (
                r#"{"Match": {}, "Actions": [1]}"#,
                "`actions` is a number: write a string",
            ),
            (
                r#"{"Match": {"Name": 5}, "Actions": []}"#,
                "`match.name` is a number: write a string",
            ),
            (
                r#"{"Match": {"Labels": {"group": ["a"]}}, "Actions": []}"#,
                "`match.labels.group` is a list: write a string",
            ),
            (
                r#"{"Match": {"acount": "ann"}, "Actions": ["*"]}"#,
                "`match` has the unknown key \"acount\"; did you mean `account`?",
            ),
            (
                r#"{"Match": {"team": "ann"}, "Actions": ["*"]}"#,
                "`match` has the unknown key \"team\"; known keys: account, type, name, ip, service, labels",
            ),
            (
                r#"{"Match": {"name": "a", "Name": "b"}, "Actions": ["*"]}"#,
                "`name` is there twice, in two spellings",
            ),
        ] {
            assert_eq!(rule(text).unwrap_err(), said, "{text}");
        }
    }

    #[test]
    fn fuzz_stored_rule() {
        let seeds = [
            r#"{"Match": {"Account": "/.+/", "IP": "::1", "Labels": {"a": "b"}}, "Actions": ["*"]}"#,
            r#"{"match": {}, "actions": [], "comment": "none"}"#,
        ];
        fuzz::target("stored rule", &seeds, |bytes| {
            serde_json::from_slice(bytes).is_ok_and(|document| read_rule(&document).is_ok())
        });
    }
}
