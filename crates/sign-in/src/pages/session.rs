//! The short session of a browser after a sign-in: it may list, make and revoke passwords.
//!
//! It is a cookie with a keyed hash (HMAC). Its key comes from the key that signs tokens, so every
//! replica of the server takes it. Forms carry another hash of the cookie, which no other site knows.

use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use common::{Entropy, EntropyError, Secret, unix_seconds};
use data_encoding::BASE64URL_NOPAD;

/// How long a session lasts.
pub(crate) const LIFE: Duration = Duration::from_secs(15 * 60);

/// The key of the sessions.
#[derive(Clone, Debug)]
pub struct PageKey(hmac::Key);

/// A browser whose user has signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PageSession {
    section: String,
    pub(crate) account: String,
    expires_at: u64,
    /// Makes two sessions of one second differ.
    id: String,
}

impl PageKey {
    /// A key that is derived from `secret`, such as a private key.
    #[must_use]
    pub fn derived_from(secret: &[u8]) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived = hmac::sign(&secret, b"wharfinger: sessions of the sign-in pages");
        Self(hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref()))
    }

    /// What a form carries on the page of device logins, for the browser that has this secret.
    pub(super) fn device_form_token(&self, browser: &Secret) -> String {
        self.hash("device form", browser.expose())
    }

    pub(super) fn is_device_form_token(&self, browser: &Secret, token: &str) -> bool {
        self.is_hash("device form", browser.expose(), token)
    }

    fn hash(&self, purpose: &str, payload: &str) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(purpose.as_bytes());
        context.update(b"\0");
        context.update(payload.as_bytes());
        BASE64URL_NOPAD.encode(context.sign().as_ref())
    }

    fn is_hash(&self, purpose: &str, payload: &str, hash: &str) -> bool {
        let Ok(bytes) = BASE64URL_NOPAD.decode(hash.as_bytes()) else {
            return false;
        };
        let message = [purpose.as_bytes(), b"\0", payload.as_bytes()].concat();
        hmac::verify(&self.0, &message, &bytes).is_ok()
    }
}

impl PageSession {
    pub(crate) fn new(
        section: &str,
        account: &str,
        now: SystemTime,
        entropy: &dyn Entropy,
    ) -> Result<Self, EntropyError> {
        let mut id = [0; 12];
        entropy.fill(&mut id)?;
        Ok(Self {
            section: section.to_owned(),
            account: account.to_owned(),
            expires_at: unix_seconds(now) + LIFE.as_secs(),
            id: BASE64URL_NOPAD.encode(&id),
        })
    }

    /// The session in a cookie of `section`, if this server made it and it lasts.
    pub(crate) fn of_cookie(
        value: &str,
        section: &str,
        key: &PageKey,
        now: SystemTime,
    ) -> Option<Self> {
        let (payload, hash) = value.split_once('.')?;
        if !key.is_hash("session", payload, hash) {
            return None;
        }
        let json = BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?;
        let (its, account, expires_at, id) = serde_json::from_slice(&json).ok()?;
        let session = Self {
            section: its,
            account,
            expires_at,
            id,
        };
        let is_valid = session.section == section && unix_seconds(now) < session.expires_at;
        is_valid.then_some(session)
    }

    pub(crate) fn cookie(&self, key: &PageKey) -> String {
        let payload = self.payload();
        let hash = key.hash("session", &payload);
        format!("{payload}.{hash}")
    }

    /// What a form of this session carries.
    pub(crate) fn form_token(&self, key: &PageKey) -> String {
        key.hash("form", &self.payload())
    }

    pub(crate) fn has_form_token(&self, key: &PageKey, token: &str) -> bool {
        key.is_hash("form", &self.payload(), token)
    }

    fn payload(&self) -> String {
        let json = serde_json::json!([self.section, self.account, self.expires_at, self.id]);
        BASE64URL_NOPAD.encode(json.to_string().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use common::SystemEntropy;

    use super::*;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn session() -> PageSession {
        PageSession::new("oidc_auth", "ann \"x\"", NOW, &SystemEntropy).unwrap()
    }

    #[test]
    fn a_session_is_good_here_for_its_time() {
        let (key, session) = (PageKey::derived_from(b"one"), session());
        let cookie = session.cookie(&key);
        let read = |section, key: &PageKey, now| PageSession::of_cookie(&cookie, section, key, now);
        assert_eq!(read("oidc_auth", &key, NOW), Some(session.clone()));
        assert_eq!(read("gitlab_auth", &key, NOW), None);
        assert_eq!(read("oidc_auth", &key, NOW + LIFE), None);
        assert_eq!(read("oidc_auth", &PageKey::derived_from(b"two"), NOW), None);
        for changed in [
            format!("A{cookie}"),
            format!("{cookie}A"),
            cookie.replace('.', ""),
        ] {
            assert_eq!(
                PageSession::of_cookie(&changed, "oidc_auth", &key, NOW),
                None
            );
        }
    }

    #[test]
    fn a_form_belongs_to_one_session() {
        let key = PageKey::derived_from(b"one");
        let (one, other) = (session(), session());
        let token = one.form_token(&key);
        assert!(one.has_form_token(&key, &token) && !other.has_form_token(&key, &token));
        let (_, hash) = one
            .cookie(&key)
            .split_once('.')
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        assert!(!one.has_form_token(&key, &hash) && !one.has_form_token(&key, ""));
    }
}
