//! The account at the ACME server (RFC 8555 §7.3).
//!
//! The key is stored before the account is registered, so that an interrupted registration finds its
//! account again. With external account binding the library makes the key, so it is stored
//! afterwards.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use instant_acme::{
    Account, AccountBuilder, Error as ProtocolError, ExternalAccountKey, Key, NewAccount, Problem,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::http_client::AcmeHttpClient;
use crate::store::ACCOUNT_KEY;
use crate::{AcmeError, AcmeLease, AcmeSettings, AcmeStore, pem};

/// The label of a PKCS #8 key in PEM (RFC 7468 §10).
const PRIVATE_KEY: &str = "PRIVATE KEY";

/// The account of the stored key; registers it if the ACME server does not know it.
pub(crate) async fn account(
    settings: &AcmeSettings,
    http: &AcmeHttpClient,
    store: &dyn AcmeStore,
    lease: &dyn AcmeLease,
) -> Result<Account, AcmeError> {
    let stored = match store.read(ACCOUNT_KEY).await? {
        Some(pem) => Some(parse(&pem)?),
        None => None,
    };
    let builder = || Account::builder_with_http(Box::new(http.clone()));
    let directory = || settings.directory.clone();
    if let Some(key) = &stored {
        let found = builder().from_key(signing(key)?, directory()).await;
        match found {
            Ok((account, _)) => return with_contact(account, settings).await,
            Err(ProtocolError::Api(problem)) if is(&problem, "accountDoesNotExist") => {}
            Err(source) => {
                let step = "find the account";
                return Err(AcmeError::Exchange { step, source });
            }
        }
    }
    if let Some(binding) = &settings.binding {
        return register_bound(builder(), settings, &binding.key(), lease).await;
    }
    let key = match stored {
        Some(key) => key,
        None => {
            let key = rcgen::KeyPair::generate().map_err(AcmeError::CertificateRequest)?;
            let key = PrivatePkcs8KeyDer::from(key.serialize_der());
            save(&key, lease).await?;
            key
        }
    };
    let created = builder().create_from_key(signing(&key)?, directory()).await;
    let (account, _) = created.map_err(registering)?;
    tracing::info!(
        directory = settings.directory,
        account = account.id(),
        "registered an account at the ACME server; its terms of service are accepted"
    );
    with_contact(account, settings).await
}

async fn register_bound(
    builder: AccountBuilder,
    settings: &AcmeSettings,
    binding: &ExternalAccountKey,
    lease: &dyn AcmeLease,
) -> Result<Account, AcmeError> {
    let contact = contact(settings);
    let contact: Vec<_> = contact.iter().map(String::as_str).collect();
    let new = NewAccount {
        contact: &contact,
        terms_of_service_agreed: true,
        only_return_existing: false,
    };
    let created = builder.create(&new, settings.directory.clone(), Some(binding));
    let (account, credentials) = created.await.map_err(registering)?;
    save(credentials.private_key(), lease).await?;
    tracing::info!(
        directory = settings.directory,
        account = account.id(),
        "registered a bound account at the ACME server; its terms of service are accepted"
    );
    Ok(account)
}

/// Tells the ACME server the current address, which may have changed since the registration.
async fn with_contact(account: Account, settings: &AcmeSettings) -> Result<Account, AcmeError> {
    if let Some(contact) = contact(settings) {
        let updated = account.update_contacts(&[contact.as_str()]).await;
        updated.map_err(|source| AcmeError::Exchange {
            step: "tell the ACME server the email address",
            source,
        })?;
    }
    Ok(account)
}

fn contact(settings: &AcmeSettings) -> Option<String> {
    let email = settings.email.as_ref()?;
    Some(format!("mailto:{email}"))
}

fn registering(source: ProtocolError) -> AcmeError {
    let step = "register an account";
    AcmeError::Exchange { step, source }
}

/// Whether a problem has this type (RFC 8555 §6.7).
fn is(problem: &Problem, kind: &str) -> bool {
    let found = problem.r#type.as_deref().unwrap_or_default();
    found.strip_prefix("urn:ietf:params:acme:error:") == Some(kind)
}

/// The key in a PEM file: PKCS #8, or SEC 1 as Go's autocert writes it.
fn parse(pem: &[u8]) -> Result<PrivatePkcs8KeyDer<'static>, AcmeError> {
    let refused = || AcmeError::AccountKey(ACCOUNT_KEY);
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| refused())?;
    let key =
        EcdsaKeyPair::from_private_key_der(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_der())
            .map_err(|_| refused())?;
    let key = key.to_pkcs8v1().map_err(|_| refused())?;
    Ok(PrivatePkcs8KeyDer::from(key.as_ref().to_vec()))
}

fn signing(key: &PrivatePkcs8KeyDer<'static>) -> Result<(Key, PrivateKeyDer<'static>), AcmeError> {
    let signing = Key::from_pkcs8_der(key.clone_key());
    let signing = signing.map_err(|_| AcmeError::AccountKey(ACCOUNT_KEY))?;
    Ok((signing, PrivateKeyDer::Pkcs8(key.clone_key())))
}

async fn save(key: &PrivatePkcs8KeyDer<'_>, lease: &dyn AcmeLease) -> Result<(), AcmeError> {
    let pem = pem::encode(PRIVATE_KEY, key.secret_pkcs8_der());
    Ok(lease.write(ACCOUNT_KEY, Some(pem.as_bytes())).await?)
}

#[cfg(test)]
mod tests {
    use peers::{TestCertificate, TestKeyKind};

    use super::*;

    #[test]
    fn only_keys_on_p256_are_taken() {
        let directory = tempfile::tempdir().unwrap();
        let pem = |kind, name| {
            let pair = TestCertificate::new(kind, directory.path(), name);
            std::fs::read(pair.key).unwrap()
        };
        let key = parse(&pem(TestKeyKind::P256, "p256")).unwrap();
        assert!(signing(&key).is_ok());
        for other in [pem(TestKeyKind::Rsa, "rsa"), b"no key".to_vec()] {
            assert!(matches!(parse(&other), Err(AcmeError::AccountKey(_))));
        }
    }

    /// The form of autocert's keys (RFC 5915), which `openssl ecparam` writes, too.
    #[test]
    fn a_key_of_autocert_is_taken_over() {
        let mut openssl = std::process::Command::new(peers::program("openssl"));
        openssl.args(["ecparam", "-name", "prime256v1", "-genkey", "-noout"]);
        let pem = peers::run(&mut openssl).stdout;
        assert!(pem.starts_with("-----BEGIN EC PRIVATE KEY-----"), "{pem}");
        let key = parse(pem.as_bytes()).unwrap();
        assert!(signing(&key).is_ok());
        let again = parse(pem::encode(PRIVATE_KEY, key.secret_pkcs8_der()).as_bytes());
        assert_eq!(again.unwrap(), key);
    }
}
