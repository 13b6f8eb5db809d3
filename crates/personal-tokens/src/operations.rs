//! What is done with robots and personal tokens that exist: by commands, and by the API.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::{Entropy, Secret};
use data_encoding::HEXLOWER;
use database::{Administrator, Database, DatabaseConnection, Precondition};
use serde_json::json;

use crate::log::{date, log, to_the_second};
use crate::token::{PersonalToken, TokenFilter, TokenKind, TokenPosition, TokenSecret};
use crate::{PersonalTokensError, TokenName, TokenPolicy, rows, secret};

/// The robots and personal tokens of one installation. Clones share the database.
#[derive(Clone)]
pub struct PersonalTokens {
    pub(crate) database: Database,
    pub(crate) policy: TokenPolicy,
    entropy: Arc<dyn Entropy>,
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

/// The most that one page of a list has.
pub const MAX_TOKENS_LISTED: u32 = 1000;

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

    /// Makes a new secret for the one token of `filter`, and lets the old one end.
    ///
    /// # Errors
    /// When `filter` does not select one token, it is not what `precondition` demands, a limit is
    /// reached, or the database fails.
    pub async fn rotate(
        &self,
        filter: TokenFilter,
        rotation: Rotation,
        precondition: Precondition,
        by: &Administrator,
        now: SystemTime,
    ) -> Result<CreatedSecret, PersonalTokensError> {
        let (this, by) = (self.clone(), by.clone());
        let end = now.checked_add(rotation.overlap).unwrap_or(now);
        let write = self.database.write(move |connection: &DatabaseConnection| {
            let token = this.only(connection, &filter, &precondition)?;
            let before = token.secrets.first();
            let before = before.map(|last| last.expires_at.duration_since(last.created_at));
            let usual = before.and_then(Result::ok).unwrap_or(this.policy.ttl);
            let lifetime = rotation.lifetime.unwrap_or(usual.min(this.policy.max_ttl));
            let lifetime = this.lifetime(lifetime)?;
            let (secret, of_secret) = this.secret(token.kind(), lifetime, now)?;
            rows::supersede(connection, &token, end, now)?;
            rows::insert_secret(connection, &token.id, &of_secret)?;
            let details = json!({
                "id": token.id,
                "expires_at": date(of_secret.expires_at),
                "old_secret_ends_at": date(end),
            });
            log(connection, &by, now, &token, "rotate", &details)?;
            let token = this.only(connection, &filter, &Precondition::Unconditional)?;
            Ok(CreatedSecret { token, secret })
        });
        write.await
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
        let this = self.clone();
        let read = self
            .database
            .read(move |connection: &DatabaseConnection| this.select(connection, &filter));
        read.await
    }

    /// Those of [`list`](Self::list) that come after `after`: at most [`MAX_TOKENS_LISTED`] and
    /// `limit`.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn page(
        &self,
        filter: TokenFilter,
        after: Option<TokenPosition>,
        limit: u32,
    ) -> Result<Vec<PersonalToken>, PersonalTokensError> {
        let (this, limit) = (self.clone(), limit.min(MAX_TOKENS_LISTED));
        let read = self.database.read(move |connection: &DatabaseConnection| {
            let mut tokens = rows::page(connection, &filter, after.as_ref(), limit)?;
            tokens.iter_mut().for_each(|token| this.bound(token));
            Ok::<_, PersonalTokensError>(tokens)
        });
        read.await
    }

    /// The one token of `filter`.
    ///
    /// # Errors
    /// When `filter` does not select one token, or the database cannot be read.
    pub async fn find(&self, filter: TokenFilter) -> Result<PersonalToken, PersonalTokensError> {
        let this = self.clone();
        let read = self.database.read(move |connection: &DatabaseConnection| {
            this.only(connection, &filter, &Precondition::Unconditional)
        });
        read.await
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
        let (this, by) = (self.clone(), by.clone());
        let write = self.database.write(move |connection: &DatabaseConnection| {
            let tokens = this.select(connection, &filter)?;
            for token in &tokens {
                revoke(connection, token, &by, now)?;
            }
            Ok(tokens)
        });
        write.await
    }

    /// Revokes the one token of `filter`, and returns it.
    ///
    /// # Errors
    /// When `filter` does not select one token, it is not what `precondition` demands, or the
    /// database cannot be written to.
    pub async fn revoke_one(
        &self,
        filter: TokenFilter,
        precondition: Precondition,
        by: &Administrator,
        now: SystemTime,
    ) -> Result<PersonalToken, PersonalTokensError> {
        let (this, by) = (self.clone(), by.clone());
        let write = self.database.write(move |connection: &DatabaseConnection| {
            let token = this.only(connection, &filter, &precondition)?;
            revoke(connection, &token, &by, now)?;
            Ok(token)
        });
        write.await
    }

    /// Disables the one robot of this name, or enables it again, and returns it as it is then.
    ///
    /// # Errors
    /// When there is no such robot, it is not what `precondition` demands, or the database cannot be
    /// written to.
    pub async fn set_disabled(
        &self,
        robot: TokenName,
        is_disabled: bool,
        precondition: Precondition,
        by: &Administrator,
        now: SystemTime,
    ) -> Result<PersonalToken, PersonalTokensError> {
        let (this, by) = (self.clone(), by.clone());
        let filter = TokenFilter::robot(robot);
        let write = self.database.write(move |connection: &DatabaseConnection| {
            let robot = this.only(connection, &filter, &precondition)?;
            if robot.disabled_at.is_some() == is_disabled {
                return Ok(robot);
            }
            rows::set_disabled(connection, &robot, is_disabled.then_some(now))?;
            let action = if is_disabled { "disable" } else { "enable" };
            let details = json!({"id": robot.id});
            log(connection, &by, now, &robot, action, &details)?;
            this.only(connection, &filter, &Precondition::Unconditional)
        });
        write.await
    }

    /// The tokens of `filter` that were not revoked.
    fn select(
        &self,
        connection: &DatabaseConnection,
        filter: &TokenFilter,
    ) -> Result<Vec<PersonalToken>, PersonalTokensError> {
        let mut tokens = rows::select(connection, filter)?;
        tokens.iter_mut().for_each(|token| self.bound(token));
        Ok(tokens)
    }

    /// The one token of `filter`, if the precondition is true of it.
    fn only(
        &self,
        connection: &DatabaseConnection,
        filter: &TokenFilter,
        precondition: &Precondition,
    ) -> Result<PersonalToken, PersonalTokensError> {
        let mut tokens = self.select(connection, filter)?;
        let token = tokens.pop().ok_or(PersonalTokensError::NotFound)?;
        if !tokens.is_empty() {
            return Err(PersonalTokensError::Ambiguous);
        }
        precondition.require(&token.version())?;
        Ok(token)
    }

    /// Bounds the ends of a stored token's secrets by the policy of today.
    pub(crate) fn bound(&self, token: &mut PersonalToken) {
        for secret in &mut token.secrets {
            secret.expires_at = self.policy.end(secret.created_at, secret.expires_at);
        }
    }

    pub(crate) fn lifetime(&self, lifetime: Duration) -> Result<Duration, PersonalTokensError> {
        if lifetime > self.policy.max_ttl {
            return Err(PersonalTokensError::TooLong(self.policy.max_ttl));
        }
        if lifetime < Duration::from_secs(1) {
            return Err(PersonalTokensError::TooShort);
        }
        Ok(lifetime)
    }

    pub(crate) fn secret(
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

    pub(crate) fn id(&self) -> Result<String, PersonalTokensError> {
        let mut bytes = [0; 8];
        self.entropy.fill(&mut bytes)?;
        Ok(HEXLOWER.encode(&bytes))
    }
}

fn revoke(
    connection: &DatabaseConnection,
    token: &PersonalToken,
    by: &Administrator,
    now: SystemTime,
) -> Result<(), PersonalTokensError> {
    rows::revoke(connection, token, now)?;
    log(
        connection,
        by,
        now,
        token,
        "revoke",
        &json!({"id": token.id}),
    )
}
