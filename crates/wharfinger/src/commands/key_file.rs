//! Keys in files, whatever form they have there.

use std::path::Path;

use token::{Certificate, Jwk, JwkSet, KeyError, PrivateKey, PublicKey};

use crate::failure::Failure;
use crate::files;

/// A key that was found in a file.
#[derive(Clone, Debug)]
pub(crate) struct FileKey {
    /// What it was found as: `private key`, `certificate`, …
    pub(crate) form: &'static str,
    pub(crate) key: PublicKey,
    /// The id that a JWK gives it.
    pub(crate) key_id: Option<String>,
    pub(crate) certificate: Option<Certificate>,
}

/// The private key in a PEM file.
pub(crate) fn private(path: &Path) -> Result<PrivateKey, Failure> {
    PrivateKey::from_pem(&files::read(path)?).map_err(|error| unusable(path).caused_by(&error))
}

/// The certificates in a PEM file, in its order.
pub(crate) fn certificates(path: &Path) -> Result<Vec<Certificate>, Failure> {
    Certificate::bundle_from_pem(&files::read(path)?)
        .map_err(|error| unusable(path).caused_by(&error))
}

/// Every key in a file: PEM (a private key, public keys, certificates) or JSON (a JWK, a JWKS).
pub(crate) fn all(path: &Path) -> Result<Vec<FileKey>, Failure> {
    let text = files::read(path)?;
    let found = if text.trim_start().starts_with('{') {
        in_json(&text)
    } else {
        in_pem(&text)
    };
    found.map_err(|error| unusable(path).caused_by(&*error))
}

fn in_json(text: &str) -> Result<Vec<FileKey>, Box<dyn std::error::Error>> {
    let is_one_key =
        serde_json::from_str::<serde_json::Value>(text).is_ok_and(|json| json.get("kty").is_some());
    let keys = if is_one_key {
        vec![Jwk::from_json(text)?]
    } else {
        JwkSet::from_json(text)?.keys
    };
    let found = keys.into_iter().map(|jwk| FileKey {
        form: "JWK",
        key: jwk.key,
        key_id: jwk.key_id,
        certificate: None,
    });
    Ok(found.collect())
}

fn in_pem(text: &str) -> Result<Vec<FileKey>, Box<dyn std::error::Error>> {
    let bare = |form, key| FileKey {
        form,
        key,
        key_id: None,
        certificate: None,
    };
    let mut found = Vec::new();
    match (PrivateKey::from_pem(text), PublicKey::from_pem(text)) {
        (Ok(key), _) => found.push(bare("private key", key.public().clone())),
        (Err(KeyError::Missing { .. }), Ok(key)) => found.push(bare("public key", key)),
        // The file may still hold certificates; with nothing else in it, that there is no private
        // key says least.
        (Err(KeyError::Missing { .. }), Err(KeyError::Missing { .. })) => {}
        (Err(KeyError::Missing { .. }), Err(error)) | (Err(error), _) => return Err(error.into()),
    }
    match Certificate::bundle_from_pem(text) {
        Ok(certificates) => {
            for certificate in certificates {
                let key = certificate.public_key()?.clone();
                found.push(FileKey {
                    form: "certificate",
                    key,
                    key_id: None,
                    certificate: Some(certificate),
                });
            }
        }
        Err(error) if found.is_empty() => return Err(error.into()),
        Err(_) => {}
    }
    Ok(found)
}

fn unusable(path: &Path) -> Failure {
    Failure::usage(format!("cannot use {}", path.display()))
}
