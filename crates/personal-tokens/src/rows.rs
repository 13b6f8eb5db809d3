//! The statements. Each runs in a read or a write of its caller.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{IpNetwork, unix_seconds};
use identity::{CredentialFingerprint, TokenHolder, TokenOwner, TokenUse};
use policy::{CeilingRules, ScopeCeiling};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, named_params, params};

use crate::TokenName;
use crate::token::{LastUse, PersonalToken, TokenFilter, TokenKind, TokenPosition, TokenSecret};

/// How long what is over stays, so that its client is told why it is rejected.
const KEPT: Duration = Duration::from_secs(30 * 86_400);
/// How many of those are removed when one is created: more than one, so that they cannot pile up.
const PURGE: u32 = 100;

/// The tokens of `filter` that were not revoked, by owner and name.
pub(crate) fn select(
    connection: &Connection,
    filter: &TokenFilter,
) -> rusqlite::Result<Vec<PersonalToken>> {
    query(connection, filter, Revoked::Excluded, None, NO_LIMIT)
}

/// Those of [`select`] that come after `after`, at most `limit`.
pub(crate) fn page(
    connection: &Connection,
    filter: &TokenFilter,
    after: Option<&TokenPosition>,
    limit: u32,
) -> rusqlite::Result<Vec<PersonalToken>> {
    let limit = i64::from(limit);
    query(connection, filter, Revoked::Excluded, after, limit)
}

/// Whether tokens that were revoked are wanted, too.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Revoked {
    Included,
    Excluded,
}

/// SQLite's value for all rows.
const NO_LIMIT: i64 = -1;

fn query(
    connection: &Connection,
    filter: &TokenFilter,
    revoked: Revoked,
    after: Option<&TokenPosition>,
    limit: i64,
) -> rusqlite::Result<Vec<PersonalToken>> {
    let mut statement = connection.prepare_cached(
        "SELECT id, kind, name, owner, owner_backend, ceiling, networks, created_at, created_by,
                disabled_at, revoked_at
         FROM personal_tokens
         WHERE (:kind IS NULL OR kind = :kind) AND (:id IS NULL OR id = :id)
           AND (:owner IS NULL OR owner = :owner) AND (:name IS NULL OR name = :name)
           AND (:with_revoked OR revoked_at IS NULL)
           AND (:after_kind IS NULL
                OR (kind, coalesce(owner, ''), name) > (:after_kind, :after_owner, :after_name))
         ORDER BY kind, coalesce(owner, ''), name, created_at LIMIT :limit",
    )?;
    let values = named_params! {
        ":kind": filter.kind.map(TokenKind::word),
        ":id": filter.id,
        ":owner": filter.owner,
        ":name": filter.name.as_ref().map(TokenName::as_str),
        ":with_revoked": revoked == Revoked::Included,
        ":after_kind": after.map(|after| after.kind.word()),
        ":after_owner": after.map(|after| &after.owner),
        ":after_name": after.map(|after| after.name.as_str()),
        ":limit": limit,
    };
    let tokens = statement.query_map(values, token)?;
    let mut tokens = tokens.collect::<rusqlite::Result<Vec<_>>>()?;
    for token in &mut tokens {
        token.secrets = secrets(connection, &token.id)?;
    }
    Ok(tokens)
}

/// The token that has this secret, revoked or not.
pub(crate) fn find(
    connection: &Connection,
    fingerprint: &CredentialFingerprint,
) -> rusqlite::Result<Option<PersonalToken>> {
    let id = connection
        .prepare_cached("SELECT token FROM personal_token_secrets WHERE hash = ?1")?
        .query_row([fingerprint.as_bytes()], |row| row.get(0))
        .optional()?;
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

fn secrets(connection: &Connection, token: &str) -> rusqlite::Result<Vec<TokenSecret>> {
    let mut statement = connection.prepare_cached(
        "SELECT hash, created_at, expires_at, used_at, address, repository
         FROM personal_token_secrets LEFT JOIN personal_token_uses USING (hash)
         WHERE token = ?1 ORDER BY created_at DESC, expires_at DESC",
    )?;
    let secrets = statement.query_map([token], |row| {
        let used_at: Option<i64> = row.get("used_at")?;
        let last_use = match used_at {
            Some(used_at) => Some(LastUse {
                time: time(used_at),
                address: row.get("address")?,
                repository: row.get("repository")?,
            }),
            None => None,
        };
        Ok(TokenSecret {
            fingerprint: CredentialFingerprint::from_bytes(row.get("hash")?),
            created_at: time(row.get("created_at")?),
            expires_at: time(row.get("expires_at")?),
            last_use,
        })
    })?;
    secrets.collect()
}

/// Whether the token was inserted. It is not if its owner is an account of this database that was
/// removed since it was looked up: another person may get the name.
pub(crate) fn insert(connection: &Connection, token: &PersonalToken) -> rusqlite::Result<bool> {
    let owner = match &token.holder {
        TokenHolder::Person(owner) => Some(owner),
        TokenHolder::Robot { owner, .. } => owner.as_ref(),
    };
    let entries = token.ceiling.entries();
    let networks: Vec<_> = token.networks.iter().map(ToString::to_string).collect();
    let inserted = connection
        .prepare_cached(
            "INSERT INTO personal_tokens (id, kind, name, owner, owner_backend, ceiling, networks,
                                          created_at, created_by)
             SELECT :id, :kind, :name, :owner, :owner_backend, :ceiling, :networks, :created_at,
                    :created_by
             WHERE :owner_backend IS NOT 'accounts'
                OR EXISTS (SELECT 1 FROM accounts WHERE name = :owner)",
        )?
        .execute(named_params! {
            ":id": token.id,
            ":kind": token.kind().word(),
            ":name": token.name.as_str(),
            ":owner": owner.map(|owner| &owner.account),
            ":owner_backend": owner.map(|owner| &owner.backend),
            ":ceiling": entries.map(|entries| serde_json::json!(entries).to_string()),
            ":networks": serde_json::json!(networks).to_string(),
            ":created_at": seconds(token.created_at),
            ":created_by": token.created_by,
        })?;
    if inserted == 0 {
        return Ok(false);
    }
    for secret in &token.secrets {
        insert_secret(connection, &token.id, secret)?;
    }
    Ok(true)
}

pub(crate) fn insert_secret(
    connection: &Connection,
    token: &str,
    secret: &TokenSecret,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO personal_token_secrets (hash, token, created_at, expires_at)
               VALUES (?1, ?2, ?3, ?4)";
    connection.prepare_cached(sql)?.execute(params![
        secret.fingerprint.as_bytes(),
        token,
        seconds(secret.created_at),
        seconds(secret.expires_at)
    ])?;
    Ok(())
}

/// Lets the secrets of a token that are valid at `now` end at `end`: the latest one, and any older one
/// at once.
pub(crate) fn supersede(
    connection: &Connection,
    token: &PersonalToken,
    end: SystemTime,
    now: SystemTime,
) -> rusqlite::Result<()> {
    let sql = "UPDATE personal_token_secrets SET expires_at = min(expires_at, ?2) WHERE hash = ?1";
    let mut statement = connection.prepare_cached(sql)?;
    for (index, secret) in token.secrets.iter().enumerate() {
        let end = if index == 0 { end } else { now };
        statement.execute(params![secret.fingerprint.as_bytes(), seconds(end)])?;
    }
    Ok(())
}

pub(crate) fn revoke(
    connection: &Connection,
    token: &PersonalToken,
    now: SystemTime,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE personal_tokens SET revoked_at = ?2 WHERE id = ?1")?
        .execute(params![token.id, seconds(now)])?;
    Ok(())
}

pub(crate) fn set_disabled(
    connection: &Connection,
    token: &PersonalToken,
    disabled_at: Option<SystemTime>,
) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE personal_tokens SET disabled_at = ?2 WHERE id = ?1")?
        .execute(params![token.id, disabled_at.map(seconds)])?;
    Ok(())
}

/// Removes some of what has been over for long: revoked tokens, secrets, and personal tokens without
/// any. A robot without a secret stays, because it can get a new one.
pub(crate) fn purge(connection: &Connection, now: SystemTime) -> rusqlite::Result<()> {
    let until = seconds(now).saturating_sub(seconds(UNIX_EPOCH + KEPT));
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
        connection
            .prepare_cached(sql)?
            .execute([until, i64::from(PURGE)])?;
    }
    Ok(())
}

/// Notes a use. A secret that is gone is no error, and a login keeps the repository of before.
pub(crate) fn note_use(
    connection: &Connection,
    fingerprint: &CredentialFingerprint,
    token_use: &TokenUse,
) -> rusqlite::Result<()> {
    let address = token_use.address.map(|address| address.to_string());
    connection
        .prepare_cached(
            "INSERT INTO personal_token_uses (hash, used_at, address, repository)
             SELECT hash, :used_at, :address, :repository
             FROM personal_token_secrets WHERE hash = :hash
             ON CONFLICT (hash) DO UPDATE SET
                 used_at = max(used_at, excluded.used_at), address = excluded.address,
                 repository = iif(excluded.repository = '', repository, excluded.repository)",
        )?
        .execute(named_params! {
            ":hash": fingerprint.as_bytes(),
            ":used_at": seconds(token_use.time),
            ":address": address.unwrap_or_default(),
            ":repository": token_use.repository.as_deref().unwrap_or_default(),
        })?;
    Ok(())
}

fn token(row: &Row<'_>) -> rusqlite::Result<PersonalToken> {
    let name: String = row.get("name")?;
    let name: TokenName = name.parse().map_err(unreadable)?;
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
        serde_json::from_str(&row.get::<_, String>("networks")?).map_err(unreadable)?;
    let networks = networks.iter().map(|network| network.parse::<IpNetwork>());
    let at = |column| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(column)?.map(time));
    Ok(PersonalToken {
        id: row.get("id")?,
        name,
        holder,
        ceiling: ceiling(row.get("ceiling")?)?,
        networks: networks.collect::<Result<_, _>>().map_err(unreadable)?,
        created_at: time(row.get("created_at")?),
        created_by: row.get("created_by")?,
        disabled_at: at("disabled_at")?,
        revoked_at: at("revoked_at")?,
        secrets: Vec::new(),
    })
}

fn ceiling(stored: Option<String>) -> rusqlite::Result<ScopeCeiling> {
    let Some(entries) = stored else {
        return Ok(ScopeCeiling::Unlimited);
    };
    let entries = serde_json::from_str(&entries).map_err(unreadable)?;
    let rules = CeilingRules::compile(entries);
    let rules = rules.map_err(|mut errors| unreadable(errors.remove(0)))?;
    Ok(ScopeCeiling::Limited(rules))
}

fn seconds(time: SystemTime) -> i64 {
    i64::try_from(unix_seconds(time)).unwrap_or(i64::MAX)
}

fn time(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs())
}

fn unreadable(error: impl Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, Type::Text, error.into())
}
