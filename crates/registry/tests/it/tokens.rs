//! Tokens of every kind, good and bad.

use std::sync::Arc;

use registry::{Authentication, CachingVerifier, Realm, TokenAuth};
use serde_json::json;
use token::{
    Access, Claims, HeaderMember, HeaderOptions, JwkSet, KeyIdKind, KeyKind, PrivateKey, Signer,
    Verifier,
};

use super::world::NOW;

pub(crate) const SERVICE: &str = "registry.test";
pub(crate) const REALM: &str = "https://auth.test/token";

/// An issuer of tokens.
pub(crate) struct Issuer {
    key: Arc<PrivateKey>,
    signer: Signer,
}

impl Issuer {
    pub(crate) fn new() -> Self {
        let key = Arc::new(PrivateKey::generate(KeyKind::P256).unwrap());
        let header = HeaderOptions {
            members: &[HeaderMember::Kid],
            key_id: KeyIdKind::Thumbprint,
            chain: &[],
        };
        Self {
            signer: Signer::new(Arc::clone(&key), header).unwrap(),
            key,
        }
    }

    /// Authentication with tokens of this issuer.
    pub(crate) fn auth(&self) -> Authentication {
        let keys: JwkSet = [self.key.public().jwk()].into_iter().collect();
        let verifier = Verifier::new(SERVICE, ["Acme".to_owned()]).trusting_keys(&keys);
        let verifier = Arc::new(CachingVerifier::new(vec![verifier]));
        Authentication::Token(TokenAuth {
            realm: Realm::Url(REALM.into()),
            service: SERVICE.into(),
            verifier,
        })
    }

    pub(crate) fn sign(&self, claims: &Claims) -> String {
        self.signer.sign(claims).unwrap()
    }

    /// A token for `alice` that grants these scopes.
    pub(crate) fn token(&self, scopes: &[&str]) -> String {
        self.sign(&claims(scopes))
    }

    /// The header with such a token.
    pub(crate) fn bearer(&self, scopes: &[&str]) -> String {
        format!("Bearer {}", self.token(scopes))
    }
}

pub(crate) fn claims(scopes: &[&str]) -> Claims {
    let access = scopes.iter().map(|scope| {
        let scope: token::Scope = scope.parse().unwrap();
        Access {
            resource_type: scope.resource_type,
            name: scope.name,
            actions: scope.actions,
        }
    });
    Claims {
        issuer: "Acme".into(),
        subject: "alice".into(),
        audience: SERVICE.into(),
        expires_at: NOW + 300,
        not_before: NOW,
        issued_at: NOW,
        id: "1".into(),
        access: access.collect(),
        personal_token: String::new(),
    }
}

/// `token` with another subject under the old signature.
pub(crate) fn with_changed_claim(token: &str) -> String {
    let parts: Vec<&str> = token.split('.').collect();
    let mut claims: serde_json::Value = serde_json::from_slice(
        &data_encoding::BASE64URL_NOPAD
            .decode(parts[1].as_bytes())
            .unwrap(),
    )
    .unwrap();
    claims["sub"] = json!("root");
    let claims = data_encoding::BASE64URL_NOPAD.encode(claims.to_string().as_bytes());
    [parts[0], &claims, parts[2]].join(".")
}

/// `token` with the algorithm `none`.
pub(crate) fn unsigned(token: &str) -> String {
    let header = data_encoding::BASE64URL_NOPAD.encode(br#"{"typ":"JWT","alg":"none"}"#);
    format!("{header}.{}.", token.split('.').nth(1).unwrap())
}
