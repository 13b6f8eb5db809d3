//! What a token must say, whatever rules there are for its claims.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::unix_seconds;
use serde_json::{Map, Value};

use crate::problem::TokenProblem;

/// How far the issuer's clock and this server's may be apart.
const LEEWAY: Duration = token::LEEWAY;

/// The last second that has a date with a year of four digits.
const LATEST: f64 = 253_402_300_799.0;

/// Checks `iss`, `aud`, `exp`, `nbf`, `iat` and `sub` (RFC 7519 §4.1), and returns when the token ends.
pub(crate) fn check_claims(
    claims: &Map<String, Value>,
    issuer: &str,
    audiences: &[String],
    now: SystemTime,
) -> Result<SystemTime, TokenProblem> {
    match claims.get("iss").and_then(Value::as_str) {
        Some(found) if found == issuer => {}
        found => return Err(TokenProblem::Issuer(found.map(str::to_owned))),
    }
    check_audience(claims, audiences)?;
    if claims
        .get("sub")
        .and_then(Value::as_str)
        .is_none_or(str::is_empty)
    {
        return Err(TokenProblem::Claim {
            claim: "sub",
            wanted: "a text",
        });
    }
    let (now, leeway) = (unix_seconds(now), LEEWAY.as_secs());
    let expires = time(claims, "exp")?.ok_or(TokenProblem::Claim {
        claim: "exp",
        wanted: "a time",
    })?;
    if now >= expires.saturating_add(leeway) {
        return Err(TokenProblem::Expired(expires));
    }
    let has_come = |at: u64| at <= now.saturating_add(leeway);
    if let Some(from) = time(claims, "nbf")?.filter(|from| !has_come(*from)) {
        return Err(TokenProblem::NotYetValid(from));
    }
    if let Some(at) = time(claims, "iat")?.filter(|at| !has_come(*at)) {
        return Err(TokenProblem::IssuedLater(at));
    }
    Ok(UNIX_EPOCH + Duration::from_secs(expires) + LEEWAY)
}

/// A token names its audiences in a text or in a list of texts, and one of them must be this server.
fn check_audience(claims: &Map<String, Value>, wanted: &[String]) -> Result<(), TokenProblem> {
    let is_wanted = |name: &Value| wanted.iter().any(|wanted| name == wanted.as_str());
    let accepted = match claims.get("aud") {
        Some(Value::Array(names)) => {
            names.iter().all(Value::is_string) && names.iter().any(is_wanted)
        }
        Some(name) => is_wanted(name),
        None => false,
    };
    if accepted {
        return Ok(());
    }
    let found = claims.get("aud").map(ToString::to_string);
    Err(TokenProblem::Audience {
        found: found.unwrap_or_else(|| "absent".to_owned()),
        wanted: wanted.to_vec(),
    })
}

/// A claim that is a time (RFC 7519 §2, `NumericDate`), in whole seconds.
fn time(claims: &Map<String, Value>, claim: &'static str) -> Result<Option<u64>, TokenProblem> {
    let Some(value) = claims.get(claim) else {
        return Ok(None);
    };
    let seconds = value.as_f64().filter(|time| (0.0..=LATEST).contains(time));
    let seconds = seconds.ok_or(TokenProblem::Claim {
        claim,
        wanted: "a time",
    })?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was checked, and a part of a second does not count"
    )]
    let whole = seconds as u64;
    Ok(Some(whole))
}
