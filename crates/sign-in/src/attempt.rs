//! A sign-in in progress: what ties the browser that began it to the one that comes back.
//!
//! The browser keeps one random secret in a cookie. `state`, `nonce` and the PKCE verifier are
//! derived from it, each for one section of the configuration. So the server keeps nothing, any
//! replica finishes what another began, and what one provider sees is of no use at another.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use common::{Entropy, EntropyError, Secret};
use data_encoding::BASE64URL_NOPAD;

use crate::provider::AuthorizationParameters;

/// The secret of one sign-in.
pub(crate) struct SignInAttempt {
    secret: [u8; 32],
    section: &'static str,
}

impl SignInAttempt {
    /// A new one, for a section of the configuration.
    pub(crate) fn begin(
        section: &'static str,
        entropy: &dyn Entropy,
    ) -> Result<Self, EntropyError> {
        let mut secret = [0; 32];
        entropy.fill(&mut secret)?;
        Ok(Self { secret, section })
    }

    /// The one that a browser's cookie has.
    pub(crate) fn of_cookie(section: &'static str, value: &str) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(value.as_bytes()).ok()?;
        let secret = bytes.try_into().ok()?;
        Some(Self { secret, section })
    }

    /// What the browser keeps.
    pub(crate) fn cookie(&self) -> String {
        BASE64URL_NOPAD.encode(&self.secret)
    }

    /// What the provider is told. `page` is the page's address, as the browser reached it.
    pub(crate) fn parameters(&self, page: String) -> AuthorizationParameters {
        // RFC 7636 §4.2: S256.
        let challenge = digest(&SHA256, self.derived("verifier").as_bytes());
        AuthorizationParameters {
            state: self.derived("state"),
            nonce: self.derived("nonce"),
            code_challenge: BASE64URL_NOPAD.encode(challenge.as_ref()),
            page,
        }
    }

    /// Whether the `state` that came back is of this sign-in.
    pub(crate) fn has_state(&self, state: &str) -> bool {
        verify_slices_are_equal(self.derived("state").as_bytes(), state.as_bytes()).is_ok()
    }

    /// The PKCE verifier: 43 characters, as RFC 7636 §4.1 wants at least.
    pub(crate) fn verifier(&self) -> Secret {
        self.derived("verifier").into()
    }

    /// The nonce that the ID token must have.
    pub(crate) fn nonce(&self) -> String {
        self.derived("nonce")
    }

    fn derived(&self, purpose: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.secret);
        let mut context = hmac::Context::with_key(&key);
        context.update(self.section.as_bytes());
        context.update(b"\0");
        context.update(purpose.as_bytes());
        BASE64URL_NOPAD.encode(context.sign().as_ref())
    }
}

#[cfg(test)]
mod tests {
    use common::SystemEntropy;

    use super::*;

    #[test]
    fn the_cookie_carries_everything() {
        let begun = SignInAttempt::begin("oidc_auth", &SystemEntropy).unwrap();
        let parameters = begun.parameters(String::new());
        let back = SignInAttempt::of_cookie("oidc_auth", &begun.cookie()).unwrap();
        assert!(back.has_state(&parameters.state));
        assert_eq!(back.nonce(), parameters.nonce);
        let challenge = digest(&SHA256, back.verifier().expose().as_bytes());
        let challenge = BASE64URL_NOPAD.encode(challenge.as_ref());
        assert_eq!(challenge, parameters.code_challenge);
        assert_eq!(back.verifier().expose().len(), 43);
    }

    #[test]
    fn nothing_of_it_is_good_for_another_sign_in() {
        let one = SignInAttempt::begin("oidc_auth", &SystemEntropy).unwrap();
        let other = SignInAttempt::begin("oidc_auth", &SystemEntropy).unwrap();
        let elsewhere = SignInAttempt::of_cookie("gitlab_auth", &one.cookie()).unwrap();
        let state = one.parameters(String::new()).state;
        assert!(!other.has_state(&state) && !elsewhere.has_state(&state));
        assert!(!one.has_state("") && !one.has_state(&one.nonce()));
        assert_ne!(one.nonce(), elsewhere.nonce());
    }

    #[test]
    fn a_cookie_of_another_form_is_none() {
        for value in ["", "AAAA", "!", &"A".repeat(44)] {
            assert!(
                SignInAttempt::of_cookie("oidc_auth", value).is_none(),
                "{value}"
            );
        }
    }
}
