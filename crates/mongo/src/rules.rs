//! Rules in MongoDB: `{"seq": 10, "match": {…}, "actions": [...], "comment": "…"}`.

use auth::{MAX_STORED_RULES, ProbedRules, RuleStore, RuleStoreError, StoredRule};
use common::BoxFuture;
use mongodb::bson::{Bson, Document, doc};
use serde_json::{Value, json};

use crate::collection::MongoCollection;
use crate::error::MongoError;
use crate::settings::MongoSettings;

/// Rules of a collection.
pub struct MongoRules {
    name: &'static str,
    collection: MongoCollection,
}

impl MongoRules {
    /// The rules for the section `name`.
    #[must_use]
    pub fn new(name: &'static str, settings: MongoSettings) -> Self {
        Self {
            name,
            collection: MongoCollection::new(name, settings, "seq"),
        }
    }

    async fn read_all(&self) -> Result<Vec<StoredRule>, RuleStoreError> {
        // One more than may be there, so that too many are seen.
        let most = i64::try_from(MAX_STORED_RULES + 1).unwrap_or(i64::MAX);
        let documents = self.collection.find(doc! {}, most).await.map_err(failed)?;
        let (mut rules, mut wrong) = (Vec::with_capacity(documents.len()), Vec::new());
        for document in documents {
            match rule(document) {
                Ok(rule) => rules.push(rule),
                Err(error) => wrong.push(error),
            }
        }
        match wrong.is_empty() {
            true => Ok(rules),
            false => Err(RuleStoreError::Rules(wrong)),
        }
    }
}

impl RuleStore for MongoRules {
    fn name(&self) -> &'static str {
        self.name
    }

    fn read(&self) -> BoxFuture<'_, Result<Vec<StoredRule>, RuleStoreError>> {
        Box::pin(self.read_all())
    }

    fn probe(&self) -> BoxFuture<'_, Result<ProbedRules, RuleStoreError>> {
        Box::pin(async {
            self.collection.only_read();
            self.read_all().await.map(ProbedRules::Rules)
        })
    }
}

/// The rule of a document, or what is wrong with it.
fn rule(document: Document) -> Result<StoredRule, String> {
    let seq = document.get("seq").and_then(whole).ok_or_else(|| {
        let id = document
            .get("_id")
            .map_or_else(String::new, |id| format!(" with _id {id}"));
        format!("the rule{id} has no seq, or one that is not a whole number")
    })?;
    Ok(StoredRule {
        seq,
        rule: json(Bson::Document(document)),
    })
}

/// A whole number. The shell of MongoDB writes each number as a double.
fn whole(value: &Bson) -> Option<i64> {
    match *value {
        Bson::Int32(number) => Some(number.into()),
        Bson::Int64(number) => Some(number),
        Bson::Double(number) if number.fract() == 0.0 && number.abs() < 9e15 => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "it is whole and in the range"
            )]
            let number = number as i64;
            Some(number)
        }
        _ => None,
    }
}

/// A value as JSON. Types that JSON lacks become an object, which no rule has a use for.
fn json(value: Bson) -> Value {
    match value {
        Bson::Null => Value::Null,
        Bson::Boolean(value) => value.into(),
        Bson::String(text) => text.into(),
        Bson::Int32(number) => number.into(),
        Bson::Int64(number) => number.into(),
        Bson::Double(number) => number.into(),
        Bson::Array(values) => values.into_iter().map(json).collect(),
        Bson::Document(members) => {
            let members = members.into_iter().map(|(key, value)| (key, json(value)));
            Value::Object(members.collect())
        }
        other => json!({ "$type": format!("{:?}", other.element_type()) }),
    }
}

fn failed(error: MongoError) -> RuleStoreError {
    match error.may_pass() {
        true => RuleStoreError::Unavailable(error.into()),
        false => RuleStoreError::Broken(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::oid::ObjectId;

    use super::*;

    #[test]
    fn a_seq_is_any_whole_number() {
        for (seq, expected) in [
            (Bson::Int32(-7), -7),
            (Bson::Int64(9_000_000_000), 9_000_000_000),
            (Bson::Double(7.0), 7),
        ] {
            let document = doc! {"seq": seq, "match": {}, "actions": []};
            assert_eq!(rule(document).unwrap().seq, expected);
        }
        let id = ObjectId::new();
        for seq in [
            Bson::Null,
            Bson::Double(7.5),
            Bson::Double(f64::NAN),
            Bson::String("7".into()),
        ] {
            let error = rule(doc! {"_id": id, "seq": seq}).unwrap_err();
            assert!(
                error.contains(&id.to_hex()) && error.contains("has no seq"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_type_that_json_lacks_is_no_text() {
        let account = ObjectId::new();
        let document = doc! {"seq": 1, "match": {"account": account}, "actions": ["pull"]};
        let rule = rule(document).unwrap().rule;
        assert!(rule["match"]["account"].is_object(), "{rule}");
        assert_eq!(rule["actions"], json!(["pull"]));
    }
}
