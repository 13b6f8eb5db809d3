//! What is done with robots and personal tokens: by commands, and by the API.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Entropy, IpNetwork, Secret, rfc3339, unix_seconds};
use data_encoding::HEXLOWER;
use database::{AdministrativeChange, Administrator, Database, log_change};
use identity::{AuthenticatorChain, OwnerStatus, ROBOT_PREFIX, TokenHolder, TokenOwner};
use policy::ScopeCeiling;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::token::{PersonalToken, TokenFilter, TokenKind, TokenSecret};
use crate::{PersonalTokensError, TokenName, TokenPolicy, rows, secret};

/// The robots and personal tokens of one installation. Clones share the database.
#[derive(Clone)]
pub struct PersonalTokens {
    pub(crate) database: Database,
    pub(crate) policy: TokenPolicy,
    entropy: Arc<dyn Entropy>,
}

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

/// How a secret is replaced.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rotation {
    /// How long the old secret stays valid.
    pub overlap: Duration,
    /// How long the new one is valid; `None` for as long as the old one was made to last.
    pub lifetime: Option<Duration>,
}

/// A secret that was just made.
#[derive(Debug)]
pub struct CreatedSecret {
    /// What it belongs to.
    pub token: PersonalToken,
    /// The secret. It is stored nowhere, so it cannot be recovered.
    pub secret: Secret,
}

impl PersonalTokens {
    /// The tokens that `database` holds, under a policy that counts for those that exist, too.
    #[must_use]
    pub fn new(database: Database, policy: TokenPolicy, entropy: Arc<dyn Entropy>) -> Self {
        Self {
            database,
            policy,
            entropy,
        }
    }

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
            .write(move |connection: &Connection| {
                rows::purge(connection, now)?;
                make_room(connection, &stored, per_owner, now)?;
                rows::insert(connection, &stored)?;
                log(connection, &by, now, &stored, "create", &details(&stored))
            })
            .await?;
        Ok(CreatedSecret { token, secret })
    }

    /// Makes a new secret for the one token of `filter`, and lets the old one end.
    ///
    /// # Errors
    /// When `filter` does not select one token, a limit is reached, or the database fails.
    pub async fn rotate(
        &self,
        filter: TokenFilter,
        rotation: Rotation,
        by: &Administrator,
        now: SystemTime,
    ) -> Result<CreatedSecret, PersonalTokensError> {
        let token = only(self.select(filter).await?)?;
        let before = token.secrets.first();
        let before = before.map(|last| last.expires_at.duration_since(last.created_at));
        let usual = before.and_then(Result::ok).unwrap_or(self.policy.ttl);
        let lifetime = rotation.lifetime.unwrap_or(usual.min(self.policy.max_ttl));
        let lifetime = self.lifetime(lifetime)?;
        let (secret, of_secret) = self.secret(token.kind(), lifetime, now)?;
        let end = now.checked_add(rotation.overlap).unwrap_or(now);
        let (id, by) = (token.id, by.clone());
        let stored = self.database.write(move |connection: &Connection| {
            // Read again, because another rotation may have been faster.
            let token = only(rows::select(connection, &by_id(&id), false)?)?;
            rows::supersede(connection, &token, end, now)?;
            rows::insert_secret(connection, &id, &of_secret)?;
            let details = json!({
                "id": id,
                "expires_at": date(of_secret.expires_at),
                "old_secret_ends_at": date(end),
            });
            log(connection, &by, now, &token, "rotate", &details)?;
            only(rows::select(connection, &by_id(&id), false)?)
        });
        Ok(CreatedSecret {
            token: stored.await?,
            secret,
        })
    }

    /// The tokens of `filter` that were not revoked, by owner and name. Their ends are those of the
    /// policy of today.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn list(
        &self,
        filter: TokenFilter,
    ) -> Result<Vec<PersonalToken>, PersonalTokensError> {
        let mut tokens = self.select(filter).await?;
        tokens.iter_mut().for_each(|token| self.bound(token));
        Ok(tokens)
    }

    /// Revokes the tokens of `filter`, and returns them. A robot is removed by this.
    ///
    /// # Errors
    /// When the database cannot be written to; then none of them is revoked.
    pub async fn revoke(
        &self,
        filter: TokenFilter,
        by: &Administrator,
        now: SystemTime,
    ) -> Result<Vec<PersonalToken>, PersonalTokensError> {
        let by = by.clone();
        let write = self.database.write(move |connection: &Connection| {
            let tokens = rows::select(connection, &filter, false)?;
            for token in &tokens {
                rows::revoke(connection, token, now)?;
                log(
                    connection,
                    &by,
                    now,
                    token,
                    "revoke",
                    &json!({"id": token.id}),
                )?;
            }
            Ok(tokens)
        });
        write.await
    }

    /// Disables the one robot of this name, or enables it again.
    ///
    /// # Errors
    /// When there is no such robot, or the database cannot be written to.
    pub async fn set_disabled(
        &self,
        robot: TokenName,
        is_disabled: bool,
        by: &Administrator,
        now: SystemTime,
    ) -> Result<PersonalToken, PersonalTokensError> {
        let by = by.clone();
        let filter = TokenFilter {
            kind: Some(TokenKind::Robot),
            name: Some(robot),
            ..TokenFilter::default()
        };
        let write = self.database.write(move |connection: &Connection| {
            let robot = only(rows::select(connection, &filter, false)?)?;
            rows::set_disabled(connection, &robot, is_disabled.then_some(now))?;
            let action = if is_disabled { "disable" } else { "enable" };
            log(
                connection,
                &by,
                now,
                &robot,
                action,
                &json!({"id": robot.id}),
            )?;
            Ok(robot)
        });
        write.await
    }

    async fn select(&self, filter: TokenFilter) -> Result<Vec<PersonalToken>, PersonalTokensError> {
        let read = self.database.read(move |connection: &Connection| {
            Ok::<_, PersonalTokensError>(rows::select(connection, &filter, false)?)
        });
        read.await
    }

    /// Bounds the ends of a stored token's secrets by the policy of today.
    pub(crate) fn bound(&self, token: &mut PersonalToken) {
        for secret in &mut token.secrets {
            secret.expires_at = self.policy.end(secret.created_at, secret.expires_at);
        }
    }

    fn lifetime(&self, lifetime: Duration) -> Result<Duration, PersonalTokensError> {
        if lifetime > self.policy.max_ttl {
            return Err(PersonalTokensError::TooLong(self.policy.max_ttl));
        }
        if lifetime < Duration::from_secs(1) {
            return Err(PersonalTokensError::TooShort);
        }
        Ok(lifetime)
    }

    fn secret(
        &self,
        kind: TokenKind,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<(Secret, TokenSecret), PersonalTokensError> {
        let (secret, fingerprint) = secret::generate(kind, self.entropy.as_ref())?;
        let created_at = to_the_second(now);
        let stored = TokenSecret {
            fingerprint,
            created_at,
            expires_at: created_at.checked_add(lifetime).unwrap_or(created_at),
            last_use: None,
        };
        Ok((secret, stored))
    }

    fn id(&self) -> Result<String, PersonalTokensError> {
        let mut bytes = [0; 8];
        self.entropy.fill(&mut bytes)?;
        Ok(HEXLOWER.encode(&bytes))
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
    let unknown = || PersonalTokensError::OwnerUnknown(account.to_owned());
    if account.is_empty() {
        return Err(unknown());
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
        OwnerStatus::Unknown => Err(unknown()),
    }
}

/// Refuses a name that is taken, and a token beyond its owner's limit. An expired personal token
/// leaves its name and its place to the new one.
fn make_room(
    connection: &Connection,
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
    for old in rows::select(connection, &of_name, false)? {
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
    let owned = rows::select(connection, &of_owner, false)?;
    let owned = owned.iter().filter(|token| !has_ended(token)).count();
    match owned < per_owner as usize {
        true => Ok(()),
        false => Err(PersonalTokensError::TooMany {
            owner: owner.to_owned(),
            limit: per_owner,
        }),
    }
}

/// The one token that a filter selected.
fn only(mut tokens: Vec<PersonalToken>) -> Result<PersonalToken, PersonalTokensError> {
    let token = tokens.pop().ok_or(PersonalTokensError::NotFound)?;
    match tokens.is_empty() {
        true => Ok(token),
        false => Err(PersonalTokensError::Ambiguous),
    }
}

fn by_id(id: &str) -> TokenFilter {
    TokenFilter {
        id: Some(id.to_owned()),
        ..TokenFilter::default()
    }
}

fn log(
    connection: &Connection,
    by: &Administrator,
    now: SystemTime,
    token: &PersonalToken,
    action: &str,
    details: &Value,
) -> Result<(), PersonalTokensError> {
    let change = AdministrativeChange {
        action: match (token.kind(), action) {
            (TokenKind::Robot, "create") => "robot.add",
            (TokenKind::Robot, "rotate") => "robot.rotate",
            (TokenKind::Robot, "disable") => "robot.disable",
            (TokenKind::Robot, "enable") => "robot.enable",
            (TokenKind::Robot, _) => "robot.remove",
            (TokenKind::Personal, "create") => "personal_token.create",
            (TokenKind::Personal, "rotate") => "personal_token.rotate",
            (TokenKind::Personal, _) => "personal_token.revoke",
        },
        object: &token.log_name(),
        details,
    };
    Ok(log_change(connection, by, now, change)?)
}

fn details(token: &PersonalToken) -> Value {
    let networks: Vec<_> = token.networks.iter().map(ToString::to_string).collect();
    json!({
        "id": token.id,
        "owner": token.owner(),
        "ceiling": token.ceiling.entries(),
        "networks": networks,
        "expires_at": token.secrets.first().map(|secret| date(secret.expires_at)),
    })
}

fn date(time: SystemTime) -> String {
    rfc3339(unix_seconds(time))
}

fn to_the_second(time: SystemTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(unix_seconds(time))
}
