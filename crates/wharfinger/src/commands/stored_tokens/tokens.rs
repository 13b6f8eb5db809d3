//! The robots and personal tokens of a server: in its database, or over its API.

use std::time::Duration;

use api::{CreatedTokenView, TokenView};
use client::{ApiClient, ApiError, ApiRoute, VersionedObject};
use common::{IpNetwork, print_duration};
use database::Precondition;
use http::StatusCode;
use personal_tokens::{
    NewToken, NewTokenHolder, PersonalTokensError, Rotation, TokenFilter, TokenKind, TokenName,
};
use policy::ScopeCeiling;
use serde::Deserialize;
use serde_json::{Value, json};

use super::database::OpenedTokens;
use crate::commands::managed_server::{ManagedServer, ManagedServerArguments};
use crate::failure::{Failure, FailureKind};

// Every account may do this with tokens of its own, so that is asked for, too.
const TOKENS_READ: &[(&str, &str)] = &[("tokens", "read"), ("own", "read")];
const TOKENS_CREATE: &[(&str, &str)] = &[("tokens", "write"), ("own", "create")];
const TOKENS_REVOKE: &[(&str, &str)] = &[("tokens", "write"), ("own", "revoke")];
const ROBOTS_READ: &[(&str, &str)] = &[("robots", "read")];
const ROBOTS_WRITE: &[(&str, &str)] = &[("robots", "write")];

/// The robots and personal tokens of a server.
pub(in crate::commands) enum TokenAdministration {
    /// Those in its database, which the configuration names.
    Database(Box<OpenedTokens>),
    /// Those that its API has.
    Api(Box<ApiClient>),
}

/// Whose a new token will be.
pub(in crate::commands) enum NewHolder {
    /// A robot's, which `owner` owns, or else the system.
    Robot {
        name: TokenName,
        owner: Option<String>,
    },
    /// A person's; without an account, the person's who asks the API.
    Person {
        account: Option<String>,
        name: TokenName,
    },
}

/// What a new token may do, and for how long.
pub(in crate::commands) struct NewTerms {
    pub(in crate::commands) ceiling: ScopeCeiling,
    pub(in crate::commands) networks: Vec<IpNetwork>,
    pub(in crate::commands) lifetime: Option<Duration>,
}

/// One robot or personal token.
#[derive(Clone, Debug)]
pub(in crate::commands) enum TokenReference {
    Robot(TokenName),
    /// By its id.
    Personal(String),
}

/// Which of the robots or personal tokens.
#[derive(Clone, Debug)]
pub(in crate::commands) struct TokenSelection {
    pub(in crate::commands) kind: TokenKind,
    /// Only what this person owns.
    pub(in crate::commands) owner: Option<String>,
}

/// What the API says of the caller.
#[derive(Deserialize)]
struct CallerAccount {
    #[serde(default)]
    registry: Option<String>,
}

impl TokenAdministration {
    pub(in crate::commands) async fn of(server: &ManagedServerArguments) -> Result<Self, Failure> {
        Ok(match server.managed().await? {
            ManagedServer::Configured(file) => Self::Database(Box::new(OpenedTokens::open(file)?)),
            ManagedServer::Remote(client) => Self::Api(client),
        })
    }

    /// Those of `selection`, by owner and name. From an API, personal tokens that the caller may see.
    pub(in crate::commands) async fn list(
        &self,
        selection: TokenSelection,
    ) -> Result<Vec<TokenView>, Failure> {
        match self {
            Self::Database(opened) => {
                let listed = opened.tokens.list(selection.filter()).await;
                let listed = listed.map_err(|error| failed(&error))?;
                Ok(listed.iter().map(TokenView::from).collect())
            }
            Self::Api(api) => {
                let all = list_of(api, &selection).await;
                let is_personal = selection.kind == TokenKind::Personal;
                if all.as_ref().is_err_and(is_denied) && is_personal && selection.owner.is_none() {
                    let own = ApiRoute::new(&["tokens"], TOKENS_READ);
                    return Ok(api.list(own, "after", usize::MAX).await?);
                }
                Ok(all?)
            }
        }
    }

    /// The robot of this name.
    pub(in crate::commands) async fn find_robot(
        &self,
        name: &TokenName,
    ) -> Result<Option<TokenView>, Failure> {
        let robot = TokenReference::Robot(name.clone());
        match self {
            Self::Database(opened) => {
                let found = opened.tokens.list(robot.filter()).await;
                let found = found.map_err(|error| failed(&error))?;
                Ok(found.first().map(TokenView::from))
            }
            Self::Api(api) => match api.get(robot.route(ROBOTS_READ)).await {
                Ok(VersionedObject { object, .. }) => Ok(Some(object)),
                Err(error) if error.refused() == Some(StatusCode::NOT_FOUND) => Ok(None),
                Err(error) => Err(error.into()),
            },
        }
    }

    pub(in crate::commands) async fn create(
        &self,
        holder: NewHolder,
        terms: NewTerms,
    ) -> Result<CreatedTokenView, Failure> {
        match self {
            Self::Database(opened) => {
                let owners = opened.owners()?;
                let new = NewToken {
                    holder: holder.in_database()?,
                    ceiling: terms.ceiling,
                    networks: terms.networks,
                    lifetime: terms.lifetime,
                };
                let (by, now) = (&opened.by, opened.now);
                let created = opened.tokens.create(new, &owners, by, now).await;
                let created = created.map_err(|error| failed(&error))?;
                opened.noticed().await;
                Ok(CreatedTokenView::from(&created))
            }
            Self::Api(api) => {
                let created = api.create(holder.route(), &document(&holder, &terms)).await;
                created.map_err(refused)
            }
        }
    }

    /// Replaces the secret of a token.
    pub(in crate::commands) async fn rotate(
        &self,
        token: &TokenReference,
        rotation: Rotation,
    ) -> Result<CreatedTokenView, Failure> {
        match self {
            Self::Database(opened) => {
                let (by, now) = (&opened.by, opened.now);
                let (filter, precondition) = (token.filter(), Precondition::Unconditional);
                let tokens = &opened.tokens;
                let rotated = tokens.rotate(filter, rotation, precondition, by, now).await;
                let rotated = rotated.map_err(|error| failed(&error))?;
                opened.noticed().await;
                Ok(CreatedTokenView::from(&rotated))
            }
            Self::Api(api) => {
                let mut new = json!({"overlap": print_duration(rotation.overlap)});
                if let Some(lifetime) = rotation.lifetime {
                    new["ttl"] = json!(print_duration(lifetime));
                }
                let rights = match token {
                    TokenReference::Robot(_) => ROBOTS_WRITE,
                    TokenReference::Personal(_) => TOKENS_CREATE,
                };
                let rotated = api.create(token.route(rights).below("secrets"), &new).await;
                rotated.map_err(refused)
            }
        }
    }

    /// Refuses a robot's secrets, or accepts them again.
    pub(in crate::commands) async fn set_disabled(
        &self,
        robot: &TokenName,
        is_disabled: bool,
    ) -> Result<TokenView, Failure> {
        match self {
            Self::Database(opened) => {
                let (tokens, by, now) = (&opened.tokens, &opened.by, opened.now);
                let (robot, precondition) = (robot.clone(), Precondition::Unconditional);
                let changed = tokens.set_disabled(robot, is_disabled, precondition, by, now);
                let changed = changed.await;
                let changed = changed.map_err(|error| failed(&error))?;
                opened.noticed().await;
                Ok(TokenView::from(&changed))
            }
            Self::Api(api) => {
                let route = TokenReference::Robot(robot.clone()).route(ROBOTS_WRITE);
                let changed = api
                    .change(route, &json!({"disabled": is_disabled}), None)
                    .await;
                changed.map_err(refused)
            }
        }
    }

    /// Revokes one token, and returns whether it was there. A robot is removed by this.
    pub(in crate::commands) async fn revoke(
        &self,
        token: &TokenReference,
    ) -> Result<bool, Failure> {
        match self {
            Self::Database(opened) => {
                let (by, now) = (&opened.by, opened.now);
                let revoked = opened.tokens.revoke(token.filter(), by, now).await;
                let revoked = revoked.map_err(|error| failed(&error))?;
                opened.noticed().await;
                Ok(!revoked.is_empty())
            }
            Self::Api(api) => {
                let rights = match token {
                    TokenReference::Robot(_) => ROBOTS_WRITE,
                    TokenReference::Personal(_) => TOKENS_REVOKE,
                };
                match api.delete(token.route(rights), None).await {
                    Ok(()) => Ok(true),
                    Err(error) if error.refused() == Some(StatusCode::NOT_FOUND) => Ok(false),
                    Err(error) => Err(refused(error)),
                }
            }
        }
    }

    /// Revokes all tokens of `selection`, and returns how many there were.
    pub(in crate::commands) async fn revoke_all(
        &self,
        selection: TokenSelection,
    ) -> Result<usize, Failure> {
        match self {
            Self::Database(opened) => {
                let (filter, by, now) = (selection.filter(), &opened.by, opened.now);
                let revoked = opened.tokens.revoke(filter, by, now).await;
                let revoked = revoked.map_err(|error| failed(&error))?;
                opened.noticed().await;
                Ok(revoked.len())
            }
            Self::Api(api) => {
                let mut revoked = 0;
                for token in list_of(api, &selection).await? {
                    let is_revoked = self.revoke(&TokenReference::Personal(token.id)).await?;
                    revoked += usize::from(is_revoked);
                }
                Ok(revoked)
            }
        }
    }

    /// The host of the server's registry, if it is known.
    pub(super) async fn registry(&self) -> Option<String> {
        match self {
            Self::Database(opened) => opened.registry(),
            Self::Api(api) => {
                let account = ApiRoute::new(&["account"], &[("own", "read")]);
                // Without it, an example is printed.
                let account = api.get::<CallerAccount>(account).await.ok()?;
                account.object.registry
            }
        }
    }
}

impl NewHolder {
    fn in_database(self) -> Result<NewTokenHolder, Failure> {
        match self {
            Self::Robot { name, owner } => Ok(NewTokenHolder::Robot { name, owner }),
            Self::Person {
                account: Some(account),
                name,
            } => Ok(NewTokenHolder::Person { account, name }),
            Self::Person { account: None, .. } => {
                Err(Failure::usage("--user is missing: whose token will it be?"))
            }
        }
    }

    fn route(&self) -> ApiRoute {
        match self {
            Self::Robot { .. } => ApiRoute::new(&["robots"], ROBOTS_WRITE),
            Self::Person { .. } => ApiRoute::new(&["tokens"], TOKENS_CREATE),
        }
    }
}

impl TokenReference {
    fn filter(&self) -> TokenFilter {
        match self {
            Self::Robot(name) => TokenFilter {
                kind: Some(TokenKind::Robot),
                name: Some(name.clone()),
                ..TokenFilter::default()
            },
            Self::Personal(id) => TokenFilter {
                kind: Some(TokenKind::Personal),
                id: Some(id.clone()),
                ..TokenFilter::default()
            },
        }
    }

    fn route(&self, rights: &'static [(&'static str, &'static str)]) -> ApiRoute {
        match self {
            Self::Robot(name) => ApiRoute::new(&["robots", name.as_str()], rights),
            Self::Personal(id) => ApiRoute::new(&["tokens", id], rights),
        }
    }
}

impl TokenSelection {
    fn filter(&self) -> TokenFilter {
        TokenFilter {
            kind: Some(self.kind),
            owner: self.owner.clone(),
            ..TokenFilter::default()
        }
    }
}

/// The tokens of `selection`, if the caller may see all of them.
async fn list_of(api: &ApiClient, selection: &TokenSelection) -> Result<Vec<TokenView>, ApiError> {
    let owner = selection.owner.as_deref();
    let list = match selection.kind {
        TokenKind::Robot => ApiRoute::new(&["robots"], ROBOTS_READ).with_some("owner", owner),
        TokenKind::Personal => {
            // Without an owner, the API lists the caller's own.
            ApiRoute::new(&["tokens"], TOKENS_READ).with("owner", owner.unwrap_or("*"))
        }
    };
    api.list(list, "after", usize::MAX).await
}

/// A new token as the API reads it.
fn document(holder: &NewHolder, terms: &NewTerms) -> Value {
    let (name, owner) = match holder {
        NewHolder::Robot { name, owner } => (name, owner),
        NewHolder::Person { name, account } => (name, account),
    };
    let networks: Vec<_> = terms.networks.iter().map(ToString::to_string).collect();
    let mut document = json!({
        "name": name.as_str(),
        "ceiling": terms.ceiling.entries(),
        "networks": networks,
    });
    if let Some(owner) = owner {
        document["owner"] = json!(owner);
    }
    if let Some(lifetime) = terms.lifetime {
        document["ttl"] = json!(print_duration(lifetime));
    }
    document
}

fn is_denied(error: &ApiError) -> bool {
    error.kind() == client::ErrorKind::Denied
}

/// Why an operation failed, with what the operator can do.
fn failed(error: &PersonalTokensError) -> Failure {
    use PersonalTokensError as E;
    let failure = match error {
        E::NotFound => {
            let failure = Failure::new(FailureKind::NotFound, error.to_string());
            return failure.hint("`list` shows all");
        }
        E::Ambiguous => return Failure::usage(error.to_string()).hint("name it by its id"),
        E::OwnerUnknown(_)
        | E::OwnerUnverifiable { .. }
        | E::OwnedByRobot
        | E::NameTaken(_)
        | E::TooLong(_)
        | E::TooShort
        | E::TooMany { .. }
        | E::NoCeiling => return Failure::negative(error.to_string()),
        _ => Failure::system("nothing was changed"),
    };
    failure.caused_by(error)
}

/// The same for what the API refused.
fn refused(error: ApiError) -> Failure {
    match error.refused() {
        Some(StatusCode::NOT_FOUND) => failed(&PersonalTokensError::NotFound),
        Some(StatusCode::BAD_REQUEST | StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY) => {
            Failure::new(
                FailureKind::Negative,
                common::escape_line(&error.to_string()),
            )
        }
        _ => error.into(),
    }
}
