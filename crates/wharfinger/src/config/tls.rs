//! TLS for the server: `certificate`, `key` and Go's names for versions, cipher suites and curves.
//!
//! docker_auth hands these names to Go's TLS library, which still has ciphers and curves that
//! rustls was written without. Those are dropped with a warning; when nothing would be left, the
//! file is refused. A minimum version below 1.2 is read as 1.2: whoever set it wanted old clients
//! in, and refusing to start would help none of them.

use std::path::PathBuf;
use std::sync::Arc;

use ::token::Certificate;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, SupportedCipherSuite, SupportedProtocolVersion, version};

use super::section::Section;
use super::setting::Setting;
use common::nearest;

/// What a TLS listener needs. Every part was tried together when it was read.
#[derive(Clone)]
pub(crate) struct Tls {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
    options: Options,
    /// The files of the certificate and of the key.
    pub(super) files: (PathBuf, PathBuf),
}

#[derive(Clone)]
struct Options {
    versions: &'static [&'static SupportedProtocolVersion],
    suites: Vec<SupportedCipherSuite>,
    groups: Vec<&'static dyn SupportedKxGroup>,
}

/// TLS 1.2 and later, rustls's order of preference.
static SINCE_1_2: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
static SINCE_1_3: &[&SupportedProtocolVersion] = &[&version::TLS13];

/// Go's names for cipher suites that are not IANA's.
const OLD_SUITE_NAMES: [(&str, &str); 2] = [
    (
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
    ),
    (
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
    ),
];

/// Suites that Go has and rustls has not, so that they are told from misspelt ones.
const SUITES_WITHOUT: [&str; 18] = [
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_FALLBACK_SCSV",
    "TLS_EMPTY_RENEGOTIATION_INFO_SCSV",
];

/// Curves by Go's name, then IANA's number (TLS Supported Groups).
const CURVES: [(&str, u16); 5] = [
    ("P256", 23),
    ("P384", 24),
    ("P521", 25),
    ("X25519", 29),
    ("X25519MLKEM768", 4588),
];

impl Tls {
    /// Reads the server's TLS settings; none of them, no TLS.
    pub(super) fn read(server: &mut Section<'_>) -> Option<Self> {
        let options = Options::read(server);
        let (certificate, key) = (server.path("certificate"), server.path("key"));
        let (certificate, key) = match (certificate, key) {
            (Some(certificate), Some(key)) => (certificate, key),
            (Some(one), None) => {
                return one
                    .setting
                    .checked(Err("the other half is missing: server.key"));
            }
            (None, Some(one)) => {
                return one
                    .setting
                    .checked(Err("the other half is missing: server.certificate"));
            }
            (None, None) => return None,
        };
        let (chain, pem) = (certificate.read(), key.read());
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&chain?)
            .filter_map(Result::ok)
            .collect();
        if chain.is_empty() {
            certificate.setting.error(format_args!(
                "{} holds no certificate",
                certificate.path.display()
            ));
        }
        let private = PrivateKeyDer::from_pem_slice(&pem?);
        let unreadable = |_| {
            format!(
                "{} holds no private key that can be read",
                key.path.display()
            )
        };
        let private = key.setting.checked(private.map_err(unreadable))?;
        let files = (certificate.path.clone(), key.path.clone());
        let tls = Self {
            chain,
            key: Arc::new(private),
            options: options?,
            files,
        };
        let tried = tls.server_config(&[]);
        key.setting
            .checked(tried.map_err(|error| cannot_serve(&error)))?;
        let leaf = tls
            .chain
            .first()
            .and_then(|leaf| Certificate::from_der(leaf).ok());
        if leaf.is_some_and(|leaf| !leaf.valid_at(server.context.now)) {
            certificate
                .setting
                .warn("the certificate is not valid now: it has expired or begins later, and clients refuse it");
        }
        (!tls.chain.is_empty()).then_some(tls)
    }

    /// The settings for rustls, with the application protocols in the order of preference.
    ///
    /// # Errors
    /// None that has not been met when the configuration was read.
    pub(crate) fn server_config(&self, protocols: &[&[u8]]) -> Result<ServerConfig, rustls::Error> {
        let provider = CryptoProvider {
            cipher_suites: self.options.suites.clone(),
            kx_groups: self.options.groups.clone(),
            ..aws_lc_rs::default_provider()
        };
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(self.options.versions)?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(config)
    }

    /// The lowest version, by Go's name.
    pub(super) fn min_version(&self) -> &'static str {
        if self.options.versions.len() == 1 {
            "TLS13"
        } else {
            "TLS12"
        }
    }

    /// The suites of TLS 1.2, the only ones that a list chooses.
    pub(super) fn cipher_suites(&self) -> Vec<String> {
        self.options
            .suites
            .iter()
            .filter(|suite| suite.tls13().is_none())
            .map(suite_name)
            .collect()
    }

    /// The curves, by Go's names.
    pub(super) fn curves(&self) -> Vec<String> {
        self.options
            .groups
            .iter()
            .map(|group| group_name(*group))
            .collect()
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls")
            .field("certificates", &self.chain.len())
            .finish_non_exhaustive()
    }
}

impl Options {
    fn read(server: &mut Section<'_>) -> Option<Self> {
        let since_1_3 = server
            .setting("tls_min_version")
            .is_some_and(|setting| is_1_3(&setting));
        let versions = if since_1_3 { SINCE_1_3 } else { SINCE_1_2 };
        let suites = match server.setting("tls_cipher_suites") {
            None => Some(aws_lc_rs::DEFAULT_CIPHER_SUITES.to_vec()),
            Some(list) => chosen(&list, since_1_3),
        };
        let groups = match server.setting("tls_curve_preferences") {
            None => Some(aws_lc_rs::DEFAULT_KX_GROUPS.to_vec()),
            Some(list) => select(&list, group),
        };
        Some(Self {
            versions,
            suites: suites?,
            groups: groups?,
        })
    }
}

fn is_1_3(setting: &Setting<'_>) -> bool {
    let Some(text) = setting.text() else {
        return false;
    };
    match (text.as_str(), number(&text)) {
        ("TLS13", _) | (_, Some(0x0304)) => true,
        ("TLS12", _) | (_, Some(0x0303)) => false,
        ("SSL30" | "TLS10" | "TLS11", _) | (_, Some(0x0300..=0x0302)) => {
            setting.warn(format_args!(
                "{text} is broken and not offered; the minimum is TLS12"
            ));
            false
        }
        _ => {
            setting.error("this must be TLS12 or TLS13");
            false
        }
    }
}

/// The suites of the list. Go lets a list choose among those of TLS 1.2 only and always offers all
/// of TLS 1.3's.
fn chosen(list: &Setting<'_>, since_1_3: bool) -> Option<Vec<SupportedCipherSuite>> {
    if since_1_3 {
        list.error("TLS 1.3's cipher suites cannot be chosen, and tls_min_version leaves no others; remove the list");
        return None;
    }
    let of_1_3 = aws_lc_rs::ALL_CIPHER_SUITES
        .iter()
        .filter(|suite| suite.tls13().is_some())
        .copied();
    let mut suites: Vec<SupportedCipherSuite> = of_1_3.collect();
    for suite in select(list, suite)? {
        if !suites.contains(&suite) {
            suites.push(suite);
        }
    }
    Some(suites)
}

/// What `find` knows of the list's names, in its order. What exists elsewhere (`Ok(None)`) is
/// dropped with a warning.
fn select<T>(list: &Setting<'_>, find: fn(&str) -> Result<Option<T>, String>) -> Option<Vec<T>> {
    let mut found = Vec::new();
    let mut wrong = false;
    for item in list.items()? {
        let Some(name) = item.text() else { continue };
        match find(&name) {
            Ok(Some(one)) => found.push(one),
            Ok(None) => {
                item.warn(format_args!(
                    "{name} is not offered here (too old, or not implemented) and left out"
                ));
            }
            Err(message) => {
                item.error(message);
                wrong = true;
            }
        }
    }
    if found.is_empty() && !wrong {
        list.error("nothing of this list can be offered; remove it to offer what is safe");
    }
    (!found.is_empty()).then_some(found)
}

fn suite(name: &str) -> Result<Option<SupportedCipherSuite>, String> {
    let all = aws_lc_rs::ALL_CIPHER_SUITES;
    if let Some(number) = number(name) {
        return Ok(all
            .iter()
            .find(|suite| u16::from(suite.suite()) == number)
            .copied());
    }
    let iana = OLD_SUITE_NAMES
        .iter()
        .find(|(old, _)| *old == name)
        .map_or(name, |(_, iana)| iana);
    if let Some(suite) = all.iter().find(|suite| suite_name(suite) == iana) {
        return Ok(Some(*suite));
    }
    if SUITES_WITHOUT.contains(&name) {
        return Ok(None);
    }
    let names: Vec<_> = all.iter().map(suite_name).collect();
    Err(unknown(
        "cipher suite",
        name,
        names.iter().map(String::as_str).chain(SUITES_WITHOUT),
    ))
}

/// IANA's name: rustls writes `TLS13_AES_…` for TLS 1.3's.
fn suite_name(suite: &SupportedCipherSuite) -> String {
    let name = suite.suite().as_str().unwrap_or_default();
    name.replacen("TLS13_", "TLS_", 1)
}

fn group(name: &str) -> Result<Option<&'static dyn SupportedKxGroup>, String> {
    let number = number(name).or_else(|| {
        CURVES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, number)| *number)
    });
    let Some(number) = number else {
        return Err(unknown("curve", name, CURVES.map(|(known, _)| known)));
    };
    Ok(aws_lc_rs::ALL_KX_GROUPS
        .iter()
        .find(|group| u16::from(group.name()) == number)
        .copied())
}

fn group_name(group: &dyn SupportedKxGroup) -> String {
    let number = u16::from(group.name());
    let known = CURVES.iter().find(|(_, known)| *known == number);
    known.map_or_else(|| number.to_string(), |(name, _)| (*name).to_owned())
}

/// Go's `strconv.ParseUint` with base 0.
fn number(text: &str) -> Option<u16> {
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) => u16::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

fn unknown<'a>(kind: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(name, known) {
        Some(known) => format!("`{name}` is no {kind}; did you mean {known}?"),
        None => format!("`{name}` is no {kind}"),
    }
}

fn cannot_serve(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InconsistentKeys(_) => {
            "this key does not belong to server.certificate".to_owned()
        }
        rustls::Error::NoCertificatesPresented => {
            "server.certificate holds no certificate".to_owned()
        }
        other => format!("rustls cannot serve with this key and certificate: {other}"),
    }
}
