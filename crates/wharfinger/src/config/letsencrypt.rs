//! `server.letsencrypt`: certificates for TLS from an ACME server.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ::acme::{
    AcmeSettings, AttemptRecord, CertificateHost, ChallengeKind, ExternalAccountBinding,
    HostCertificate, LETS_ENCRYPT,
};
use common::{rfc3339, unix_seconds};
use data_encoding::BASE64URL_NOPAD;
use http::Uri;

use super::address::ListenAddress;
use super::backend_keys;
use super::context::read_bounded;
use super::diagnostics::Problem;
use super::effective::Effective;
use super::keys::KeyPairFiles;
use super::schema::Kind;
use super::schema::key::{self, Words};
use super::section::Section;
use super::setting::Setting;

/// Where the challenge `http-01` is answered, unless the file says where.
const HTTP_ADDRESS: &str = ":80";

/// How many hosts there may be. Each has an order of its own.
const MOST_HOSTS: usize = 100;

/// Which certificates are asked of which ACME server, and where they are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LetsEncryptConfig {
    pub(crate) settings: AcmeSettings,
    /// The directory of keys and certificates. Without one, they are in the database.
    pub(crate) cache_dir: Option<PathBuf>,
    /// Where the challenge `http-01` is answered.
    pub(crate) http_addr: Option<ListenAddress>,
}

impl Words for ChallengeKind {
    const WORDS: &'static [(&'static str, Self)] =
        &[("tls-alpn-01", Self::TlsAlpn01), ("http-01", Self::Http01)];
}

/// Reads the section. `pair` is the certificate from files, of which there must be none beside it.
pub(super) fn read(
    server: &mut Section<'_>,
    pair: &KeyPairFiles<'_>,
    public_url: Option<&str>,
) -> Option<LetsEncryptConfig> {
    let place = server.present("letsencrypt");
    let key = key::mapping("letsencrypt")
        .docker_auth()
        .means("certificates from an ACME server such as Let's Encrypt, below, instead of `certificate` and `key`");
    let config = server.optional(key, |section| read_section(section, public_url))?;
    if let (Some(place), true) = (place, pair.certificate.is_some() || pair.key.is_some()) {
        let other = server.context.name_of("server.certificate");
        let message = format!("set either {} or {other}, not both", place.name);
        place.report(Problem::Conflict, message);
        return None;
    }
    Some(config)
}

fn read_section(section: &mut Section<'_>, public_url: Option<&str>) -> Option<LetsEncryptConfig> {
    let is_described = section.context.is_describing();
    let email = section.find(
        key::parsed("email", "email address", email)
            .docker_auth()
            .means("where the ACME server may write to. Without it and `directory`, the section has no effect, as in docker_auth"),
    );
    let is_wrong = email.is_none() && section.has("email");
    let email = email.filter(|email| !email.is_empty());
    let hosts = read_hosts(section);
    let cache_dir = section.locate(key::path("cache_dir").docker_auth().means(
        "the directory of the account's key, and of each host's key and certificates, in the \
         format of docker_auth and registry:2, whose directory is taken over. It is created, and \
         several servers may share it",
    ).otherwise("the database"));
    let directory = section.find(
        key::parsed("directory", "https URL", directory)
            .means("the ACME server's directory (RFC 8555 §7.1.1)")
            .otherwise("`https://acme-v02.api.letsencrypt.org/directory`"),
    );
    let challenge = section.get(
        key::word("challenge")
            .means(
                "how the ACME server verifies a host: within TLS at its port 443, which must reach \
                 this server as it is, or by HTTP at its port 80, which must reach `http_addr`",
            )
            .default(ChallengeKind::TlsAlpn01),
    );
    let http_addr = read_http_addr(section, challenge);
    let binding = section.optional(
        key::mapping("eab").means(
            "the account at the ACME server's operator to which ours is bound (RFC 8555 §7.3.4)",
        ),
        read_binding,
    );
    let wants_binding = section.has("eab");
    let authorities = backend_keys::authorities(section);
    let tls = backend_keys::trusting(authorities.as_ref());
    if is_described {
        return None;
    }
    if email.is_none() && directory.is_none() {
        let is_used = ["email", "host", "cache_dir"].map(|name| section.has(name));
        if is_used.contains(&true) && !is_wrong && !section.has("directory") {
            section.context.warn(
                section.position,
                &section.name,
                Problem::NoEffect,
                "no effect without email (or directory): there is no TLS",
            );
        }
        return None;
    }
    let hosts = match hosts {
        Some(hosts) => hosts?,
        None => vec![host_of(section, public_url)?],
    };
    if wants_binding && binding.is_none() {
        return None;
    }
    let config = LetsEncryptConfig {
        settings: AcmeSettings {
            directory: directory.unwrap_or_else(|| LETS_ENCRYPT.to_owned()),
            email,
            hosts,
            challenge,
            binding,
            tls: tls?,
        },
        cache_dir: cache_dir.as_ref().map(|located| located.value.clone()),
        http_addr: http_addr?,
    };
    section.show("directory", Effective::quoted(&config.settings.directory));
    let hosts = config.settings.hosts.iter().map(Effective::quoted);
    section.show("host", Effective::List(hosts.collect()));
    if let Some(cache_dir) = &cache_dir {
        check_directory(&cache_dir.setting, &cache_dir.value)?;
        warn_of_certificates(&cache_dir.setting, &config, section.context.now);
    }
    Some(config)
}

/// `host`, one or several; `None` if it is absent, `Some(None)` if it is wrong.
fn read_hosts(section: &mut Section<'_>) -> Option<Option<Vec<CertificateHost>>> {
    let setting = section.setting(
        key::custom("host", Kind::OneOrMany(Box::new(Kind::Form("host name"))))
            .not(&["hosts", "domain", "domains"])
            .docker_auth()
            .means(
                "the host of the certificate; + several as a list, each of which gets its own. The \
                 first one's is for clients that name no host",
            )
            .otherwise("the host of `public_url`"),
    )?;
    let mut hosts = Vec::new();
    let mut is_wrong = false;
    for item in setting.one_or_many().unwrap_or_default() {
        match item.parse(str::parse::<CertificateHost>) {
            Some(host) if hosts.contains(&host) => item.error("this host is in the list already"),
            Some(host) => hosts.push(host),
            None => is_wrong = true,
        }
    }
    if hosts.len() > MOST_HOSTS {
        setting.error(format_args!("{MOST_HOSTS} hosts at most"));
        is_wrong = true;
    }
    if hosts.is_empty() && !is_wrong {
        setting.error("the list is empty; write the host that clients use");
    }
    Some((!is_wrong && !hosts.is_empty()).then_some(hosts))
}

/// The host of `public_url`. docker_auth would ask for a certificate for each name that a client
/// sends, until the authority's limits are used up.
fn host_of(section: &Section<'_>, public_url: Option<&str>) -> Option<CertificateHost> {
    let url = public_url.and_then(|url| url.parse::<Uri>().ok());
    let host = url.as_ref().and_then(Uri::host);
    let host = host.and_then(|host| host.parse().ok());
    if host.is_none() {
        section.error_about(
            "host",
            Problem::Missing,
            "write the host of the certificate, such as host: registry.example.com; without it, \
             clients could have certificates asked for any name",
        );
    }
    host
}

fn read_http_addr(
    section: &mut Section<'_>,
    challenge: ChallengeKind,
) -> Option<Option<ListenAddress>> {
    let located = section.locate(
        key::parsed("http_addr", "address", |text| {
            ListenAddress::parse(text, None).map_err(|error| error.to_string())
        })
        .restart()
        .means(
            "with `http-01`: where to listen without TLS. It answers the challenges, and sends \
             everything else to https",
        )
        .otherwise("`:80`"),
    );
    match (challenge, located) {
        (ChallengeKind::Http01, Some(located)) => Some(Some(located.value)),
        (ChallengeKind::Http01, None) if section.has("http_addr") => None,
        (ChallengeKind::Http01, None) => {
            let address = ListenAddress::parse(HTTP_ADDRESS, None).ok()?;
            section.show("http_addr", Effective::quoted(&address));
            Some(Some(address))
        }
        (ChallengeKind::TlsAlpn01, located) => {
            if let Some(located) = located {
                let message = "no effect without challenge: http-01";
                located.setting.warn(Problem::NoEffect, message);
                section.hide(&["http_addr"]);
            }
            Some(None)
        }
    }
}

fn read_binding(section: &mut Section<'_>) -> Option<ExternalAccountBinding> {
    let id = section.find(
        key::text("key_id")
            .required("write the id that the ACME server's operator gave you")
            .means("the id of the account"),
    );
    let key = section.find(
        key::parsed_as("hmac_key", Kind::Text, hmac_key, |_| Effective::hidden())
            .secret()
            .required("write the key that the ACME server's operator gave you")
            .means("its key, in base64url; better from a file: `hmac_key_file`"),
    );
    Some(ExternalAccountBinding::new(id?, key?))
}

fn email(text: &str) -> Result<String, String> {
    let is_address = text.is_empty()
        || text
            .split_once('@')
            .is_some_and(|(user, host)| !user.is_empty() && !host.is_empty());
    let is_plain = !text.contains([' ', ',', '?', ':']);
    match is_address && is_plain {
        true => Ok(text.to_owned()),
        false => Err("must be an email address, such as webmaster@example.com".to_owned()),
    }
}

/// RFC 8555 §6.1: https only.
fn directory(text: &str) -> Result<String, String> {
    let uri = text.parse::<Uri>().ok();
    let is_https = uri.as_ref().and_then(Uri::scheme_str) == Some("https");
    let authority = uri.as_ref().and_then(Uri::authority);
    let has_host = authority.is_some_and(|authority| !authority.as_str().contains('@'));
    match is_https && has_host {
        true => Ok(text.to_owned()),
        false => Err(format!("must be an https URL, such as {LETS_ENCRYPT}")),
    }
}

/// Operators give it in either alphabet of base64, with padding or without.
fn hmac_key(text: &str) -> Result<Vec<u8>, String> {
    let text = text.trim().trim_end_matches('=');
    let text = text.replace('+', "-").replace('/', "_");
    let key = BASE64URL_NOPAD.decode(text.as_bytes()).ok();
    key.filter(|key| !key.is_empty())
        .ok_or_else(|| "must be in base64url".to_owned())
}

fn check_directory(setting: &Setting<'_>, path: &Path) -> Option<()> {
    if path.exists() && !path.is_dir() {
        let message = format!(
            "{} is not a directory. Registries before 2.8 had one file, which cannot be taken over: \
             name a directory, and new certificates are obtained",
            path.display()
        );
        setting.report(Problem::File, message);
        return None;
    }
    let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    if path.exists() && rustix::fs::access(path, access).is_err() {
        let message = format!(
            "this user cannot write to {}: certificates could not be renewed",
            path.display()
        );
        setting.warn(Problem::File, message);
    }
    Some(())
}

/// Warns of certificates that were not renewed in time.
fn warn_of_certificates(setting: &Setting<'_>, config: &LetsEncryptConfig, now: SystemTime) {
    let directory = config.cache_dir.as_deref().unwrap_or(Path::new(""));
    for host in &config.settings.hosts {
        let read = |name: &str| read_bounded(&directory.join(name)).ok();
        let certificate = read(host.as_str());
        let certificate = certificate.and_then(|pem| HostCertificate::from_pem(host, &pem).ok());
        let attempts = read(&format!("{host}+attempts"));
        let attempts: Option<AttemptRecord> =
            attempts.and_then(|json| serde_json::from_slice(&json).ok());
        let expiry = certificate.filter(|certificate| certificate.expires_soon(now));
        let why = attempts.map_or(String::new(), |attempts| format!(": {}", attempts.error));
        match expiry.map(|certificate| certificate.not_after()) {
            Some(end) if end < now => setting.warn(
                Problem::Doubtful,
                format_args!(
                    "the certificate for {host} has expired on {}{why}",
                    date(end)
                ),
            ),
            Some(end) => setting.warn(
                Problem::Doubtful,
                format_args!(
                    "the certificate for {host} expires on {} and was not renewed yet{why}",
                    date(end)
                ),
            ),
            None if !why.is_empty() => setting.warn(
                Problem::Doubtful,
                format_args!("the last attempt to get a certificate for {host} failed{why}"),
            ),
            None => {}
        }
    }
}

fn date(time: SystemTime) -> String {
    rfc3339(unix_seconds(time))
}
