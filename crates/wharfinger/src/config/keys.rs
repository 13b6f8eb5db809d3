//! A private key and its certificate, from their files.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use common::{rfc3339, unix_seconds};
use token::{Certificate, PrivateKey};

use super::diagnostics::Problem;
use super::effective::Effective;
use super::section::Located;

/// The files of a private key and its certificate, as a section names them.
#[derive(Default)]
pub(super) struct KeyPairFiles<'a> {
    pub(super) key: Option<Located<'a, PathBuf>>,
    pub(super) certificate: Option<Located<'a, PathBuf>>,
}

/// A key that signs tokens, or did.
#[derive(Clone, Debug)]
pub(crate) struct SigningKey {
    pub(crate) key: Arc<PrivateKey>,
    /// The key's certificate, then its issuers'; may be empty.
    pub(crate) chain: Vec<Certificate>,
    /// Until when it is published.
    pub(crate) not_after: Option<SystemTime>,
    pub(super) key_file: PathBuf,
    pub(super) certificate_file: Option<PathBuf>,
}

impl SigningKey {
    /// Reads both files; the certificate must be the key's.
    pub(super) fn read(
        key: &Located<'_, PathBuf>,
        certificate: Option<&Located<'_, PathBuf>>,
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
            let is_later = chain.iter().any(|other| other.holds(private.public()));
            let hint = if is_later {
                "; put the key's own certificate first in the file"
            } else {
                ""
            };
            let message = format!(
                "the certificate in {} does not belong to the key in {}{hint}",
                certificate.value.display(),
                key.value.display()
            );
            certificate.setting.report(Problem::Conflict, message);
            return None;
        }
        Some(Self {
            key: Arc::new(private),
            chain,
            not_after: None,
            key_file: key.value.clone(),
            certificate_file: certificate.map(|certificate| certificate.value.clone()),
        })
    }

    /// The files; the key itself stays in its own.
    pub(super) fn show(&self) -> Effective {
        let mut entries = vec![("key", Effective::quoted(self.key_file.display()))];
        if let Some(file) = &self.certificate_file {
            entries.push(("certificate", Effective::quoted(file.display())));
        }
        if let Some(time) = self.not_after {
            let date = rfc3339(unix_seconds(time));
            entries.push(("not_after", Effective::plain(date)));
        }
        Effective::mapping(entries)
    }

    /// Whether a registry that trusts the chain would take it at `now`.
    pub(super) fn certificate_is_valid(&self, now: SystemTime) -> bool {
        self.chain.first().is_none_or(|leaf| leaf.valid_at(now))
    }
}

fn read_key(key: &Located<'_, PathBuf>) -> Option<PrivateKey> {
    let pem = text(key)?;
    key.setting
        .checked_file(&key.value, PrivateKey::from_pem(&pem))
}

fn read_chain(certificate: &Located<'_, PathBuf>) -> Option<Vec<Certificate>> {
    let pem = text(certificate)?;
    let chain = Certificate::bundle_from_pem(&pem);
    certificate.setting.checked_file(&certificate.value, chain)
}

/// PEM files may hold remarks in any encoding; only their blocks count, which are ASCII.
fn text(file: &Located<'_, PathBuf>) -> Option<zeroize::Zeroizing<String>> {
    let bytes = zeroize::Zeroizing::new(file.read()?);
    Some(zeroize::Zeroizing::new(
        String::from_utf8_lossy(&bytes).into_owned(),
    ))
}
