//! `docker_auth`'s record of a user who signed in, byte for byte.
//!
//! It is JSON as Go writes it, so that both servers can share a store. The tokens are in clear, as
//! there: a reader of the store can act at the provider with what the user allowed.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use common::{Secret, rfc3339, unix_seconds};
use policy::Labels;
use serde::Deserialize;
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::ProviderTokens;

/// What is kept of a user's tokens, with the newest password.
#[derive(Clone)]
pub struct TokenRecord {
    /// The tokens as the provider gave them.
    pub tokens: ProviderTokens,
    /// Until when the provider need not be asked again.
    pub valid_until: SystemTime,
    /// bcrypt of the newest password, `$2a$`. Empty if that password was revoked: then nothing
    /// matches it.
    pub docker_password: String,
    /// The labels of the account.
    pub labels: Labels,
}

/// The members, as they are stored. Go writes an absent list as null.
#[derive(Deserialize)]
struct RecordMembers {
    #[serde(default)]
    token_type: Option<String>,
    #[serde(default)]
    access_token: Option<String>,
    #[serde(default)]
    refresh_token: Option<String>,
    valid_until: String,
    #[serde(default)]
    docker_password: Option<String>,
    #[serde(default)]
    labels: Option<BTreeMap<String, Option<Vec<String>>>>,
}

/// Why a record cannot be read. Its content is not shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It is not JSON of this form.
    #[error("the stored record is not the JSON of a sign-in")]
    Form,
    /// Its time cannot be read.
    #[error("the stored record's valid_until is not a time (RFC 3339)")]
    Time,
}

impl TokenRecord {
    /// Reads a record.
    ///
    /// # Errors
    /// When it is not one.
    pub fn from_json(json: &[u8]) -> Result<Self, RecordError> {
        let members: RecordMembers = serde_json::from_slice(json).map_err(|_| RecordError::Form)?;
        let labels = members.labels.unwrap_or_default().into_iter();
        Ok(Self {
            tokens: ProviderTokens {
                token_type: members.token_type.unwrap_or_default(),
                access_token: members.access_token.unwrap_or_default().into(),
                refresh_token: members.refresh_token.unwrap_or_default().into(),
                id_token: Secret::from(""),
                expires_in: None,
            },
            valid_until: time(&members.valid_until).ok_or(RecordError::Time)?,
            docker_password: members.docker_password.unwrap_or_default(),
            labels: labels
                .map(|(name, values)| (name, values.unwrap_or_default()))
                .collect(),
        })
    }

    /// The record as `docker_auth` writes it: the same members in the same order, empty ones left
    /// out, and Go's escapes.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let mut members = Map::new();
        let texts = [
            ("token_type", self.tokens.token_type.as_str()),
            ("access_token", self.tokens.access_token.expose()),
            ("refresh_token", self.tokens.refresh_token.expose()),
        ];
        for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            members.insert(name.to_owned(), text.into());
        }
        let valid_until = rfc3339(unix_seconds(self.valid_until));
        members.insert("valid_until".to_owned(), valid_until.into());
        if !self.docker_password.is_empty() {
            let hash = self.docker_password.as_str().into();
            members.insert("docker_password".to_owned(), hash);
        }
        if !self.labels.is_empty() {
            members.insert("labels".to_owned(), serde_json::json!(self.labels));
        }
        go_escaped(&Value::Object(members).to_string()).into_bytes()
    }
}

/// Go escapes what HTML and JavaScript would misread. Outside of strings JSON has none of these.
fn go_escaped(json: &str) -> String {
    json.replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

/// A time as Go writes it: with fractions of a second and any offset, from the year 1 on.
fn time(text: &str) -> Option<SystemTime> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let seconds = time.unix_timestamp();
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 {
        return SystemTime::UNIX_EPOCH.checked_sub(distance);
    }
    let fraction = Duration::from_nanos(time.nanosecond().into());
    SystemTime::UNIX_EPOCH.checked_add(distance + fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The password is `s3cretS3cretS3cr`, at cost 5.
    const OF_DOCKER_AUTH: &str = r#"{"token_type":"bearer","access_token":"a\u003cb\u0026","refresh_token":"r","valid_until":"2026-11-01T12:30:00.123456789+01:00","docker_password":"$2a$05$abc","labels":{"teams":["a","b"]}}"#;

    #[test]
    fn a_record_of_docker_auth_is_read() {
        let record = TokenRecord::from_json(OF_DOCKER_AUTH.as_bytes()).unwrap();
        assert_eq!(record.tokens.access_token.expose(), "a<b&");
        assert_eq!(record.tokens.refresh_token.expose(), "r");
        assert_eq!(unix_seconds(record.valid_until), 1_793_532_600);
        assert_eq!(record.docker_password, "$2a$05$abc");
        assert_eq!(record.labels["teams"], ["a", "b"]);
        let null = br#"{"valid_until":"0001-01-01T00:00:00Z","labels":{"teams":null}}"#;
        let record = TokenRecord::from_json(null).unwrap();
        assert!(record.valid_until < SystemTime::UNIX_EPOCH);
        assert_eq!(record.labels["teams"], [""; 0]);
    }

    #[test]
    fn it_is_written_as_docker_auth_writes_it() {
        let record = TokenRecord::from_json(OF_DOCKER_AUTH.as_bytes()).unwrap();
        let written = String::from_utf8(record.to_json()).unwrap();
        let expected = OF_DOCKER_AUTH.replace("12:30:00.123456789+01:00", "11:30:00Z");
        assert_eq!(written, expected);
    }

    #[test]
    fn what_is_not_a_record_is_an_error_that_shows_nothing() {
        for json in ["", "[]", "{}", r#"{"access_token":"SECRET"}"#, "SECRET"] {
            let error = TokenRecord::from_json(json.as_bytes()).err().unwrap();
            assert_eq!(error, RecordError::Form, "{json}");
            assert!(!error.to_string().contains("SECRET"));
        }
        let json = br#"{"valid_until":"yesterday"}"#;
        assert_eq!(
            TokenRecord::from_json(json).err().unwrap(),
            RecordError::Time
        );
    }

    #[test]
    fn nothing_secret_is_printed() {
        let record = TokenRecord::from_json(OF_DOCKER_AUTH.as_bytes()).unwrap();
        assert!(!format!("{:?}", record.tokens).contains("a<b&"));
    }
}
