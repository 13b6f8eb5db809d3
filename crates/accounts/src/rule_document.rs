//! A rule as the database and the API have it: one JSON object, in the shape of `acl`'s rules.

use policy::AclEntry;
use serde_json::{Map, Value, json};

/// The longest rule, in bytes of its JSON.
pub const MAX_RULE: usize = 8192;

/// The JSON of a rule: `{"match": {…}, "actions": […], "comment": "…"}`. [`auth::read_rule`] reads
/// it.
#[must_use]
pub fn rule_document(rule: &AclEntry) -> Value {
    let AclEntry {
        conditions,
        actions,
        comment,
    } = rule;
    let texts = [
        ("account", &conditions.account),
        ("type", &conditions.resource_type),
        ("name", &conditions.name),
        ("service", &conditions.service),
        ("ip", &conditions.ip),
    ];
    let texts = texts.into_iter().filter_map(|(key, text)| {
        let text = text.as_ref()?;
        Some((key.to_owned(), json!(text)))
    });
    let mut matched: Map<String, Value> = texts.collect();
    if !conditions.labels.is_empty() {
        matched.insert("labels".to_owned(), json!(conditions.labels));
    }
    let mut document = json!({ "match": matched, "actions": actions });
    if let Some(comment) = comment {
        document["comment"] = json!(comment);
    }
    document
}

#[cfg(test)]
mod tests {
    use policy::Conditions;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let all = AclEntry {
            conditions: Conditions {
                account: Some("/.+/".into()),
                resource_type: Some("repository".into()),
                name: Some("${account}/*".into()),
                service: Some(String::new()),
                ip: Some("192.0.2.0/24".into()),
                labels: [("team".to_owned(), "red".to_owned())].into(),
            },
            actions: vec!["pull".into(), "push".into()],
            comment: Some("their own".into()),
        };
        for rule in [all, AclEntry::default()] {
            assert_eq!(auth::read_rule(&rule_document(&rule)), Ok(rule));
        }
    }
}
