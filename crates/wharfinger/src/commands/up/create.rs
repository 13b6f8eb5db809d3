//! Creates the files of an installation, once.
//!
//! The configuration is written last, as a whole. While it is missing the installation is not
//! complete, and the next run keeps the keys that an interrupted run has left.

use std::path::Path;
use std::time::{Duration, SystemTime};

use common::Secret;
use common::{Clock, Entropy, SystemClock, SystemEntropy};
use data_encoding::BASE32_DNSSEC;
use identity::password::Bcrypt;
use token::{CertificateRequest, KeyKind, PrivateKey};

use super::endpoint::Endpoint;
use super::installation::Installation;
use crate::commands::certs::authority::{self, TEN_YEARS};
use crate::commands::certs::names::Names;
use crate::commands::key_file;
use crate::failure::Failure;
use crate::files::{self, FileMode};

/// bcrypt's rounds, as a power of two; the password is random, and more would only slow logins
/// down.
const COST: u32 = 10;
/// How long before now a certificate begins, for machines whose clocks are behind.
const HEADROOM: Duration = Duration::from_secs(3600);

/// What was created, as far as `up` prints it.
pub(super) struct Created {
    /// The administrator's first password.
    pub(super) password: Secret,
    /// The authority's certificate in PEM, when there is TLS.
    pub(super) authority: Option<String>,
}

/// Creates everything that the installation needs at this endpoint.
pub(super) fn create(installation: &Installation, endpoint: &Endpoint) -> Result<Created, Failure> {
    let not_before = SystemClock.now() - HEADROOM;
    make_token_key(installation, not_before)?;
    let authority = endpoint
        .names
        .as_ref()
        .map(|names| make_tls(installation, names, not_before))
        .transpose()?;
    let password = random_password()?;
    write_password(installation, &password)?;
    let configuration = configuration(endpoint, &hash(&password)?);
    files::write_new(
        &installation.configuration(),
        configuration.as_bytes(),
        FileMode::Private,
    )?;
    Ok(Created {
        password,
        authority,
    })
}

/// Keeps the password for its owner, so that it need not be copied out of a log. The file that an
/// interrupted run has left holds a password that was never in force.
fn write_password(installation: &Installation, password: &Secret) -> Result<(), Failure> {
    let path = installation.password();
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let message = format!("cannot replace {}", path.display());
            return Err(Failure::system(message).caused_by(&error));
        }
        _ => {}
    }
    let line = format!("{}\n", password.expose());
    files::write_new(&path, line.as_bytes(), FileMode::Private)
}

/// The key that tokens are signed with, and a certificate of it for other registries'
/// `rootcertbundle`.
fn make_token_key(installation: &Installation, not_before: SystemTime) -> Result<(), Failure> {
    let (key_path, certificate_path) = installation.pair("token");
    let key = key(&key_path)?;
    if certificate_path.exists() {
        return Ok(());
    }
    let request = CertificateRequest {
        common_name: "Wharfinger tokens".to_owned(),
        hosts: Vec::new(),
        addresses: Vec::new(),
        not_before,
        not_after: not_before + TEN_YEARS,
        authority: false,
    };
    let certificate = request
        .self_signed(&key, &SystemEntropy)
        .map_err(|error| no_certificate(&error))?;
    files::write_new(
        &certificate_path,
        certificate.to_pem().as_bytes(),
        FileMode::Public,
    )
}

/// An authority, and a certificate for `names` signed by it. Returns the authority's, in PEM.
fn make_tls(
    installation: &Installation,
    names: &Names,
    not_before: SystemTime,
) -> Result<String, Failure> {
    let authority = authority::found_or_made(&installation.directory().join("ca"), not_before)?;
    let (key_path, certificate_path) = installation.pair("tls");
    let key = key(&key_path)?;
    let request = CertificateRequest {
        common_name: names.common_name(),
        hosts: names.hosts.clone(),
        addresses: names.addresses.clone(),
        not_before,
        not_after: not_before + TEN_YEARS,
        authority: false,
    };
    let signed = request.signed_by(&key, &authority.certificate, &authority.key, &SystemEntropy);
    let certificate = signed.map_err(|error| no_certificate(&error))?;
    // One that an interrupted run has left may be for other names.
    match std::fs::remove_file(&certificate_path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            let message = format!("cannot replace {}", certificate_path.display());
            return Err(Failure::system(message).caused_by(&error));
        }
        _ => {}
    }
    files::write_new(
        &certificate_path,
        certificate.to_pem().as_bytes(),
        FileMode::Public,
    )?;
    Ok(authority.certificate.to_pem())
}

/// The key in this file, which is created if it is missing.
fn key(path: &Path) -> Result<PrivateKey, Failure> {
    if path.exists() {
        return key_file::private(path);
    }
    let failed =
        |error: &dyn std::error::Error| Failure::system("no key was made").caused_by(error);
    let key = PrivateKey::generate(KeyKind::P256).map_err(|error| failed(&error))?;
    let pem = key.to_pkcs8_pem().map_err(|error| failed(&error))?;
    files::write_new(path, pem.as_bytes(), FileMode::Private)?;
    Ok(key)
}

/// 120 random bits, in letters and digits that need no quotes anywhere.
fn random_password() -> Result<Secret, Failure> {
    let mut bytes = [0; 15];
    fill(&mut bytes)?;
    Ok(Secret::from(BASE32_DNSSEC.encode(&bytes).as_str()))
}

fn hash(password: &Secret) -> Result<String, Failure> {
    let mut salt = [0; 16];
    fill(&mut salt)?;
    let hash = Bcrypt::hash(password.expose().as_bytes(), salt, COST);
    hash.map_err(|error| Failure::system("the password cannot be hashed").caused_by(&error))
}

fn fill(bytes: &mut [u8]) -> Result<(), Failure> {
    SystemEntropy
        .fill(bytes)
        .map_err(|error| Failure::system("no password can be made").caused_by(&error))
}

fn no_certificate(error: &token::CertificateIssueError) -> Failure {
    Failure::system("no certificate was made").caused_by(error)
}

/// The configuration's text.
fn configuration(endpoint: &Endpoint, password: &str) -> String {
    let tls = match &endpoint.names {
        Some(_) => "\n  certificate: \"${config_dir}/tls.pem\"\n  key: \"${config_dir}/tls.key\"",
        None => "",
    };
    include_str!("wharfinger.yml")
        .replace("@listen@", &endpoint.listen)
        .replace("@tls@", tls)
        .replace("@password@", password)
}

#[cfg(test)]
mod tests {
    use identity::PasswordHash;

    use super::*;

    fn made(hosts: &[&str]) -> (tempfile::TempDir, Installation, Created) {
        let folder = tempfile::tempdir().unwrap();
        let installation = Installation::at(&folder.path().join("data \"1\"")).unwrap();
        let hosts: Vec<_> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let made = create(&installation, &Endpoint::new(None, &hosts, &[]).unwrap()).unwrap();
        (folder, installation, made)
    }

    #[test]
    fn the_configuration_can_be_used_and_warns_of_nothing() {
        for hosts in [&[][..], &["registry.example.com"]] {
            let (_folder, installation, made) = made(hosts);
            let loaded = crate::config::load(&installation.configuration()).unwrap();
            assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
            assert!(loaded.config.refresh_tokens.is_some());
            let accounts = loaded.config.users.unwrap();
            let hash: &PasswordHash = &accounts.find("admin").unwrap().passwords[0];
            assert!(hash.verify(made.password.expose()));
            assert_eq!(made.authority.is_some(), !hosts.is_empty());
        }
    }

    #[test]
    fn passwords_are_long_and_plain() {
        let (one, two) = (random_password().unwrap(), random_password().unwrap());
        assert_ne!(one.expose(), two.expose());
        assert_eq!(one.expose().len(), 24);
        assert!(
            one.expose()
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        );
    }

    #[test]
    fn what_an_interrupted_run_left_is_taken_as_it_is() {
        let (_folder, installation, _) = made(&["a.example.com"]);
        let files = ["token.key", "token.pem", "ca.pem", "ca.key", "tls.key"]
            .map(|name| installation.directory().join(name));
        let before = files.each_ref().map(|file| std::fs::read(file).unwrap());
        std::fs::remove_file(installation.configuration()).unwrap();
        let endpoint = Endpoint::new(None, &["b.example.com".to_owned()], &[]).unwrap();
        create(&installation, &endpoint).unwrap();
        assert_eq!(
            files.each_ref().map(|file| std::fs::read(file).unwrap()),
            before
        );
        let tls = key_file::certificates(&installation.pair("tls").1).unwrap();
        assert!(tls[0].names().contains(&"b.example.com".to_owned()));
    }
}
