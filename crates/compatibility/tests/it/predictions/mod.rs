//! Predictions of what registries answer. The binary's tests run the registries themselves; here is
//! the rest of each table, and the advice.

mod compared_claims;
mod headers;
mod keys;
mod signatures;

use std::sync::Arc;

use compatibility::{Prediction, RegistryVersion, TokenAuthSettings, predict};
use serde_json::Value;
use token::{
    Certificate, Claims, HeaderMember, HeaderOptions, KeyIdKind, KeyKind, PrivateKey, Signer,
};

use crate::{NOW, at, certified};

fn claims() -> Claims {
    Claims {
        issuer: "auth".to_owned(),
        subject: String::new(),
        audience: "registry".to_owned(),
        expires_at: NOW + 300,
        not_before: NOW,
        issued_at: NOW,
        id: String::new(),
        access: Vec::new(),
        personal_token: String::new(),
    }
}

struct Server {
    key: Arc<PrivateKey>,
    bundle: Vec<Certificate>,
}

impl Server {
    fn new(kind: KeyKind) -> Self {
        let (key, certificate) = certified(kind, "server");
        Self {
            key: Arc::new(key),
            bundle: vec![certificate],
        }
    }

    fn token(&self, member: HeaderMember, key_id: KeyIdKind) -> String {
        let options = HeaderOptions {
            members: &[member],
            key_id,
            chain: &self.bundle,
        };
        Signer::new(Arc::clone(&self.key), options)
            .unwrap()
            .sign(&claims())
            .unwrap()
    }

    fn kid(&self, key_id: KeyIdKind) -> String {
        self.token(HeaderMember::Kid, key_id)
    }

    /// A token with any header and claims.
    fn odd(&self, header: &Value, claims: &Value) -> String {
        let encoded =
            |json: &Value| data_encoding::BASE64URL_NOPAD.encode(json.to_string().as_bytes());
        let head = format!("{}.{}", encoded(header), encoded(claims));
        let signature =
            data_encoding::BASE64URL_NOPAD.encode(&self.key.sign(head.as_bytes()).unwrap());
        format!("{head}.{signature}")
    }

    fn settings(&self) -> TokenAuthSettings<'_> {
        TokenAuthSettings {
            bundle: &self.bundle,
            jwks: None,
            issuer: Some("auth"),
            service: Some("registry"),
        }
    }
}

/// What is logged, and the advice.
#[track_caller]
fn refusal(
    registry: RegistryVersion,
    token: &str,
    settings: TokenAuthSettings<'_>,
) -> (String, String) {
    match predict(registry, token, settings, at(NOW)) {
        Prediction::Rejected(refusal) | Prediction::DoesNotStart(refusal) => {
            (refusal.logged, refusal.advice.unwrap_or_default())
        }
        other => panic!("{other:?}"),
    }
}

fn accepts(registry: RegistryVersion, token: &str, settings: TokenAuthSettings<'_>) -> bool {
    predict(registry, token, settings, at(NOW)) == Prediction::Accepted
}
