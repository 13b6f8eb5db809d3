//! A private key and its certificate, from their files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use token::{Certificate, PrivateKey};

use super::section::PathSetting;

/// A key that signs tokens, or did.
#[derive(Clone, Debug)]
pub(crate) struct SigningKey {
    pub(crate) key: Arc<PrivateKey>,
    /// The key's certificate, then its issuers'; may be empty.
    pub(crate) chain: Vec<Certificate>,
    /// Until when it is published.
    pub(crate) not_after: Option<SystemTime>,
    /// The files that both came from.
    pub(super) files: (PathBuf, Option<PathBuf>),
}

impl SigningKey {
    /// Reads both files; the certificate must be the key's.
    pub(super) fn read(
        key: &PathSetting<'_>,
        certificate: Option<&PathSetting<'_>>,
    ) -> Option<Self> {
        let private = read_key(key);
        let chain = match certificate {
            None => Vec::new(),
            Some(certificate) => read_chain(certificate)?,
        };
        let private = private?;
        if let Some((certificate, leaf)) = certificate.zip(chain.first())
            && !leaf.holds(private.public())
        {
            let files = format!(
                "{} does not belong to the key in {}",
                certificate.path.display(),
                key.path.display()
            );
            let elsewhere = chain.iter().any(|other| other.holds(private.public()));
            let hint = if elsewhere {
                "; the key's own certificate must come first in the file"
            } else {
                ""
            };
            certificate
                .setting
                .error(format_args!("the certificate in {files}{hint}"));
            return None;
        }
        let files = (
            key.path.clone(),
            certificate.map(|certificate| certificate.path.clone()),
        );
        Some(Self {
            key: Arc::new(private),
            chain,
            not_after: None,
            files,
        })
    }

    /// Whether a registry that trusts the chain would take it at `now`.
    pub(super) fn certificate_is_valid(&self, now: SystemTime) -> bool {
        self.chain.first().is_none_or(|leaf| leaf.valid_at(now))
    }
}

fn read_key(key: &PathSetting<'_>) -> Option<PrivateKey> {
    let pem = text(key)?;
    let private =
        PrivateKey::from_pem(&pem).map_err(|error| format!("{}: {error}", key.path.display()));
    key.setting.checked(private)
}

fn read_chain(certificate: &PathSetting<'_>) -> Option<Vec<Certificate>> {
    let pem = text(certificate)?;
    let chain = Certificate::bundle_from_pem(&pem)
        .map_err(|error| format!("{}: {error}", certificate.path.display()));
    certificate.setting.checked(chain)
}

/// PEM files may hold remarks in any encoding; only their blocks count, which are ASCII.
fn text(file: &PathSetting<'_>) -> Option<zeroize::Zeroizing<String>> {
    let bytes = zeroize::Zeroizing::new(file.read()?);
    Some(zeroize::Zeroizing::new(
        String::from_utf8_lossy(&bytes).into_owned(),
    ))
}
