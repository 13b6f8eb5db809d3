//! Creations that a client may send again (draft-ietf-httpapi-idempotency-key-header-07).
//!
//! A client that got no response does not know whether its token was made. With an
//! `Idempotency-Key` it sends the request again, and gets the response of the first one. The key is
//! claimed before the handler runs, and the response is stored after it. The handler goes on when its
//! client has gone, so only a crash leaves a key whose outcome is not known.

mod seal;

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use common::{Clock, Entropy, unix_seconds};
use database::{Database, DatabaseConnection, params};
use http::{HeaderMap, HeaderName, StatusCode};

pub use self::seal::ResponseKey;

use self::seal::SealedResponse;
use crate::problem::{ApiProblem, ProblemKind};
use crate::reply::ApiResponse;

/// The header of a request.
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The header of a response that was stored.
pub(crate) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The longest key, in bytes.
const MAX_KEY: usize = 255;

/// How long a key is remembered.
const PERIOD: Duration = Duration::from_secs(24 * 3600);

/// How many keys an account may use in that time.
const MAX_KEYS: u32 = 10_000;

/// The requests that came with a key.
pub(crate) struct IdempotencyKeys {
    pub(crate) database: Database,
    pub(crate) key: ResponseKey,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

/// A key of a request that is to be handled.
#[derive(Clone)]
pub(crate) struct ClaimedKey {
    /// The SHA-256 of the account and the key.
    id: [u8; 32],
    account: String,
    key: String,
}

/// What is to be done with a request that has a key.
pub(crate) enum KeyClaim {
    /// It is the first one.
    New(ClaimedKey),
    /// It was handled. This is what was answered.
    Answered(ApiResponse),
}

/// What the database knows of a key.
enum StoredKey {
    New,
    OtherRequest,
    NoResponse,
    Response(Vec<u8>),
    TooMany,
}

/// The key of a request, if it has one.
///
/// # Errors
/// When it is not 1 to 255 printable bytes, or there are several.
pub(crate) fn key_of(headers: &HeaderMap) -> Result<Option<&str>, ApiProblem> {
    let mut values = headers.get_all(&IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let key = value.as_bytes();
    let is_printable = key.iter().all(|byte| matches!(byte, b' '..=b'~'));
    let text = value.to_str().ok().filter(|_| is_printable);
    match text.filter(|_| (1..=MAX_KEY).contains(&key.len()) && values.next().is_none()) {
        Some(text) => Ok(Some(text)),
        None => {
            let detail = format!("Idempotency-Key must be one text of 1 to {MAX_KEY} ASCII bytes");
            Err(ApiProblem::new(StatusCode::BAD_REQUEST, detail))
        }
    }
}

/// The digest of all that makes a request the same: its operation, its path and its body.
pub(crate) fn request_digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

impl IdempotencyKeys {
    /// Claims `key` for the request with this digest, or finds what was answered to it.
    ///
    /// # Errors
    /// When the key was used for another request, when that request has no response, and when the
    /// account has used too many keys.
    pub(crate) async fn claim(
        &self,
        account: &str,
        key: &str,
        request: [u8; 32],
    ) -> Result<KeyClaim, ApiProblem> {
        let claimed = ClaimedKey {
            id: request_digest(&[account.as_bytes(), key.as_bytes()]),
            account: account.to_owned(),
            key: key.to_owned(),
        };
        let (id, account, now) = (claimed.id, account.to_owned(), self.clock.now());
        let write = self.database.write(move |connection: &DatabaseConnection| {
            claim(connection, &id, &account, &request, unix_seconds(now))
        });
        match write.await? {
            StoredKey::New => Ok(KeyClaim::New(claimed)),
            StoredKey::Response(sealed) => match self.key.open(&claimed, &sealed) {
                Some(response) => Ok(KeyClaim::Answered(response)),
                None => Err(in_use(
                    "the response to this key cannot be read any more, because the server's key has \
                     changed: look whether the object exists, and use another key",
                )),
            },
            StoredKey::NoResponse => Err(in_use(
                "the request with this key is still being handled, or its outcome is not known: try \
                 again later, or look whether the object exists",
            )),
            StoredKey::OtherRequest => Err(ApiProblem::of_kind(
                StatusCode::UNPROCESSABLE_ENTITY,
                ProblemKind::IdempotencyKeyReused,
                "this key was used for another request: use a new one",
            )),
            StoredKey::TooMany => Err(ApiProblem::of_kind(
                StatusCode::TOO_MANY_REQUESTS,
                ProblemKind::TooManyRequests,
                format!("the account has used {MAX_KEYS} idempotency keys in 24 hours"),
            )),
        }
    }

    /// Stores what was answered, or frees the key if nothing was changed. A failure is logged: the
    /// client has its response, and a second request with the key will get 409.
    pub(crate) async fn settle(
        &self,
        claimed: ClaimedKey,
        result: &Result<ApiResponse, ApiProblem>,
    ) {
        let sealed = match result {
            Ok(response) => match self.key.seal(&claimed, response, self.entropy.as_ref()) {
                Ok(sealed) => Some(sealed),
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "a response cannot be kept for its idempotency key");
                    return;
                }
            },
            // Operations change nothing if they fail.
            Err(_) => None,
        };
        let id = claimed.id;
        let write = self
            .database
            .write(move |connection: &DatabaseConnection| settle(connection, &id, sealed.as_ref()));
        if let Err(error) = write.await {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "a response cannot be kept for its idempotency key");
        }
    }
}

fn in_use(detail: &str) -> ApiProblem {
    let kind = ProblemKind::IdempotencyKeyInUse;
    ApiProblem::of_kind(StatusCode::CONFLICT, kind, detail)
}

fn claim(
    connection: &DatabaseConnection,
    id: &[u8; 32],
    account: &str,
    request: &[u8; 32],
    now: u64,
) -> Result<StoredKey, database::Error> {
    let oldest = now.saturating_sub(PERIOD.as_secs());
    let sql = "DELETE FROM idempotency_keys WHERE created_at < ?1";
    connection.execute(sql, params![oldest])?;
    let sql = "SELECT request, response FROM idempotency_keys WHERE id = ?1";
    let found = connection.query_optional(sql, params![id], |row| {
        Ok((row.get::<Vec<u8>>(0)?, row.get::<Option<Vec<u8>>>(1)?))
    })?;
    match found {
        Some((before, _)) if before != request => return Ok(StoredKey::OtherRequest),
        Some((_, Some(response))) => return Ok(StoredKey::Response(response)),
        Some((_, None)) => return Ok(StoredKey::NoResponse),
        None => {}
    }
    let sql = "SELECT count(*) FROM idempotency_keys WHERE account = ?1";
    let count: u32 = connection.query_one(sql, params![account], |row| row.get(0))?;
    if count >= MAX_KEYS {
        return Ok(StoredKey::TooMany);
    }
    connection.execute(
        "INSERT INTO idempotency_keys (id, account, request, created_at)
         VALUES (?1, ?2, ?3, ?4)",
        params![id, account, request, now],
    )?;
    Ok(StoredKey::New)
}

fn settle(
    connection: &DatabaseConnection,
    id: &[u8; 32],
    sealed: Option<&SealedResponse>,
) -> Result<(), database::Error> {
    match sealed {
        Some(sealed) => connection.execute(
            "UPDATE idempotency_keys SET response = ?2 WHERE id = ?1",
            params![id, sealed.as_bytes()],
        )?,
        None => connection.execute(
            "DELETE FROM idempotency_keys WHERE id = ?1 AND response IS NULL",
            params![id],
        )?,
    };
    Ok(())
}
