//! The section `token`: the issuer, the lifetime, the key and the header of tokens.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use ::token::{HeaderMember, KeyIdKind};
use auth::MIN_EXPIRATION_SECONDS;
use common::{parse_date, rfc3339, unix_seconds};

use super::diagnostics::Problem;
use super::effective::Effective;
use super::keys::{KeyPairFiles, SigningKey};
use super::schema::Kind;
use super::schema::key::{self, Words};
use super::section::{Located, Section};
use super::setting::Setting;

/// How tokens are made.
#[derive(Clone, Debug)]
pub(crate) struct TokenConfig {
    /// The `iss` of every token; never empty.
    pub(crate) issuer: String,
    /// The keys to publish, at least one; the first signs.
    pub(crate) keys: Vec<SigningKey>,
    /// For each service that has no options of its own.
    pub(crate) options: TokenOptions,
    /// The options of services that have their own, by name.
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

/// Clients use a token for this long, whatever it says (Distribution, "Token Authentication
/// Specification", `expires_in`).
const SHORTEST: Duration = Duration::from_secs(MIN_EXPIRATION_SECONDS);
const SECOND: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

impl Words for HeaderMember {
    const WORDS: &'static [(&'static str, Self)] =
        &[("kid", Self::Kid), ("jwk", Self::Jwk), ("x5c", Self::X5c)];
}

impl Words for KeyIdKind {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("libtrust", Self::Libtrust),
        ("thumbprint", Self::Thumbprint),
    ];
}

impl TokenConfig {
    /// Reads the section. Without a key of its own, tokens are signed with the `server`'s key (and
    /// certificate).
    pub(super) fn read<'a>(section: &mut Section<'a>, server: &KeyPairFiles<'a>) -> Option<Self> {
        let issuer = section.find(
            key::parsed("issuer", "text", |text| match text {
                "" => Err("empty; write what registries have as auth.token.issuer".to_owned()),
                issuer => Ok(issuer.to_owned()),
            })
            .docker_auth()
            .required("write what registries have as auth.token.issuer")
            .means("the `iss` of every token; exactly the registry's `auth.token.issuer`"),
        );
        let mut options = TokenOptions::read(section, None);
        options.settle_key_id(section);
        let keys = read_keys(section, server);
        let services = read_services(section, &options);
        let not_before_skew = section.get(
            key::duration("not_before_skew", Duration::ZERO..=3600 * SECOND)
                .means("how far before now a token begins; docker_auth's is 10 seconds, too")
                .default(10 * SECOND),
        );
        let token = Self {
            issuer: issuer?,
            keys: keys?,
            options,
            services,
            not_before_skew,
        };
        token.check_certificate(section);
        token.check_coordinates(section);
        token.check_life(section);
        Some(token)
    }

    /// `x5c` needs the signing key's certificate, and a registry checks its dates.
    fn check_certificate(&self, section: &Section<'_>) {
        let mut all = std::iter::once(&self.options).chain(self.services.values());
        let is_wanted = all.any(|options| options.header.contains(&HeaderMember::X5c));
        let Some(first) = self.keys.first().filter(|_| is_wanted) else {
            return;
        };
        if first.chain.is_empty() {
            section.error_about(
                "header",
                Problem::Conflict,
                "x5c needs the certificate of the key that signs; set token.certificate",
            );
        } else if !first.certificate_is_valid(section.context.now) {
            section.warn_about(
                "header",
                Problem::Doubtful,
                "the certificate of the key that signs has expired or is not valid yet; \
                 registries refuse x5c with it",
            );
        }
    }

    /// The key that signs must not leave the JWKS while its tokens live.
    /// Registry 3.1 does not find such a key by its ID (see `PublicKey::has_leading_zero`).
    fn check_coordinates(&self, section: &Section<'_>) {
        for key in self
            .keys
            .iter()
            .filter(|key| key.key.public().has_leading_zero())
        {
            let message = format!(
                "a coordinate of the key {} begins with a zero byte; registry 3.1 computes another \
                 ID for such a key and rejects its tokens; make a new one with `wharfinger keys \
                 new`, which draws until there is none",
                key.key_file.display()
            );
            section.warn_about("key", Problem::Doubtful, message);
        }
    }

    fn check_life(&self, section: &Section<'_>) {
        match self.keys.first().and_then(|key| key.not_after) {
            Some(end) if end <= section.context.now => section.error_about(
                "keys",
                Problem::Invalid,
                "the first key signs, and its not_after has passed; put the key that is to sign \
                 before it",
            ),
            Some(_) => section.warn_about(
                "keys",
                Problem::Doubtful,
                "the first key signs, and the JWKS drops it at its not_after",
            ),
            None => {}
        }
    }
}

impl TokenOptions {
    /// Reads the options of `token`, or those of a service over the ones `above` it.
    fn read(section: &mut Section<'_>, above: Option<&Self>) -> Self {
        let default = above.cloned().unwrap_or_else(|| Self {
            header: vec![HeaderMember::Kid],
            key_id: KeyIdKind::Libtrust,
            expiration: SHORTEST,
        });
        let mut header = key::one_or_many_words("header").means(
            "what the token's header says of the key, one or several. [Which registry reads \
             which](keys-and-tokens.md#which-header-for-which-registry)",
        );
        let mut key_id = key::word("key_id").means(
            "the id in `kid` and in `jwk`: registry 2 with a `rootcertbundle` wants `libtrust`, \
             registry 3 `thumbprint`",
        );
        if above.is_some() {
            header = header.otherwise("as above");
            key_id = key_id.otherwise("as above");
        }
        let expiration = read_expiration(section, above);
        let options = Self {
            // A missing one is an error, which has been reported.
            expiration: expiration.unwrap_or(default.expiration),
            header: section.get(header.default(default.header)),
            key_id: section.get(key_id.default(default.key_id)),
        };
        if let Some(setting) = section.present("header").filter(Setting::is_empty_list) {
            setting.error("empty; without kid, jwk or x5c no registry can tell which key signed");
        }
        let seconds = Effective::plain(options.expiration.as_secs());
        section.show("expiration", seconds);
        options
    }

    /// `disable_legacy_key_id` is docker_auth's word for `key_id: thumbprint`.
    fn settle_key_id(&mut self, section: &mut Section<'_>) {
        let legacy = section.locate(
            key::switch("disable_legacy_key_id")
                .docker_auth()
                .means("`true` is `key_id: thumbprint`")
                .otherwise("false"),
        );
        let Some(legacy) = legacy.filter(|legacy| legacy.value) else {
            return;
        };
        if section.has("key_id") && self.key_id == KeyIdKind::Libtrust {
            let message = "contradicts token.key_id: libtrust; remove one of them";
            legacy.setting.report(Problem::Conflict, message);
        }
        self.key_id = KeyIdKind::Thumbprint;
        section.show("key_id", key::show_word(&self.key_id));
    }
}

/// docker_auth takes any positive number. Clients use a token for 60 seconds even if it expires
/// sooner, so a shorter life is lengthened, with a warning.
fn read_expiration(section: &mut Section<'_>, above: Option<&TokenOptions>) -> Option<Duration> {
    let key = key::duration("expiration", SECOND..=LONGEST)
        .not(&["ttl", "lifetime", "expires_in"])
        .docker_auth()
        .means("how long a token is valid; below 60 s it is 60 s, with a warning");
    let key = match above {
        Some(_) => key.ours().otherwise("as above"),
        None => key.required("write the seconds for which a token is valid, such as 900"),
    };
    let Located { value, setting } = section.locate(key)?;
    if value < SHORTEST {
        let message = "clients use every token for at least 60 seconds, so tokens are made for 60";
        setting.warn(Problem::NoEffect, message);
    }
    Some(value.max(SHORTEST))
}

/// `certificate` and `key` first, then `keys`; without any, the server's.
fn read_keys<'a>(section: &mut Section<'a>, server: &KeyPairFiles<'a>) -> Option<Vec<SigningKey>> {
    let pair = read_pair(section, false);
    let list = section.structured(
        key::custom("keys", Kind::List(Box::new(Kind::Mapping(Vec::new()))))
            .means("further pairs, below: all are published, the first of all signs"),
        read_listed_key,
    );
    let own = match (pair.key, pair.certificate) {
        (Some(key), certificate) => Some(SigningKey::read(&key, certificate.as_ref())),
        (None, Some(certificate)) => {
            let message = "token.key is missing: a certificate needs its private key";
            certificate.setting.report(Problem::Conflict, message);
            Some(None)
        }
        (None, None) => None,
    };
    let items = list.map_or_else(|| Some(Vec::new()), |list| list.items())?;
    // All are read before one can be missing, so that all errors are reported.
    let listed: Vec<_> = items
        .iter()
        .map(|item| item.section(read_listed_key)?.0)
        .collect();
    let mut keys: Vec<_> = own.into_iter().chain(listed).collect::<Option<_>>()?;
    if let (true, Some(key), Some(certificate)) =
        (keys.is_empty(), &server.key, &server.certificate)
    {
        keys.push(SigningKey::read(key, Some(certificate))?);
    }
    if keys.is_empty() {
        section.error_about(
            "key",
            Problem::Missing,
            "tokens need a key that signs them; `wharfinger keys new` and `wharfinger certs new` \
             make one and its certificate",
        );
        return None;
    }
    let shown = keys.iter().map(SigningKey::show).collect();
    // As a list, the pair that stands alone is its first item.
    section.hide(&["key", "certificate"]);
    section.show("keys", Effective::List(shown));
    Some(keys)
}

/// The files of a private key and its certificate.
fn read_pair<'a>(section: &mut Section<'a>, is_listed: bool) -> KeyPairFiles<'a> {
    let mut key = key::path("key").docker_auth().means(
        "the private key that signs, PEM (PKCS#8, PKCS#1, SEC1): RSA with 2048 to 8192 bits, \
         P-256, P-384, P-521, + Ed25519",
    );
    let mut certificate = key::path("certificate")
        .docker_auth()
        .means("the key's certificate first, then those above it, PEM; needed for `x5c` only");
    if is_listed {
        key = key.required("write a private key's file").ours();
        certificate = certificate.ours();
    } else {
        key = key.otherwise("the first of `keys`, else the server's TLS pair");
    }
    KeyPairFiles {
        key: section.locate(key),
        certificate: section.locate(certificate),
    }
}

fn read_listed_key(section: &mut Section<'_>) -> Option<SigningKey> {
    let pair = read_pair(section, true);
    let not_after = section.find(
        key::parsed_as(
            "not_after",
            Kind::Form("`2026-01-31` or `2026-01-31T12:00:00Z`"),
            parse_date,
            |time: &SystemTime| Effective::plain(rfc3339(unix_seconds(*time))),
        )
        .means("until when the JWKS has the key, inclusive; the first key must not have passed it")
        .otherwise("always"),
    );
    let read = SigningKey::read(&pair.key?, pair.certificate.as_ref())?;
    Some(SigningKey { not_after, ..read })
}

fn read_services(
    section: &mut Section<'_>,
    above: &TokenOptions,
) -> BTreeMap<String, TokenOptions> {
    let kind = Kind::Names(Box::new(Kind::Mapping(Vec::new())));
    let key = key::custom("services", kind).means(
        "`NAME: {header, key_id, expiration}` for requests whose `service` is `NAME`; what is \
         left out is as above",
    );
    let read = |section: &mut Section<'_>| TokenOptions::read(section, Some(above));
    let Some(entries) = section
        .structured(key, read)
        .and_then(|setting| setting.entries())
    else {
        return BTreeMap::new();
    };
    let (mut services, mut shown) = (BTreeMap::new(), Vec::new());
    for (entry, service) in entries {
        if let Some((options, effective)) = service.section(read) {
            services.insert(entry.key.clone(), options);
            shown.push((entry.key.clone(), effective));
        }
    }
    section.show("services", Effective::names(shown));
    services
}
