//! What the administration log has of robots and personal tokens.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{rfc3339, unix_seconds};
use database::{AdministrativeChange, Administrator, DatabaseConnection, log_change};
use serde_json::{Value, json};

use crate::PersonalTokensError;
use crate::token::{PersonalToken, TokenKind};

/// Logs a change of `token`, in its transaction.
pub(crate) fn log(
    connection: &DatabaseConnection,
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

/// What the log has of a new token.
pub(crate) fn details(token: &PersonalToken) -> Value {
    let networks: Vec<_> = token.networks.iter().map(ToString::to_string).collect();
    json!({
        "id": token.id,
        "owner": token.owner(),
        "ceiling": token.ceiling.entries(),
        "networks": networks,
        "expires_at": token.secrets.first().map(|secret| date(secret.expires_at)),
    })
}

/// As dates are logged.
pub(crate) fn date(time: SystemTime) -> String {
    rfc3339(unix_seconds(time))
}

pub(crate) fn to_the_second(time: SystemTime) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(unix_seconds(time))
}
