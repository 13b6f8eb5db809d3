//! `/rules`: the rules of the database, in their order.

use std::collections::BTreeMap;

use accounts::{ListedRule, RuleDoubt, RuleList, RuleListError, RulePlace, rule_document};
use common::{rfc3339, unix_seconds};
use policy::{AclEntry, Conditions, Field};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::rule_number::rule_number;
use crate::body::{escaped, present};
use crate::call::{ApiCall, InBody, InPatch};
use crate::etag::EntityTag;
use crate::problem::ApiProblem;
use crate::reply::{CreatedObject, NoContent, Shown};
use crate::scope::{RulesRead, RulesWrite};

/// A rule of the list, as commands with `--json` show it, too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Rule")]
pub struct RuleView {
    /// Its number, which no other rule ever gets. It says nothing of the order.
    pub number: i64,
    /// Its conditions. One that is absent is not checked.
    #[serde(rename = "match")]
    pub conditions: Map<String, Value>,
    /// What it grants; `*` is every action.
    pub actions: Vec<String>,
    /// A note for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// When it was added (RFC 3339).
    pub created_at: String,
}

/// All rules, in the order in which they are asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RuleList")]
pub struct RuleListView {
    /// The rules.
    pub items: Vec<RuleView>,
    /// Always null: the list is one page.
    #[serde(default)]
    pub next: Option<String>,
    /// What is valid but probably not intended.
    #[serde(default)]
    pub warnings: Vec<RuleWarningView>,
}

/// What is valid but probably not intended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RuleWarning")]
pub struct RuleWarningView {
    /// The number of the rule; null if it is about all of them.
    pub number: Option<i64>,
    /// What it is, and what to write instead.
    pub text: String,
}

/// A rule that is to be added.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewRule {
    /// The rule.
    rule: RuleBody,
    /// Where in the order. Without it, the last.
    #[serde(default)]
    place: PlaceBody,
}

/// A rule in the shape of `acl`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RuleBody {
    /// Its conditions; `{}` matches everything.
    #[serde(rename = "match")]
    conditions: ConditionsBody,
    /// Its actions: `["*"]` grants every action, `[]` grants nothing.
    actions: Vec<String>,
    /// A note for people.
    #[serde(default)]
    comment: Option<String>,
}

/// Conditions. One that is absent is not checked. The values are patterns.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ConditionsBody {
    /// On the account.
    #[serde(default)]
    account: Option<String>,
    /// On the kind of resource, such as `repository`.
    #[serde(default, rename = "type")]
    resource_type: Option<String>,
    /// On the name of the resource.
    #[serde(default)]
    name: Option<String>,
    /// On the service of the request.
    #[serde(default)]
    service: Option<String>,
    /// On the client's address: an address or a network.
    #[serde(default)]
    ip: Option<String>,
    /// On the account's labels.
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// A place in the order.
#[derive(Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "RulePlace")]
enum PlaceBody {
    /// Before all others.
    First,
    /// After all others.
    #[default]
    Last,
    /// Before the rule with this number.
    Before(i64),
    /// After the rule with this number.
    After(i64),
}

/// A merge patch of a rule (RFC 7396): it can be moved. What it grants never changes, so a log names
/// one rule for good.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RulePatch {
    /// Where in the order.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "PlaceBody")]
    place: Option<PlaceBody>,
}

pub(crate) async fn list(call: ApiCall<RulesRead>) -> Result<Shown<RuleListView>, ApiProblem> {
    let rules = &call.state.stores.rules;
    let listed = rules.list.list().await?;
    let doubts = RuleDoubt::all(&listed, rules.options)?.into_iter();
    let mut warnings: Vec<RuleWarningView> = doubts.map(RuleWarningView::from).collect();
    if let Some(place) = rules.shadowed_by.as_ref().filter(|_| !listed.is_empty()) {
        warnings.push(RuleWarningView {
            number: None,
            text: format!(
                "no request reaches the rules in the database: the rule at {place} has no \
                 conditions, and decides"
            ),
        });
    }
    let version = RuleList::version_of(&listed);
    Ok(Shown {
        value: RuleListView {
            items: listed.iter().map(RuleView::from).collect(),
            next: None,
            warnings,
        },
        tag: Some(EntityTag::of(&version)),
    })
}

pub(crate) async fn create(
    call: ApiCall<RulesWrite, InBody<NewRule>>,
) -> Result<CreatedObject<RuleView>, ApiProblem> {
    let NewRule { rule, place } = &call.input.0;
    let (rules, by) = (&call.state.stores.rules.list, call.caller.administrator());
    let added = rules.add(&by, rule.entry(), place.place(), call.if_match());
    let added = added.await.map_err(|error| match error {
        RuleListError::Unknown(_) => ApiProblem::invalid_value("/place", error.to_string()),
        error => error.into(),
    })?;
    Ok(CreatedObject {
        location: call.location_of(&added.number.to_string()),
        tag: Some(EntityTag::of(&added.version)),
        value: RuleView::from(&added),
    })
}

pub(crate) async fn show(call: ApiCall<RulesRead>) -> Result<Shown<RuleView>, ApiProblem> {
    let number = rule_number(&call)?;
    Ok(shown(&call.state.stores.rules.list.find(number).await?))
}

pub(crate) async fn update(
    call: ApiCall<RulesWrite, InPatch<RulePatch>>,
) -> Result<Shown<RuleView>, ApiProblem> {
    let (rules, by) = (&call.state.stores.rules.list, call.caller.administrator());
    let number = rule_number(&call)?;
    let Some(place) = call.input.0.place else {
        let rule = rules.find(number).await?;
        call.if_match().require(&rule.version)?;
        return Ok(shown(&rule));
    };
    let moved = rules.move_to(&by, number, place.place(), call.if_match());
    let moved = moved.await.map_err(|error| match error {
        RuleListError::Unknown(other) if other != number => {
            ApiProblem::invalid_value("/place", error.to_string())
        }
        error => error.into(),
    })?;
    Ok(shown(&moved))
}

pub(crate) async fn remove(call: ApiCall<RulesWrite>) -> Result<NoContent, ApiProblem> {
    let (rules, by) = (&call.state.stores.rules.list, call.caller.administrator());
    let removal = rules.remove(&by, rule_number(&call)?, call.if_match());
    removal.await?;
    Ok(NoContent)
}

fn shown(rule: &ListedRule) -> Shown<RuleView> {
    Shown {
        value: RuleView::from(rule),
        tag: Some(EntityTag::of(&rule.version)),
    }
}

impl RuleBody {
    fn entry(&self) -> AclEntry {
        let ConditionsBody {
            account,
            resource_type,
            name,
            service,
            ip,
            labels,
        } = &self.conditions;
        AclEntry {
            conditions: Conditions {
                account: account.clone(),
                resource_type: resource_type.clone(),
                name: name.clone(),
                service: service.clone(),
                ip: ip.clone(),
                labels: labels.clone(),
            },
            actions: self.actions.clone(),
            comment: self.comment.clone(),
        }
    }
}

impl PlaceBody {
    fn place(self) -> RulePlace {
        match self {
            Self::First => RulePlace::First,
            Self::Last => RulePlace::Last,
            Self::Before(number) => RulePlace::Before(number),
            Self::After(number) => RulePlace::After(number),
        }
    }
}

impl From<&ListedRule> for RuleView {
    fn from(rule: &ListedRule) -> Self {
        let conditions = match rule_document(&rule.entry)["match"].take() {
            Value::Object(conditions) => conditions,
            _ => Map::new(),
        };
        Self {
            number: rule.number,
            conditions,
            actions: rule.entry.actions.clone(),
            comment: rule.entry.comment.clone(),
            created_at: rfc3339(unix_seconds(rule.created_at)),
        }
    }
}

impl From<RuleDoubt> for RuleWarningView {
    fn from(doubt: RuleDoubt) -> Self {
        Self {
            number: Some(doubt.number),
            text: doubt.text,
        }
    }
}

impl From<RuleListError> for ApiProblem {
    fn from(error: RuleListError) -> Self {
        match error {
            RuleListError::Invalid(ref errors) => {
                let pointer = match errors.first().map(|error| &error.field) {
                    None | Some(Field::Actions) => "/rule/actions".to_owned(),
                    Some(Field::Label(name)) => format!("/rule/match/labels/{}", escaped(name)),
                    Some(field) => format!("/rule/match/{field}"),
                };
                Self::invalid_value(pointer, error.to_string())
            }
            RuleListError::TooLong(_) => Self::invalid_value("/rule", error.to_string()),
            RuleListError::TooMany => Self::limit_reached(error.to_string()),
            RuleListError::Precondition(failed) => failed.into(),
            RuleListError::Unknown(_) => Self::not_found(error.to_string()),
            RuleListError::Unreadable { .. } => Self::internal(error),
            RuleListError::Database(error) => error.into(),
        }
    }
}
