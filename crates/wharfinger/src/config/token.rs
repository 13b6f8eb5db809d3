//! The section `token`: who issues, for how long, and under which key and header.

use std::collections::BTreeMap;
use std::time::Duration;

use ::token::{HeaderMember, KeyIdKind};
use auth::MIN_EXPIRATION_SECONDS;

use super::keys::SigningKey;
use super::section::{PathSetting, Section};
use super::setting::Setting;
use common::parse_date;

/// How tokens are made.
#[derive(Clone, Debug)]
pub(crate) struct TokenSettings {
    /// The `iss` of every token; never empty.
    pub(crate) issuer: String,
    /// The keys to publish, at least one; the first signs.
    pub(crate) keys: Vec<SigningKey>,
    /// Where no service says otherwise.
    pub(crate) options: TokenOptions,
    /// Services that want something else, by name.
    pub(crate) services: BTreeMap<String, TokenOptions>,
    /// How far before now a token begins to be valid.
    pub(crate) not_before_skew: Duration,
}

/// How the tokens for one registry are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenOptions {
    pub(crate) header: Vec<HeaderMember>,
    pub(crate) key_id: KeyIdKind,
    pub(crate) expiration: Duration,
}

/// The files of a key and its certificate.
type Pair<'a> = (PathSetting<'a>, PathSetting<'a>);

/// Clients take a token for good for this long, whatever it says (Distribution, "Token
/// Authentication Specification", `expires_in`).
const SHORTEST: Duration = Duration::from_secs(MIN_EXPIRATION_SECONDS);
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);
const DEFAULT_SKEW: Duration = Duration::from_secs(10);
const LONGEST_SKEW: Duration = Duration::from_secs(3600);

impl TokenSettings {
    /// Reads the section; without a key of its own, tokens are signed with the `server`'s key (and
    /// certificate).
    pub(super) fn read(section: &mut Section<'_>, server: Option<&Pair<'_>>) -> Option<Self> {
        section.require(
            "issuer",
            "it is what the registries have under auth.token.issuer",
        );
        let issuer = section.parse("issuer", |text| match text {
            "" => Err("it is empty; it is what the registries have under auth.token.issuer"),
            issuer => Ok(issuer.to_owned()),
        });
        section.require(
            "expiration",
            "for how many seconds a token is valid, as 900",
        );
        let expiration = section
            .setting("expiration")
            .and_then(|setting| read_expiration(&setting));
        let keys = read_keys(section, server);
        let key_id = read_key_id(section);
        let header = section
            .setting("header")
            .and_then(|setting| read_header(&setting));
        let options = TokenOptions {
            header: header.unwrap_or_else(|| vec![HeaderMember::Kid]),
            key_id: key_id.unwrap_or(KeyIdKind::Libtrust),
            expiration: expiration.unwrap_or(SHORTEST),
        };
        let services = section
            .setting("services")
            .and_then(|setting| read_services(&setting, &options));
        let skew = section.setting("not_before_skew");
        let skew = skew.and_then(|setting| setting.duration_within(Duration::ZERO, LONGEST_SKEW));
        expiration?;
        let token = Self {
            issuer: issuer?,
            keys: keys?,
            options,
            services: services.unwrap_or_default(),
            not_before_skew: skew.unwrap_or(DEFAULT_SKEW),
        };
        token.check_certificate(section);
        token.check_life(section);
        Some(token)
    }

    /// `x5c` needs the signing key's certificate, and a registry looks at its dates.
    fn check_certificate(&self, section: &Section<'_>) {
        let all = std::iter::once(&self.options).chain(self.services.values());
        let wanted = all
            .into_iter()
            .any(|options| options.header.contains(&HeaderMember::X5c));
        let Some(first) = self.keys.first().filter(|_| wanted) else {
            return;
        };
        if first.chain.is_empty() {
            section.context.error(
                section.position,
                "token.header: x5c needs the certificate of the key that signs",
            );
        } else if !first.certificate_is_valid(section.context.now) {
            let message = "token.header: registries refuse x5c with the certificate of the key that signs, which is not valid now";
            section.context.warn(section.position, message);
        }
    }

    /// The key that signs must not leave the JWKS while its tokens live.
    fn check_life(&self, section: &Section<'_>) {
        match self.keys.first().and_then(|key| key.not_after) {
            Some(end) if end <= section.context.now => section.context.error(
                section.position,
                "token.keys: the first key signs, and its not_after has passed; put the key that is to sign before it",
            ),
            Some(_) => section.context.warn(
                section.position,
                "token.keys: the first key signs, and after its not_after the JWKS will not have it any more",
            ),
            None => {}
        }
    }
}

/// docker_auth takes any positive number. A shorter life than clients count with makes them send
/// tokens that have expired, so it is lengthened; the file still starts.
fn read_expiration(setting: &Setting<'_>) -> Option<Duration> {
    let expiration = setting.duration()?;
    if expiration < Duration::from_secs(1) || expiration > LONGEST {
        setting.error("it must be from 1 second to 10 years");
        return None;
    }
    if expiration < SHORTEST {
        setting.warn(
            "clients use every token for 60 seconds at least, so tokens are made for 60 seconds",
        );
    }
    Some(expiration.max(SHORTEST))
}

/// `certificate` and `key` first, then `keys`; without any, the server's.
fn read_keys(section: &mut Section<'_>, server: Option<&Pair<'_>>) -> Option<Vec<SigningKey>> {
    let (key, certificate, list) = (
        section.path("key"),
        section.path("certificate"),
        section.setting("keys"),
    );
    let own = match (key, certificate) {
        (Some(key), certificate) => Some(SigningKey::read(&key, certificate.as_ref())),
        (None, Some(certificate)) => Some(
            certificate
                .setting
                .checked(Err("the other half is missing: token.key")),
        ),
        (None, None) => None,
    };
    let items = list.map_or_else(|| Some(Vec::new()), |list| list.items())?;
    // All of them are read before one can be missing, so all that is wrong is told.
    let listed: Vec<_> = items
        .iter()
        .map(|item| item.section(read_listed_key))
        .collect();
    let mut keys: Vec<_> = own.into_iter().chain(listed).collect::<Option<_>>()?;
    if let (true, Some((key, certificate))) = (keys.is_empty(), server) {
        keys.push(SigningKey::read(key, Some(certificate))?);
    }
    if keys.is_empty() {
        let message = "token.key is missing: there is no key to sign tokens with (`wharfinger keys new` and `wharfinger \
                       certs new` make one and its certificate)";
        section.context.error(section.position, message);
        return None;
    }
    Some(keys)
}

fn read_listed_key(section: &mut Section<'_>) -> Option<SigningKey> {
    section.require("key", "a private key's file");
    let (key, certificate) = (section.path("key"), section.path("certificate"));
    let not_after = section.parse("not_after", parse_date);
    let read = SigningKey::read(&key?, certificate.as_ref())?;
    Some(SigningKey { not_after, ..read })
}

/// `disable_legacy_key_id` is docker_auth's word for `key_id: thumbprint`.
fn read_key_id(section: &mut Section<'_>) -> Option<KeyIdKind> {
    let legacy = section.setting("disable_legacy_key_id");
    let legacy = legacy.and_then(|setting| setting.flag().map(|disabled| (setting, disabled)));
    let key_id = section.parse("key_id", parse_key_id);
    match (legacy, key_id) {
        (Some((setting, true)), Some(KeyIdKind::Libtrust)) => {
            setting.error("it contradicts token.key_id: libtrust; remove one of them");
            None
        }
        (Some((_, true)), _) => Some(KeyIdKind::Thumbprint),
        (_, key_id) => key_id,
    }
}

fn parse_key_id(text: &str) -> Result<KeyIdKind, &'static str> {
    match text {
        "libtrust" => Ok(KeyIdKind::Libtrust),
        "thumbprint" => Ok(KeyIdKind::Thumbprint),
        _ => Err(
            "this must be libtrust (registry 2 with a rootcertbundle) or thumbprint (registry 3)",
        ),
    }
}

/// One header member, or a list of them.
fn read_header(setting: &Setting<'_>) -> Option<Vec<HeaderMember>> {
    let items = if setting.is_sequence() {
        setting.items()?
    } else {
        vec![setting.clone()]
    };
    let mut header = Vec::new();
    for item in &items {
        match item.parse(parse_member) {
            Some(member) if header.contains(&member) => item.error("this is in the list already"),
            Some(member) => header.push(member),
            None => {}
        }
    }
    if items.is_empty() {
        setting.error("without kid, jwk or x5c no registry can tell which key signed");
    }
    Some(header)
}

fn parse_member(text: &str) -> Result<HeaderMember, &'static str> {
    match text {
        "kid" => Ok(HeaderMember::Kid),
        "jwk" => Ok(HeaderMember::Jwk),
        "x5c" => Ok(HeaderMember::X5c),
        _ => Err("this must be kid, jwk or x5c"),
    }
}

fn read_services(
    setting: &Setting<'_>,
    default: &TokenOptions,
) -> Option<BTreeMap<String, TokenOptions>> {
    let read = |(entry, service): &(&super::yaml::Entry, Setting<'_>)| {
        let options = service.section(|section| {
            let header = section
                .setting("header")
                .and_then(|setting| read_header(&setting));
            let expiration = section
                .setting("expiration")
                .and_then(|setting| read_expiration(&setting));
            Some(TokenOptions {
                header: header.unwrap_or_else(|| default.header.clone()),
                key_id: section
                    .parse("key_id", parse_key_id)
                    .unwrap_or(default.key_id),
                expiration: expiration.unwrap_or(default.expiration),
            })
        })?;
        Some((entry.key.clone(), options))
    };
    Some(setting.entries()?.iter().filter_map(read).collect())
}
