//! `/immutable-tags`: the rules of the database that make tags immutable.

use common::{rfc3339, unix_seconds};
use immutable_tags::{
    ImmutableTagError, ImmutableTagList, ListedImmutableTagRule, NewImmutableTagRule,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tag_rules::TagPattern;

use super::rule_number::rule_number;
use crate::call::{ApiCall, InBody};
use crate::etag::EntityTag;
use crate::problem::ApiProblem;
use crate::reply::{CreatedObject, NoContent, Shown};
use crate::scope::{ImmutableTagsRead, ImmutableTagsWrite};

/// A rule that makes tags immutable, as commands with `--json` show it, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ImmutableTagRule")]
pub struct ImmutableTagRuleView {
    /// Its number, which no other rule ever gets.
    pub number: i64,
    /// A pattern of repositories: `*` stops at a slash, `**` does not.
    pub repository: String,
    /// A pattern of the tags that are immutable.
    pub tag: String,
    /// Patterns of tags that the rule leaves alone.
    #[serde(default)]
    pub except: Vec<String>,
    /// When it was added (RFC 3339).
    pub created_at: String,
}

/// All rules, by number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "ImmutableTagRuleList")]
pub struct ImmutableTagListView {
    /// The rules.
    pub items: Vec<ImmutableTagRuleView>,
    /// Always null: the list is one page.
    #[serde(default)]
    pub next: Option<String>,
}

/// A rule that is to be added.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewImmutableTagRule")]
pub(crate) struct ImmutableTagBody {
    /// A pattern of repositories: `*` stops at a slash, `**` does not, `?` is one character.
    repository: String,
    /// A pattern of the tags that become immutable.
    tag: String,
    /// Patterns of tags that the rule leaves alone.
    #[serde(default)]
    except: Vec<String>,
}

pub(crate) async fn list(
    call: ApiCall<ImmutableTagsRead>,
) -> Result<Shown<ImmutableTagListView>, ApiProblem> {
    let listed = call.state.stores.immutable_tags.list().await?;
    let version = ImmutableTagList::version_of(&listed);
    Ok(Shown {
        value: ImmutableTagListView {
            items: listed.iter().map(ImmutableTagRuleView::from).collect(),
            next: None,
        },
        tag: Some(EntityTag::of(&version)),
    })
}

pub(crate) async fn create(
    call: ApiCall<ImmutableTagsWrite, InBody<ImmutableTagBody>>,
) -> Result<CreatedObject<ImmutableTagRuleView>, ApiProblem> {
    let rule = call.input.0.rule()?;
    let (list, by) = (
        &call.state.stores.immutable_tags,
        call.caller.administrator(),
    );
    let added = list.add(&by, rule, call.if_match()).await?;
    Ok(CreatedObject {
        location: call.location_of(&added.number.to_string()),
        tag: Some(EntityTag::of(&added.version)),
        value: ImmutableTagRuleView::from(&added),
    })
}

pub(crate) async fn show(
    call: ApiCall<ImmutableTagsRead>,
) -> Result<Shown<ImmutableTagRuleView>, ApiProblem> {
    let list = &call.state.stores.immutable_tags;
    let rule = list.find(rule_number(&call)?).await?;
    Ok(Shown {
        value: ImmutableTagRuleView::from(&rule),
        tag: Some(EntityTag::of(&rule.version)),
    })
}

pub(crate) async fn remove(call: ApiCall<ImmutableTagsWrite>) -> Result<NoContent, ApiProblem> {
    let (list, by) = (
        &call.state.stores.immutable_tags,
        call.caller.administrator(),
    );
    list.remove(&by, rule_number(&call)?, call.if_match())
        .await?;
    Ok(NoContent)
}

impl ImmutableTagBody {
    fn rule(&self) -> Result<NewImmutableTagRule, ApiProblem> {
        let wrong = |pointer: String| {
            move |error: tag_rules::PatternError| {
                ApiProblem::invalid_value(pointer, error.to_string())
            }
        };
        let mut except = Vec::new();
        for (index, text) in self.except.iter().enumerate() {
            let pattern: Result<TagPattern, _> = text.parse();
            except.push(pattern.map_err(wrong(format!("/except/{index}")))?);
        }
        Ok(NewImmutableTagRule {
            repository: self
                .repository
                .parse()
                .map_err(wrong("/repository".into()))?,
            tag: self.tag.parse().map_err(wrong("/tag".into()))?,
            except,
        })
    }
}

impl From<&ListedImmutableTagRule> for ImmutableTagRuleView {
    fn from(listed: &ListedImmutableTagRule) -> Self {
        let NewImmutableTagRule {
            repository,
            tag,
            except,
        } = &listed.rule;
        Self {
            number: listed.number,
            repository: repository.as_str().to_owned(),
            tag: tag.as_str().to_owned(),
            except: except.iter().map(|it| it.as_str().to_owned()).collect(),
            created_at: rfc3339(unix_seconds(listed.created_at)),
        }
    }
}

impl From<ImmutableTagError> for ApiProblem {
    fn from(error: ImmutableTagError) -> Self {
        match error {
            ImmutableTagError::TooManyExceptions(_) => {
                Self::invalid_value("/except", error.to_string())
            }
            ImmutableTagError::TooMany => Self::limit_reached(error.to_string()),
            ImmutableTagError::Precondition(failed) => failed.into(),
            ImmutableTagError::Unknown(_) => Self::not_found(error.to_string()),
            ImmutableTagError::Unreadable { .. } => Self::internal(error),
            ImmutableTagError::Database(error) => error.into(),
        }
    }
}
