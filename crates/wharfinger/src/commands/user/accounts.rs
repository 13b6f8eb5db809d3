//! The accounts of a server: in its database, or over its API.

use accounts::{
    AccountError, AccountName, AccountRecord, LabelChange, LabelError, MAX_ACCOUNTS_LISTED,
    NOTICED_WITHIN,
};
use api::UserView;
use client::{ApiClient, ApiError, ApiRoute, VersionedObject};
use common::Secret;
use database::Precondition;
use http::StatusCode;
use policy::Labels;
use serde_json::{Map, Value, json};

use crate::commands::administrator::administrator;
use crate::commands::managed_database::{ManagedDatabase, failed};
use crate::commands::managed_server::{ManagedServer, ManagedServerArguments};
use crate::failure::{Failure, FailureKind};

/// What reading an account needs.
const READ: &[(&str, &str)] = &[("users", "read")];
/// What changing one needs. Commands read before they write.
const WRITE: &[(&str, &str)] = &[("users", "read"), ("users", "write")];

/// The type of the API's problem if a name is taken.
const ALREADY_EXISTS: &str = "urn:wharfinger:problem:already-exists";

/// The accounts of a server.
pub(super) enum UserAdministration {
    /// Those in its database, which the configuration names.
    Database(Box<ManagedDatabase>),
    /// Those that its API has.
    Api(Box<ApiClient>),
}

impl UserAdministration {
    pub(super) async fn of(server: &ManagedServerArguments) -> Result<Self, Failure> {
        Ok(match server.managed().await? {
            ManagedServer::Configured(file) => {
                Self::Database(Box::new(ManagedDatabase::with_accounts(file)?))
            }
            ManagedServer::Remote(client) => Self::Api(client),
        })
    }

    /// All of them, by name.
    pub(super) async fn list(&self) -> Result<Vec<UserView>, Failure> {
        let managed = match self {
            Self::Database(managed) => managed,
            Self::Api(api) => {
                let list = ApiRoute::new(&["users"], READ);
                return Ok(api.list(list, "after", usize::MAX).await?);
            }
        };
        let store = managed.accounts();
        let mut all: Vec<UserView> = Vec::new();
        loop {
            let after = all.last().map_or("", |account| &account.name);
            let page = store.list(after, MAX_ACCOUNTS_LISTED).await;
            let page = page.map_err(|error| refused(&error))?;
            let is_last = page.len() < MAX_ACCOUNTS_LISTED as usize;
            all.extend(page.iter().map(UserView::from));
            if is_last {
                return Ok(all);
            }
        }
    }

    /// The account of this name.
    pub(super) async fn find(&self, name: &str) -> Result<UserView, Failure> {
        match self {
            Self::Database(managed) => {
                let found = managed.accounts().find(name).await;
                let found = found.map_err(|error| refused(&error))?;
                let found = found.as_ref().map(UserView::from);
                found.ok_or_else(|| refused(&AccountError::Unknown(name.to_owned())))
            }
            Self::Api(api) => Ok(read(api, name, READ).await?.object),
        }
    }

    /// Fails if an account of this name cannot be added, before the user types a password.
    pub(super) async fn require_free(&self, name: &AccountName) -> Result<(), Failure> {
        let found = match self {
            Self::Database(managed) => {
                refuse_configured(managed, name)?;
                let found = managed.accounts().find(name.as_str()).await;
                found.map_err(|error| refused(&error))?.is_some()
            }
            Self::Api(api) => {
                let found = api.get::<UserView>(route(name.as_str(), WRITE)).await;
                match found.map(drop) {
                    Ok(()) => true,
                    Err(error) if error.refused() == Some(StatusCode::NOT_FOUND) => false,
                    Err(error) => return Err(error.into()),
                }
            }
        };
        match found {
            true => Err(refused(&AccountError::Exists(name.to_string()))),
            false => Ok(()),
        }
    }

    pub(super) async fn add(
        &self,
        name: &AccountName,
        password: &Secret,
        labels: Labels,
    ) -> Result<UserView, Failure> {
        match self {
            Self::Database(managed) => {
                let store = managed.accounts();
                let added = store.add(&administrator(), name, password, labels).await;
                added
                    .map(|account| UserView::from(&account))
                    .map_err(|error| refused(&error))
            }
            Self::Api(api) => {
                let new = json!({
                    "name": name.as_str(),
                    "password": password.expose(),
                    "labels": labels,
                });
                let added = api.create(ApiRoute::new(&["users"], WRITE), &new).await;
                added.map_err(|error| refused_by_api(error, name.as_str()))
            }
        }
    }

    pub(super) async fn set_password(
        &self,
        name: &str,
        password: &Secret,
    ) -> Result<UserView, Failure> {
        match self {
            Self::Database(managed) => {
                let store = managed.accounts();
                let changed = store.set_password(&administrator(), name, password).await;
                noticed(changed).await
            }
            Self::Api(api) => patch(api, name, &json!({"password": password.expose()})).await,
        }
    }

    pub(super) async fn set_disabled(
        &self,
        name: &str,
        is_disabled: bool,
    ) -> Result<UserView, Failure> {
        match self {
            Self::Database(managed) => {
                let (store, by) = (managed.accounts(), administrator());
                let changed = match is_disabled {
                    true => store.disable(&by, name).await,
                    false => store.enable(&by, name).await,
                };
                noticed(changed).await
            }
            Self::Api(api) => patch(api, name, &json!({"disabled": is_disabled})).await,
        }
    }

    pub(super) async fn set_labels(
        &self,
        name: &str,
        change: LabelChange,
    ) -> Result<UserView, Failure> {
        match self {
            Self::Database(managed) => {
                let store = managed.accounts();
                let changed = store.set_labels(&administrator(), name, change).await;
                noticed(changed).await
            }
            Self::Api(api) => {
                let before = read(api, name, WRITE).await?;
                let labels = merge_patch(&before.object.labels, change)?;
                let patch = json!({ "labels": labels });
                let version = before.version.as_ref();
                let changed = api.change(route(name, WRITE), &patch, version).await;
                changed.map_err(|error| refused_by_api(error, name))
            }
        }
    }

    /// Removes an account, and returns what it was.
    pub(super) async fn remove(&self, name: &str) -> Result<UserView, Failure> {
        match self {
            Self::Database(managed) => {
                let removed = managed
                    .accounts()
                    .remove(&administrator(), name, Precondition::Unconditional)
                    .await;
                noticed(removed).await
            }
            Self::Api(api) => {
                let before = read(api, name, WRITE).await?;
                let version = before.version.as_ref();
                let removed = api.delete(route(name, WRITE), version).await;
                removed.map_err(|error| refused_by_api(error, name))?;
                Ok(before.object)
            }
        }
    }
}

/// The account as it was changed, after a running server has noticed that, so that what is printed is true.
async fn noticed(changed: Result<AccountRecord, AccountError>) -> Result<UserView, Failure> {
    let account = changed.map_err(|error| refused(&error))?;
    tokio::time::sleep(NOTICED_WITHIN).await;
    Ok(UserView::from(&account))
}

fn route(name: &str, rights: &'static [(&'static str, &'static str)]) -> ApiRoute {
    ApiRoute::new(&["users", name], rights)
}

async fn read(
    api: &ApiClient,
    name: &str,
    rights: &'static [(&'static str, &'static str)],
) -> Result<VersionedObject<UserView>, Failure> {
    let found = api.get(route(name, rights)).await;
    found.map_err(|error| refused_by_api(error, name))
}

async fn patch(api: &ApiClient, name: &str, patch: &Value) -> Result<UserView, Failure> {
    let changed = api.change(route(name, WRITE), patch, None).await;
    changed.map_err(|error| refused_by_api(error, name))
}

/// A change of labels as a merge patch (RFC 7396), if all that it removes are there.
fn merge_patch(before: &Labels, change: LabelChange) -> Result<Map<String, Value>, Failure> {
    let unknown = change
        .remove
        .iter()
        .find(|name| !before.contains_key(*name));
    if let Some(unknown) = unknown {
        let error = LabelError::Unknown(unknown.clone());
        return Err(refused(&AccountError::Labels(error)));
    }
    let removed = change.remove.into_iter().map(|name| (name, Value::Null));
    let set = change
        .set
        .into_iter()
        .map(|(name, values)| (name, json!(values)));
    Ok(removed.chain(set).collect())
}

/// An account of the configuration is asked first, so one of the same name would never log in.
fn refuse_configured(managed: &ManagedDatabase, name: &AccountName) -> Result<(), Failure> {
    let users = managed.config.users.iter();
    let htpasswd = managed.config.htpasswd.iter().map(|file| &file.accounts);
    let mut lists = users.chain(htpasswd);
    if lists.any(|accounts| accounts.find(name.as_str()).is_some()) {
        let message = format!("{name} is an account of the configuration already");
        return Err(configured(message));
    }
    Ok(())
}

/// What to do when the configuration has the account.
fn configured(message: String) -> Failure {
    Failure::negative(message)
        .hint("`wharfinger passwd` sets its password; remove it there to add it here")
}

/// What to do when an operation failed.
fn refused(error: &AccountError) -> Failure {
    match error {
        AccountError::Database(error) => failed(error),
        AccountError::Unknown(_) => Failure::new(FailureKind::NotFound, error.to_string())
            .hint("`wharfinger user list` shows the accounts"),
        AccountError::Exists(_) => Failure::negative(error.to_string())
            .hint("`wharfinger user passwd` sets another password"),
        AccountError::Hash(_) | AccountError::Entropy(_) => {
            Failure::system("nothing has changed").caused_by(error)
        }
        _ => Failure::usage(error.to_string()),
    }
}

/// The same for what the API refused about the account `name`.
fn refused_by_api(error: ApiError, name: &str) -> Failure {
    match &error {
        ApiError::Refused { status, .. } if *status == StatusCode::NOT_FOUND => {
            refused(&AccountError::Unknown(name.to_owned()))
        }
        // The database has it, or the server's configuration: the server says which.
        ApiError::Refused { problem, .. } if problem.kind == ALREADY_EXISTS => {
            let exists = AccountError::Exists(name.to_owned());
            let message = error.to_string();
            match message == exists.to_string() {
                true => refused(&exists),
                false => configured(message),
            }
        }
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_labels_is_a_merge_patch() {
        let before: Labels = [("team".to_owned(), vec!["red".to_owned()])].into();
        let change = |set: &[(&str, &str)], remove: &[&str]| LabelChange {
            set: set
                .iter()
                .map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()]))
                .collect(),
            remove: remove.iter().map(ToString::to_string).collect(),
            allows_absent: false,
        };
        let patch = |change| merge_patch(&before, change).map(Value::Object);
        assert_eq!(
            patch(change(&[("site", "oslo")], &["team"])).unwrap(),
            json!({"site": ["oslo"], "team": null})
        );
        // As the database does it: what is set counts, whatever is removed.
        assert_eq!(
            patch(change(&[("team", "blue")], &["team"])).unwrap(),
            json!({"team": ["blue"]})
        );
        let error = patch(change(&[], &["vip"])).unwrap_err().to_string();
        assert!(
            error.contains("the account has no label \"vip\""),
            "{error}"
        );
    }
}
