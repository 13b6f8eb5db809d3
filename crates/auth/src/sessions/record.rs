//! A session as lists show it to programs: by `sessions list --json`, and by the API.

use std::time::SystemTime;

use common::{rfc3339, unix_seconds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Session;

/// A session without what only the server needs. Times are RFC 3339 in UTC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Session")]
pub struct SessionRecord {
    /// What lists and logs call it.
    pub id: String,
    /// Its account.
    pub account: String,
    /// The backend that accepted the login, by its section in the configuration, if it was stored.
    pub backend: Option<String>,
    /// The service that it is for.
    pub service: String,
    /// What the client that opened it called itself.
    pub client_id: String,
    /// The address of that client.
    pub address: String,
    /// When it was opened.
    pub created_at: String,
    /// When it was last used, to the minute.
    pub last_used_at: String,
    /// When the backend last confirmed the account, to the minute.
    pub confirmed_at: String,
    /// When it is over unless it is used.
    pub expires_at: String,
}

impl From<Session> for SessionRecord {
    fn from(session: Session) -> Self {
        Self {
            created_at: date(session.created_at),
            last_used_at: date(session.last_used_at),
            confirmed_at: date(session.confirmed_at),
            expires_at: date(session.expires_at),
            id: session.id,
            account: session.account,
            backend: session.backend,
            service: session.service,
            client_id: session.client_id,
            address: session.address,
        }
    }
}

fn date(time: SystemTime) -> String {
    rfc3339(unix_seconds(time))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use serde_json::json;

    use super::super::TokenHash;
    use super::*;

    #[test]
    fn programs_read_json() {
        let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(1_793_491_200 + seconds);
        let token = "whr_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyCuIWwu".into();
        let session = Session {
            hash: TokenHash::of(&token).unwrap(),
            id: "0c1fe95f4c57c2db".into(),
            account: "a b".into(),
            labels: Default::default(),
            credential: None,
            backend: Some("users".into()),
            ceiling: Default::default(),
            service: "registry.example.com".into(),
            client_id: "\u{1b}[2J".into(),
            address: "192.0.2.7".into(),
            created_at: at(0),
            last_used_at: at(3600),
            confirmed_at: at(1800),
            expires_at: at(30 * 86_400 + 3600),
            is_revoked: false,
        };
        let expected = json!({
            "id": "0c1fe95f4c57c2db",
            "account": "a b",
            "backend": "users",
            "service": "registry.example.com",
            "client_id": "\u{1b}[2J",
            "address": "192.0.2.7",
            "created_at": "2026-11-01T00:00:00Z",
            "last_used_at": "2026-11-01T01:00:00Z",
            "confirmed_at": "2026-11-01T00:30:00Z",
            "expires_at": "2026-12-01T01:00:00Z",
        });
        let record = SessionRecord::from(session);
        assert_eq!(json!(record), expected);
        assert_eq!(
            serde_json::from_value::<SessionRecord>(expected).unwrap(),
            record
        );
    }
}
