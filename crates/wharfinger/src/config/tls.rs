//! TLS for the server: `certificate`, `key` and Go's names for versions, cipher suites and curves.
//!
//! docker_auth hands these names to Go's TLS library, which still has ciphers and curves that
//! rustls does not implement. Those are dropped with a warning; when nothing would be left, the
//! file is refused. A minimum version below 1.2 is read as 1.2: it was set to let old clients in,
//! and a server that does not start would not help them.

use std::sync::Arc;

use ::token::Certificate;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ResolvesServerCert;
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};

use super::diagnostics::{Problem, nearest};
use super::effective::Effective;
use super::keys::KeyPairFiles;
use super::schema::{Kind, key};
use super::section::Section;
use super::setting::Setting;

/// What a TLS listener needs. Every part was tried together when it was read.
#[derive(Clone)]
pub(crate) struct Tls {
    certificate: CertificateSource,
    options: Options,
}

/// Where the certificate is from.
#[derive(Clone)]
enum CertificateSource {
    Files {
        chain: Vec<CertificateDer<'static>>,
        key: Arc<PrivateKeyDer<'static>>,
    },
    /// The ACME server of `letsencrypt`.
    Acme,
}

/// The server's TLS settings, as they were read.
pub(super) struct TlsSettings<'a> {
    /// TLS with the certificate of the files.
    pub(super) tls: Option<Tls>,
    options: Option<Options>,
    /// The files, whose key also signs tokens if `token` has none.
    pub(super) pair: KeyPairFiles<'a>,
}

fn read_pair<'a>(server: &mut Section<'a>) -> KeyPairFiles<'a> {
    let certificate = server.locate(
        key::path("certificate")
            .docker_auth()
            .means("TLS: the certificate and its chain, PEM; read again when it changes")
            .otherwise("without it, `key` and `letsencrypt`, plain HTTP"),
    );
    let key = server.locate(
        key::path("key")
            .docker_auth()
            .means("TLS: the certificate's private key, PEM"),
    );
    KeyPairFiles { key, certificate }
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

/// Suites that Go has and rustls does not, to tell them from misspelt ones.
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
    /// The server's own certificate, if it is in a file.
    pub(crate) fn certificate(&self) -> Option<Certificate> {
        match &self.certificate {
            CertificateSource::Files { chain, .. } => Certificate::from_der(chain.first()?).ok(),
            CertificateSource::Acme => None,
        }
    }

    fn of_files(
        server: &mut Section<'_>,
        options: Option<&Options>,
        pair: &KeyPairFiles<'_>,
    ) -> Option<Self> {
        let (certificate, key) = match (&pair.certificate, &pair.key) {
            (Some(certificate), Some(key)) => (certificate, key),
            (Some(certificate), None) => {
                let other = server.context.name_of("server.key");
                let message = format!("{other} is missing: a certificate needs its private key");
                certificate.setting.report(Problem::Conflict, message);
                return None;
            }
            (None, Some(key)) => {
                let other = server.context.name_of("server.certificate");
                let message = format!("{other} is missing: a private key needs its certificate");
                key.setting.report(Problem::Conflict, message);
                return None;
            }
            (None, None) => return None,
        };
        if let Some(options) = options {
            options.show(server);
        }
        let (chain, pem) = (certificate.read(), key.read());
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&chain?)
            .filter_map(Result::ok)
            .collect();
        if chain.is_empty() {
            let message = format!("{}: no certificate in it", certificate.value.display());
            certificate.setting.report(Problem::File, message);
        }
        let private = PrivateKeyDer::from_pem_slice(&pem?);
        let private = private.map_err(|_| "no private key in it that can be read");
        let private = key.setting.checked_file(&key.value, private)?;
        let is_empty = chain.is_empty();
        let leaf = chain
            .first()
            .and_then(|leaf| Certificate::from_der(leaf).ok());
        let tls = Self {
            certificate: CertificateSource::Files {
                chain,
                key: Arc::new(private),
            },
            options: options?.clone(),
        };
        let tried = tls.server_config(&[], None);
        key.setting
            .checked(tried.map_err(|error| cannot_serve(&error)))?;
        if leaf.is_some_and(|leaf| !leaf.valid_at(server.context.now)) {
            certificate.setting.warn(
                Problem::Doubtful,
                "the certificate has expired or is not valid yet; clients refuse it",
            );
        }
        (!is_empty).then_some(tls)
    }

    /// The settings for rustls, with the application protocols in the order of preference. `acme` has
    /// the certificates of the ACME server, if they are from one.
    ///
    /// # Errors
    /// None that has not been met when the configuration was read.
    pub(crate) fn server_config(
        &self,
        protocols: &[&[u8]],
        acme: Option<Arc<dyn ResolvesServerCert>>,
    ) -> Result<rustls::ServerConfig, rustls::Error> {
        let provider = CryptoProvider {
            cipher_suites: self.options.suites.clone(),
            kx_groups: self.options.groups.clone(),
            ..aws_lc_rs::default_provider()
        };
        let builder = rustls::ServerConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(self.options.versions)?
            .with_no_client_auth();
        let mut config = match (&self.certificate, acme) {
            (CertificateSource::Files { chain, key }, _) => {
                builder.with_single_cert(chain.clone(), key.clone_key())?
            }
            (CertificateSource::Acme, Some(acme)) => builder.with_cert_resolver(acme),
            (CertificateSource::Acme, None) => {
                return Err(rustls::Error::NoCertificatesPresented);
            }
        };
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(config)
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").finish_non_exhaustive()
    }
}

impl<'a> TlsSettings<'a> {
    /// Reads the server's TLS settings. Without a certificate and a key there is no TLS, unless the
    /// certificate is from elsewhere.
    pub(super) fn read(server: &mut Section<'a>) -> Self {
        let options = Options::read(server);
        let pair = read_pair(server);
        Self {
            tls: Tls::of_files(server, options.as_ref(), &pair),
            options,
            pair,
        }
    }

    /// TLS with the certificates of an ACME server.
    pub(super) fn with_acme(&self, server: &mut Section<'_>) -> Option<Tls> {
        let options = self.options.as_ref()?;
        options.show(server);
        Some(Tls {
            certificate: CertificateSource::Acme,
            options: options.clone(),
        })
    }
}

impl Options {
    fn read(server: &mut Section<'_>) -> Option<Self> {
        let minimum = server.locate(
            key::parsed_as(
                "tls_min_version",
                Kind::Form("`TLS12` or `TLS13`, or Go's number"),
                minimum,
                |minimum| Effective::plain(minimum.name),
            )
            .docker_auth()
            .means(
                "the oldest version that is offered; older than `TLS12` means `TLS12`, and warns",
            )
            .otherwise("`TLS12`"),
        );
        if let Some(minimum) = &minimum
            && let Some(old) = minimum.value.instead_of
        {
            let message = format!("{old} is broken and not offered; the minimum is TLS12");
            minimum.setting.warn(Problem::NoEffect, message);
        }
        let versions = minimum.map_or(TLS_1_2, |minimum| minimum.value).versions;
        let list = || Kind::List(Box::new(Kind::Text));
        let suites = server.setting(
            key::custom("tls_cipher_suites", list())
                .docker_auth()
                .means(
                    "suites for TLS 1.2, by IANA's or Go's name or number; those of TLS 1.3 are \
                     always on. Suites that are not offered here warn; none left is an error",
                )
                .otherwise("the library's"),
        );
        let groups = server.setting(
            key::custom("tls_curve_preferences", list())
                .docker_auth()
                .means(
                    "`X25519`, `P256`, `P384`, `X25519MLKEM768`, in order; `P521` warns and is \
                     left out",
                )
                .otherwise("the library's"),
        );
        let is_1_3 = versions.len() == 1;
        let suites = match suites {
            None => Some(aws_lc_rs::DEFAULT_CIPHER_SUITES.to_vec()),
            Some(list) => chosen(&list, is_1_3),
        };
        let groups = match groups {
            None => Some(aws_lc_rs::DEFAULT_KX_GROUPS.to_vec()),
            Some(list) => select(&list, group),
        };
        Some(Self {
            versions,
            suites: suites?,
            groups: groups?,
        })
    }

    /// Notes what is offered: of the suites those of TLS 1.2, the only ones that a list chooses.
    fn show(&self, server: &mut Section<'_>) {
        let is_1_3 = self.versions.len() == 1;
        server.show(
            "tls_min_version",
            Effective::plain(if is_1_3 { "TLS13" } else { "TLS12" }),
        );
        if !is_1_3 {
            let of_1_2 = self.suites.iter().filter(|suite| suite.tls13().is_none());
            let names = of_1_2.map(|suite| Effective::plain(suite_name(suite)));
            server.show("tls_cipher_suites", Effective::List(names.collect()));
        }
        let groups = self.groups.iter();
        let names = groups.map(|group| Effective::plain(group_name(*group)));
        server.show("tls_curve_preferences", Effective::List(names.collect()));
    }
}

/// The versions that are offered.
#[derive(Clone, Copy)]
struct Minimum {
    /// The oldest, by Go's name.
    name: &'static str,
    versions: &'static [&'static SupportedProtocolVersion],
    /// An older one that the file asks for.
    instead_of: Option<&'static str>,
}

const TLS_1_2: Minimum = Minimum {
    name: "TLS12",
    versions: SINCE_1_2,
    instead_of: None,
};

fn minimum(text: &str) -> Result<Minimum, String> {
    const OLD: [(&str, u16); 3] = [("SSL30", 0x0300), ("TLS10", 0x0301), ("TLS11", 0x0302)];
    let old = OLD
        .iter()
        .find(|(name, value)| *name == text || number(text) == Some(*value));
    match (text, number(text), old) {
        ("TLS13", ..) | (_, Some(0x0304), _) => Ok(Minimum {
            name: "TLS13",
            versions: SINCE_1_3,
            instead_of: None,
        }),
        ("TLS12", ..) | (_, Some(0x0303), _) => Ok(TLS_1_2),
        (_, _, Some((name, _))) => Ok(Minimum {
            instead_of: Some(name),
            ..TLS_1_2
        }),
        _ => Err("must be TLS12 or TLS13".to_owned()),
    }
}

/// The suites of the list. Go lets a list choose among those of TLS 1.2 only and always offers all
/// of TLS 1.3's.
fn chosen(list: &Setting<'_>, since_1_3: bool) -> Option<Vec<SupportedCipherSuite>> {
    if since_1_3 {
        list.warn(
            Problem::NoEffect,
            "no effect: TLS 1.3's cipher suites cannot be chosen, and tls_min_version leaves no \
             others",
        );
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

/// The list's names as `find` knows them, in their order. A name that only Go knows (`Ok(None)`)
/// is dropped with a warning.
fn select<T>(list: &Setting<'_>, find: fn(&str) -> Result<Option<T>, String>) -> Option<Vec<T>> {
    let mut found = Vec::new();
    let mut wrong = false;
    for item in list.items()? {
        let Some(name) = item.text() else { continue };
        match find(&name) {
            Ok(Some(one)) => found.push(one),
            Ok(None) => {
                let message = format!("{name} is left out: too old, or not implemented here");
                item.warn(Problem::NoEffect, message);
            }
            Err(message) => {
                item.error(message);
                wrong = true;
            }
        }
    }
    if found.is_empty() && !wrong {
        list.error("nothing in this list can be offered; remove it to offer what is safe");
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
        Some(known) => format!("unknown {kind} `{name}`; did you mean {known}?"),
        None => format!("unknown {kind} `{name}`"),
    }
}

fn cannot_serve(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InconsistentKeys(_) => {
            "this key does not belong to the certificate".to_owned()
        }
        rustls::Error::NoCertificatesPresented => "the certificate's file holds none".to_owned(),
        other => format!("rustls cannot serve with this key and certificate: {other}"),
    }
}
