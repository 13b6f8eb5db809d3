//! The statements. Each runs in a read or a write of its caller.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::IpNetwork;
use database::{DatabaseConnection, DatabaseRow, Error, column_seconds, column_time, params};
use identity::{CredentialFingerprint, TokenHolder, TokenOwner, TokenUse};
use policy::ScopeCeiling;

use crate::TokenName;
use crate::token::{LastUse, PersonalToken, TokenFilter, TokenKind, TokenPosition, TokenSecret};

/// How long what is over stays, so that its client is told why it is rejected.
const KEPT: Duration = Duration::from_secs(30 * 86_400);
/// How many of those are removed when one is created: more than one, so that they cannot pile up.
const PURGE: u32 = 100;

/// The tokens of `filter` that were not revoked, by owner and name.
pub(crate) fn select(
    connection: &DatabaseConnection,
    filter: &TokenFilter,
) -> Result<Vec<PersonalToken>, Error> {
    query(connection, filter, Revoked::Excluded, None, NO_LIMIT)
}

/// Those of [`select`] that come after `after`, at most `limit`.
pub(crate) fn page(
    connection: &DatabaseConnection,
    filter: &TokenFilter,
    after: Option<&TokenPosition>,
    limit: u32,
) -> Result<Vec<PersonalToken>, Error> {
    let limit = i64::from(limit);
    query(connection, filter, Revoked::Excluded, after, limit)
}

/// Whether tokens that were revoked are wanted, too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Revoked {
    Included,
    Excluded,
}

/// As many rows as there are.
const NO_LIMIT: i64 = i64::MAX;

fn query(
    connection: &DatabaseConnection,
    filter: &TokenFilter,
    revoked: Revoked,
    after: Option<&TokenPosition>,
    limit: i64,
) -> Result<Vec<PersonalToken>, Error> {
    let mut tokens = connection.query(
        "SELECT id, kind, name, owner, owner_backend, ceiling, networks, created_at, created_by,
                disabled_at, revoked_at
         FROM personal_tokens
         WHERE (CAST(?1 AS TEXT) IS NULL OR kind = ?1) AND (CAST(?2 AS TEXT) IS NULL OR id = ?2)
           AND (CAST(?3 AS TEXT) IS NULL OR owner = ?3) AND (CAST(?4 AS TEXT) IS NULL OR name = ?4)
           AND (?5 OR revoked_at IS NULL)
           AND (CAST(?6 AS TEXT) IS NULL OR (kind, coalesce(owner, ''), name) > (?6, ?7, ?8))
         ORDER BY kind, coalesce(owner, ''), name, created_at LIMIT ?9",
        params![
            filter.kind.map(TokenKind::word),
            filter.id,
            filter.owner,
            filter.name.as_ref().map(TokenName::as_str),
            revoked == Revoked::Included,
            after.map(|after| after.kind.word()),
            after.map(|after| &after.owner),
            after.map(|after| after.name.as_str()),
            limit,
        ],
        token,
    )?;
    for token in &mut tokens {
        token.secrets = secrets(connection, &token.id)?;
    }
    Ok(tokens)
}

/// The token that has this secret, revoked or not.
pub(crate) fn find(
    connection: &DatabaseConnection,
    fingerprint: &CredentialFingerprint,
) -> Result<Option<PersonalToken>, Error> {
    let sql = "SELECT token FROM personal_token_secrets WHERE hash = ?1";
    let id = connection.query_optional(sql, params![fingerprint.as_bytes()], |row| row.get(0))?;
    let Some(id) = id else {
        return Ok(None);
    };
    let filter = TokenFilter {
        id: Some(id),
        ..TokenFilter::default()
    };
    let found = query(connection, &filter, Revoked::Included, None, NO_LIMIT)?;
    Ok(found.into_iter().next())
}

fn secrets(connection: &DatabaseConnection, token: &str) -> Result<Vec<TokenSecret>, Error> {
    connection.query(
        "SELECT hash, created_at, expires_at, used_at, address, repository
         FROM personal_token_secrets LEFT JOIN personal_token_uses USING (hash)
         WHERE token = ?1 ORDER BY created_at DESC, expires_at DESC",
        params![token],
        |row| {
            let used_at: Option<i64> = row.get("used_at")?;
            let last_use = match used_at {
                Some(used_at) => Some(LastUse {
                    time: column_time(used_at),
                    address: row.get("address")?,
                    repository: row.get("repository")?,
                }),
                None => None,
            };
            Ok(TokenSecret {
                fingerprint: CredentialFingerprint::from_bytes(row.get("hash")?),
                created_at: column_time(row.get("created_at")?),
                expires_at: column_time(row.get("expires_at")?),
                last_use,
            })
        },
    )
}

/// Whether the token was inserted. It is not if its owner is an account of this database that was
/// removed since it was looked up: another person may get the name.
pub(crate) fn insert(
    connection: &DatabaseConnection,
    token: &PersonalToken,
) -> Result<bool, Error> {
    let owner = match &token.holder {
        TokenHolder::Person(owner) => Some(owner),
        TokenHolder::Robot { owner, .. } => owner.as_ref(),
    };
    if let Some(owner) = owner
        && owner.backend == "accounts"
    {
        let sql = "SELECT count(*) FROM accounts WHERE name = ?1";
        let count: u32 = connection.query_one(sql, params![owner.account], |row| row.get(0))?;
        if count == 0 {
            return Ok(false);
        }
    }
    let networks: Vec<_> = token.networks.iter().map(ToString::to_string).collect();
    connection.execute(
        "INSERT INTO personal_tokens (id, kind, name, owner, owner_backend, ceiling, networks,
                                      created_at, created_by)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        params![
            token.id,
            token.kind().word(),
            token.name.as_str(),
            owner.map(|owner| &owner.account),
            owner.map(|owner| &owner.backend),
            token.ceiling.to_json(),
            serde_json::json!(networks).to_string(),
            column_seconds(token.created_at),
            token.created_by,
        ],
    )?;
    for secret in &token.secrets {
        insert_secret(connection, &token.id, secret)?;
    }
    Ok(true)
}

pub(crate) fn insert_secret(
    connection: &DatabaseConnection,
    token: &str,
    secret: &TokenSecret,
) -> Result<(), Error> {
    connection.execute(
        "INSERT INTO personal_token_secrets (hash, token, created_at, expires_at)
         VALUES (?1, ?2, ?3, ?4)",
        params![
            secret.fingerprint.as_bytes(),
            token,
            column_seconds(secret.created_at),
            column_seconds(secret.expires_at)
        ],
    )?;
    Ok(())
}

/// Lets the secrets of a token that are valid at `now` end at `end`: the latest one, and any older one
/// at once.
pub(crate) fn supersede(
    connection: &DatabaseConnection,
    token: &PersonalToken,
    end: SystemTime,
    now: SystemTime,
) -> Result<(), Error> {
    let sql = "UPDATE personal_token_secrets SET expires_at = ?2
               WHERE hash = ?1 AND expires_at > ?2";
    for (index, secret) in token.secrets.iter().enumerate() {
        let end = if index == 0 { end } else { now };
        connection.execute(
            sql,
            params![secret.fingerprint.as_bytes(), column_seconds(end)],
        )?;
    }
    Ok(())
}

pub(crate) fn revoke(
    connection: &DatabaseConnection,
    token: &PersonalToken,
    now: SystemTime,
) -> Result<(), Error> {
    let sql = "UPDATE personal_tokens SET revoked_at = ?2 WHERE id = ?1";
    connection.execute(sql, params![token.id, column_seconds(now)])?;
    Ok(())
}

pub(crate) fn set_disabled(
    connection: &DatabaseConnection,
    token: &PersonalToken,
    disabled_at: Option<SystemTime>,
) -> Result<(), Error> {
    let sql = "UPDATE personal_tokens SET disabled_at = ?2 WHERE id = ?1";
    connection.execute(sql, params![token.id, disabled_at.map(column_seconds)])?;
    Ok(())
}

/// Removes some of what has been over for long: revoked tokens, secrets, and personal tokens without
/// any. A robot without a secret stays, because it can get a new one.
pub(crate) fn purge(connection: &DatabaseConnection, now: SystemTime) -> Result<(), Error> {
    let until = column_seconds(now).saturating_sub(column_seconds(UNIX_EPOCH + KEPT));
    for sql in [
        "DELETE FROM personal_tokens WHERE id IN (
             SELECT id FROM personal_tokens WHERE revoked_at <= ?1 ORDER BY revoked_at LIMIT ?2)",
        "DELETE FROM personal_token_secrets WHERE hash IN (
             SELECT hash FROM personal_token_secrets WHERE expires_at <= ?1
             ORDER BY expires_at LIMIT ?2)",
        "DELETE FROM personal_tokens WHERE id IN (
             SELECT id FROM personal_tokens WHERE kind = 'personal' AND created_at <= ?1
             AND NOT EXISTS (SELECT 1 FROM personal_token_secrets WHERE token = id) LIMIT ?2)",
    ] {
        connection.execute(sql, params![until, PURGE])?;
    }
    Ok(())
}

/// Notes a use. A secret that is gone is no error, and a login keeps the repository of before.
pub(crate) fn note_use(
    connection: &DatabaseConnection,
    fingerprint: &CredentialFingerprint,
    token_use: &TokenUse,
) -> Result<(), Error> {
    let address = token_use.address.map(|address| address.to_string());
    connection.execute(
        "INSERT INTO personal_token_uses AS before (hash, used_at, address, repository)
         SELECT hash, CAST(?2 AS BIGINT), CAST(?3 AS TEXT), CAST(?4 AS TEXT)
         FROM personal_token_secrets WHERE hash = ?1
         ON CONFLICT (hash) DO UPDATE SET
             used_at = CASE WHEN before.used_at > excluded.used_at THEN before.used_at
                            ELSE excluded.used_at END,
             address = excluded.address,
             repository = CASE excluded.repository WHEN '' THEN before.repository
                                                   ELSE excluded.repository END",
        params![
            fingerprint.as_bytes(),
            column_seconds(token_use.time),
            address.unwrap_or_default(),
            token_use.repository.as_deref().unwrap_or_default(),
        ],
    )?;
    Ok(())
}

fn token(row: &DatabaseRow<'_>) -> Result<PersonalToken, Error> {
    let name: String = row.get("name")?;
    let name: TokenName = name.parse().map_err(Error::unreadable)?;
    let owner = match row.get("owner")? {
        Some(account) => Some(TokenOwner {
            account,
            backend: row.get("owner_backend")?,
        }),
        None => None,
    };
    let kind: String = row.get("kind")?;
    let holder = match owner {
        Some(owner) if kind == TokenKind::Personal.word() => TokenHolder::Person(owner),
        owner => TokenHolder::Robot {
            account: name.robot_account(),
            owner,
        },
    };
    let networks: Vec<String> =
        serde_json::from_str(&row.get::<String>("networks")?).map_err(Error::unreadable)?;
    let networks = networks.iter().map(|network| network.parse::<IpNetwork>());
    let ceiling: Option<String> = row.get("ceiling")?;
    let at = |column: &str| Ok::<_, Error>(row.get::<Option<i64>>(column)?.map(column_time));
    Ok(PersonalToken {
        id: row.get("id")?,
        name,
        holder,
        ceiling: ScopeCeiling::from_json(ceiling.as_deref()).map_err(Error::unreadable)?,
        networks: networks
            .collect::<Result<_, _>>()
            .map_err(Error::unreadable)?,
        created_at: column_time(row.get("created_at")?),
        created_by: row.get("created_by")?,
        disabled_at: at("disabled_at")?,
        revoked_at: at("revoked_at")?,
        secrets: Vec::new(),
    })
}
