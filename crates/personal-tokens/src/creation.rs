//! Creates robots and personal tokens.

use std::time::{Duration, SystemTime};

use common::IpNetwork;
use database::{Administrator, DatabaseConnection};
use identity::{AuthenticatorChain, OwnerStatus, ROBOT_PREFIX, TokenHolder, TokenOwner};
use policy::ScopeCeiling;

use crate::error::MAX_NETWORKS;
use crate::log::{details, log, to_the_second};
use crate::operations::{CreatedSecret, PersonalTokens};
use crate::token::{PersonalToken, TokenFilter, TokenKind};
use crate::{PersonalTokensError, TokenName, rows};

/// A robot or a personal token that is to be created.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Whose it will be.
    pub holder: NewTokenHolder,
    /// The most that it may do.
    pub ceiling: ScopeCeiling,
    /// Where it may be used from; empty for everywhere.
    pub networks: Vec<IpNetwork>,
    /// How long its secret is valid; `None` for the usual time.
    pub lifetime: Option<Duration>,
}

/// Whose a new token will be.
#[derive(Clone, Debug)]
pub enum NewTokenHolder {
    /// This person's.
    Person {
        /// The person's account.
        account: String,
        /// What the person calls it.
        name: TokenName,
    },
    /// A robot's.
    Robot {
        /// The robot's name.
        name: TokenName,
        /// The account of the person that owns it; `None` for the system.
        owner: Option<String>,
    },
}

impl PersonalTokens {
    /// Creates a robot or a personal token. `owners` are the backends, one of which must have the
    /// owner's account and be able to look it up without a password.
    ///
    /// # Errors
    /// When the owner cannot own it, a limit is reached, or the database fails.
    pub async fn create(
        &self,
        new: NewToken,
        owners: &AuthenticatorChain,
        by: &Administrator,
        now: SystemTime,
    ) -> Result<CreatedSecret, PersonalTokensError> {
        if new.networks.len() > MAX_NETWORKS {
            return Err(PersonalTokensError::TooManyNetworks);
        }
        let (kind, name, holder) = match new.holder {
            NewTokenHolder::Person { account, name } => {
                let owner = find_owner(&account, owners).await?;
                (TokenKind::Personal, name, TokenHolder::Person(owner))
            }
            NewTokenHolder::Robot { name, owner } => {
                let account = name.robot_account();
                let owner = match owner {
                    Some(owner) => Some(find_owner(&owner, owners).await?),
                    None if new.ceiling == ScopeCeiling::Unlimited => {
                        return Err(PersonalTokensError::NoCeiling);
                    }
                    None => None,
                };
                (
                    TokenKind::Robot,
                    name,
                    TokenHolder::Robot { account, owner },
                )
            }
        };
        let lifetime = self.lifetime(
            new.lifetime
                .unwrap_or(self.policy.ttl.min(self.policy.max_ttl)),
        )?;
        let (secret, of_secret) = self.secret(kind, lifetime, now)?;
        let token = PersonalToken {
            id: self.id()?,
            name,
            holder,
            ceiling: new.ceiling,
            networks: new.networks,
            created_at: to_the_second(now),
            created_by: by.name().to_owned(),
            disabled_at: None,
            revoked_at: None,
            secrets: vec![of_secret],
        };
        let (stored, by, per_owner) = (token.clone(), by.clone(), self.policy.per_owner);
        self.database
            .write(move |connection: &DatabaseConnection| {
                rows::purge(connection, now)?;
                make_room(connection, &stored, per_owner, now)?;
                if !rows::insert(connection, &stored)? {
                    return Err(owner_unknown(stored.owner().unwrap_or_default()));
                }
                log(connection, &by, now, &stored, "create", &details(&stored))
            })
            .await?;
        Ok(CreatedSecret { token, secret })
    }
}

/// The owner, if a backend has the account and can look it up at each use.
async fn find_owner(
    account: &str,
    owners: &AuthenticatorChain,
) -> Result<TokenOwner, PersonalTokensError> {
    if account.starts_with(ROBOT_PREFIX) {
        return Err(PersonalTokensError::OwnedByRobot);
    }
    if account.is_empty() {
        return Err(owner_unknown(account));
    }
    match owners.find_owner(account).await? {
        OwnerStatus::Present { backend } => Ok(TokenOwner {
            account: account.to_owned(),
            backend: backend.to_owned(),
        }),
        OwnerStatus::Unverifiable { backend } => Err(PersonalTokensError::OwnerUnverifiable {
            account: account.to_owned(),
            backend,
        }),
        OwnerStatus::Unknown => Err(owner_unknown(account)),
    }
}

/// Refuses a name that is taken, and a token beyond its owner's limit. An expired personal token
/// leaves its name and its place to the new one.
fn make_room(
    connection: &DatabaseConnection,
    new: &PersonalToken,
    per_owner: u32,
    now: SystemTime,
) -> Result<(), PersonalTokensError> {
    let of_name = TokenFilter {
        kind: Some(new.kind()),
        name: Some(new.name.clone()),
        owner: match new.kind() {
            TokenKind::Personal => new.owner().map(str::to_owned),
            TokenKind::Robot => None,
        },
        id: None,
    };
    let has_ended =
        |token: &PersonalToken| token.kind() == TokenKind::Personal && token.fault(now).is_some();
    for old in rows::select(connection, &of_name)? {
        if !has_ended(&old) {
            return Err(PersonalTokensError::NameTaken(old.log_name()));
        }
        rows::revoke(connection, &old, now)?;
    }
    let Some(owner) = new.owner() else {
        return Ok(());
    };
    let of_owner = TokenFilter {
        owner: Some(owner.to_owned()),
        ..TokenFilter::default()
    };
    let owned = rows::select(connection, &of_owner)?;
    let owned = owned.iter().filter(|token| !has_ended(token)).count();
    match owned < per_owner as usize {
        true => Ok(()),
        false => Err(PersonalTokensError::TooMany {
            owner: owner.to_owned(),
            limit: per_owner,
        }),
    }
}

fn owner_unknown(account: &str) -> PersonalTokensError {
    PersonalTokensError::OwnerUnknown(account.to_owned())
}
