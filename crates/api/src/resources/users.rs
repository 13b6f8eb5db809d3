//! `/users`: the accounts of the database.

use std::collections::BTreeMap;

use accounts::{AccountError, AccountName, AccountRecord, AccountUpdate, LabelChange};
use common::{rfc3339, unix_seconds};
use policy::Labels;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::{SecretText, present};
use crate::call::{ApiCall, InBody, InPatch, InQuery};
use crate::etag::EntityTag;
use crate::pages::PageParameters;
use crate::problem::ApiProblem;
use crate::reply::{CreatedObject, NoContent, Page, Shown};
use crate::scope::{UsersRead, UsersWrite};

/// An account of the database, as commands with `--json` show it, too.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "User")]
pub struct UserView {
    /// Its name.
    pub name: String,
    /// Whether its logins are rejected.
    pub disabled: bool,
    /// What rules can match besides the name.
    pub labels: Labels,
    /// When it was added (RFC 3339).
    pub created_at: String,
    /// When it was last changed.
    pub changed_at: String,
}

impl From<&AccountRecord> for UserView {
    fn from(account: &AccountRecord) -> Self {
        Self {
            name: account.name.clone(),
            disabled: account.is_disabled,
            labels: account.labels.clone(),
            created_at: rfc3339(unix_seconds(account.created_at)),
            changed_at: rfc3339(unix_seconds(account.changed_at)),
        }
    }
}

/// An account that is to be added.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewUser {
    /// Its name.
    name: String,
    /// Its password.
    password: SecretText,
    /// Its labels.
    #[serde(default)]
    labels: Labels,
}

/// A merge patch of an account (RFC 7396). What is absent stays as it is.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserPatch {
    /// Another password. The sessions of the old one end.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "SecretText")]
    password: Option<SecretText>,
    /// Labels that get other values, and, with `null`, labels that are removed.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "BTreeMap<String, Option<Vec<String>>>")]
    labels: Option<BTreeMap<String, Option<Vec<String>>>>,
    /// Whether its logins are rejected. The sessions of an account that is disabled end for good.
    #[serde(default, deserialize_with = "present")]
    #[schemars(with = "bool")]
    disabled: Option<bool>,
}

pub(crate) async fn list(
    call: ApiCall<UsersRead, InQuery<PageParameters>>,
) -> Result<Page<UserView>, ApiProblem> {
    let InQuery(PageParameters { after, limit }) = &call.input;
    let store = &call.state.stores.accounts;
    let accounts = store.list(after.key(), limit.get()).await?;
    let last = limit.last_if_full(&accounts);
    let items = accounts.iter().map(UserView::from).collect();
    Ok(call.page(items, last.map(|account| account.name.as_str())))
}

pub(crate) async fn create(
    call: ApiCall<UsersWrite, InBody<NewUser>>,
) -> Result<CreatedObject<UserView>, ApiProblem> {
    let NewUser {
        name,
        password,
        labels,
    } = &call.input.0;
    let parsed = name.parse::<AccountName>();
    let name = parsed.map_err(|error| ApiProblem::invalid_value("/name", error.to_string()))?;
    let mut configured = call.state.stores.configured.iter();
    if configured.any(|accounts| accounts.find(name.as_str()).is_some()) {
        let detail = format!("{name} is an account of the configuration already");
        return Err(ApiProblem::already_exists(detail));
    }
    let (store, by) = (&call.state.stores.accounts, call.caller.administrator());
    let account = store.add(&by, &name, &password.0, labels.clone()).await?;
    Ok(CreatedObject {
        location: call.location_of(&account.name),
        tag: Some(EntityTag::of(&account.version)),
        value: UserView::from(&account),
    })
}

pub(crate) async fn show(call: ApiCall<UsersRead>) -> Result<Shown<UserView>, ApiProblem> {
    let name = call.parameter("name");
    let found = call.state.stores.accounts.find(name).await?;
    let account = found.ok_or_else(|| AccountError::Unknown(name.to_owned()))?;
    Ok(shown(&account))
}

pub(crate) async fn update(
    call: ApiCall<UsersWrite, InPatch<UserPatch>>,
) -> Result<Shown<UserView>, ApiProblem> {
    let UserPatch {
        password,
        labels,
        disabled,
    } = &call.input.0;
    let update = AccountUpdate {
        password: password.as_ref().map(|password| password.0.clone()),
        labels: labels.as_ref().map(merged),
        disabled: *disabled,
    };
    let (store, by) = (&call.state.stores.accounts, call.caller.administrator());
    let update = store.update(&by, call.parameter("name"), update, call.if_match());
    Ok(shown(&update.await?))
}

pub(crate) async fn remove(call: ApiCall<UsersWrite>) -> Result<NoContent, ApiProblem> {
    let (store, by) = (&call.state.stores.accounts, call.caller.administrator());
    let removal = store.remove(&by, call.parameter("name"), call.if_match());
    removal.await?;
    Ok(NoContent)
}

fn shown(account: &AccountRecord) -> Shown<UserView> {
    Shown {
        value: UserView::from(account),
        tag: Some(EntityTag::of(&account.version)),
    }
}

/// A merge patch of labels: `null` removes one, and one that is not there already is removed.
fn merged(labels: &BTreeMap<String, Option<Vec<String>>>) -> LabelChange {
    let mut change = LabelChange {
        allows_absent: true,
        ..LabelChange::default()
    };
    for (name, values) in labels {
        match values {
            Some(values) => drop(change.set.insert(name.clone(), values.clone())),
            None => change.remove.push(name.clone()),
        }
    }
    change
}

impl From<AccountError> for ApiProblem {
    fn from(error: AccountError) -> Self {
        match error {
            AccountError::Exists(_) => Self::already_exists(error.to_string()),
            AccountError::Unknown(_) => Self::not_found(error.to_string()),
            AccountError::NoPassword | AccountError::LongPassword(_) => {
                Self::invalid_value("/password", error.to_string())
            }
            AccountError::Precondition(failed) => failed.into(),
            AccountError::Labels(_) => Self::invalid_value("/labels", error.to_string()),
            AccountError::Hash(_) | AccountError::Entropy(_) => Self::internal(error),
            AccountError::Database(error) => error.into(),
        }
    }
}
