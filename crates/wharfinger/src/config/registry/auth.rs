//! `registry.auth`: who gets into the registry.

use std::path::PathBuf;

use ::token::{Certificate, JwkSet};

use crate::config::diagnostics::Problem;
use crate::config::effective::Effective;
use crate::config::schema::{Kind, key};
use crate::config::section::{Located, Reported, Section};
use crate::config::users::HtpasswdFile;

/// The service of our own token server's tokens, unless another is set.
const OWN_SERVICE: &str = "wharfinger";

/// Who gets in.
#[derive(Clone, Debug)]
pub(crate) enum RegistryAuth {
    /// Callers with a token of one of these; clients are sent to the first.
    Token(Vec<IssuerConfig>),
    /// Callers with a password.
    Htpasswd { realm: String, file: HtpasswdFile },
    /// Everyone.
    Open,
}

/// An issuer whose tokens are accepted.
#[derive(Clone, Debug)]
pub(crate) struct IssuerConfig {
    /// Where clients get a token: a URL, or a path of the host that they asked. `None` is our own
    /// token server.
    pub(crate) realm: Option<String>,
    /// What a token must be for.
    pub(crate) service: String,
    pub(crate) trust: IssuerKeysConfig,
}

/// The keys that an issuer's tokens may be signed with.
#[derive(Clone, Debug)]
pub(crate) enum IssuerKeysConfig {
    /// Those of our own token server.
    Own,
    /// Those that the configuration names.
    Other {
        issuer: String,
        certificates: Vec<Certificate>,
        /// The keys of a key set in a file.
        keys: JwkSet,
        /// The URL of a key set.
        url: Option<String>,
    },
}

impl RegistryAuth {
    /// Reads `auth` of the section `registry`. Without it, a registry beside a token server takes
    /// its tokens.
    pub(super) fn read(registry: &mut Section<'_>, has_token_server: bool) -> Option<Self> {
        let is_absent = !registry.has("auth");
        let auth = registry.optional(
            key::mapping("auth")
                .means("who gets in: one of `token`, `htpasswd` and `none`")
                .otherwise("beside a token server: its tokens"),
            |auth| Self::read_section(auth, has_token_server),
        );
        if !is_absent {
            return auth;
        }
        if has_token_server {
            let own = IssuerConfig::own(None);
            let shown = Effective::List(vec![own.show()]);
            let shown = Effective::mapping(vec![("token", shown)]);
            registry.show("auth", shown);
            return Some(Self::Token(vec![own]));
        }
        registry.error_about(
            "auth",
            Problem::Missing,
            "write token: {realm, service, issuer, rootcertbundle}, htpasswd: {realm, path}, or \
             none: true to let everyone do everything",
        );
        None
    }

    fn read_section(auth: &mut Section<'_>, has_token_server: bool) -> Option<Self> {
        let token = read_tokens(auth, has_token_server);
        let htpasswd = auth.optional(
            key::mapping("htpasswd").means("names and passwords; each may do everything"),
            |section| Some(read_htpasswd(section)),
        );
        let none = auth
            .locate(
                key::switch("none")
                    .means("everyone may do everything; warns")
                    .otherwise("false"),
            )
            .filter(|none| none.value);
        if let Some(none) = &none {
            let message = "everyone who reaches this registry can pull, push and delete everything";
            none.setting.warn(Problem::Insecure, message);
        }
        match (token, htpasswd, none) {
            (Some(token), None, None) => token.ok().map(Self::Token),
            (None, Some(htpasswd), None) => htpasswd,
            (None, None, Some(_)) => Some(Self::Open),
            (None, None, None) => {
                let message = "nothing is chosen; write token, htpasswd, or none: true";
                auth.error(Problem::Invalid, message);
                None
            }
            _ => {
                let message = "only one of token, htpasswd and none is allowed";
                auth.error(Problem::Conflict, message);
                None
            }
        }
    }
}

impl IssuerConfig {
    fn own(service: Option<String>) -> Self {
        Self {
            realm: None,
            service: service.unwrap_or_else(|| OWN_SERVICE.to_owned()),
            trust: IssuerKeysConfig::Own,
        }
    }

    fn read(section: &mut Section<'_>, has_token_server: bool) -> Option<Self> {
        let names_keys = ["issuer", "rootcertbundle", "jwks"].map(|key| section.has(key));
        let is_own = has_token_server && !names_keys.contains(&true);
        let mut realm = key::parsed("realm", "URL", url)
            .means("where clients get a token")
            .otherwise("our own token server");
        let mut service = key::parsed("service", "text", not_empty)
            .means("what a token must be for (`aud`)")
            .otherwise("beside a token server `wharfinger`");
        let mut issuer = key::text("issuer").means("the `iss` of its tokens");
        if !is_own && !section.context.is_describing() {
            realm = realm.required("write the URL at which clients get a token");
            service = service.required("write what the tokens are for");
            issuer = issuer.required("write the issuer, as it is in the tokens");
        }
        let (realm, service) = (section.find(realm), section.find(service));
        let issuer = section.find(issuer);
        let bundle = section.locate(
            key::path("rootcertbundle")
                .means("certificates that tokens may be signed with, or be issued by, PEM"),
        );
        let jwks = section.locate(
            key::path("jwks").means("a key set that tokens may be signed with: a file or a URL"),
        );
        if is_own {
            return Some(Self {
                realm,
                ..Self::own(service)
            });
        }
        let address = jwks
            .as_ref()
            .and_then(|jwks| jwks.value.to_str())
            .and_then(|text| url(text).ok())
            .filter(|text| !text.starts_with('/'));
        if let (Some(jwks), Some(url)) = (&jwks, &address)
            && url.starts_with("http://")
        {
            let message = "keys fetched without TLS can be replaced on the way, and with them \
                           anyone can make tokens; use https";
            jwks.setting.warn(Problem::Insecure, message);
        }
        if bundle.is_none() && jwks.is_none() {
            let message = "no keys: set rootcertbundle (certificates, PEM) or jwks (a key set)";
            section.error(Problem::Invalid, message);
            return None;
        }
        let certificates = bundle.as_ref().map(read_bundle);
        let file = jwks.filter(|_| address.is_none());
        let keys = file.as_ref().map(read_key_set);
        let trust = IssuerKeysConfig::Other {
            issuer: issuer?,
            certificates: certificates.unwrap_or_else(|| Some(Vec::new()))?,
            keys: keys.unwrap_or_else(|| Some(JwkSet::default()))?,
            url: address,
        };
        Some(Self {
            realm: Some(realm?),
            service: service?,
            trust,
        })
    }

    fn show(&self) -> Effective {
        let service = Effective::quoted(&self.service);
        Effective::mapping(vec![("service", service)])
    }
}

/// One issuer, or a list of them.
fn read_tokens(
    auth: &mut Section<'_>,
    has_token_server: bool,
) -> Option<Result<Vec<IssuerConfig>, Reported>> {
    let kind = Kind::OneOrMany(Box::new(Kind::Mapping(Vec::new())));
    let read = |section: &mut Section<'_>| IssuerConfig::read(section, has_token_server);
    let setting = auth.structured(
        key::custom("token", kind).means("token servers whose tokens are accepted"),
        read,
    )?;
    let items = setting.one_or_many().unwrap_or_default();
    if items.is_empty() {
        setting.error("the list is empty; write an issuer");
        return Some(Err(Reported));
    }
    // All are read before one can be missing, so that all errors are reported.
    let (mut issuers, mut shown) = (Vec::new(), Vec::new());
    for item in items {
        let (issuer, mut effective) = item.section(read).unzip();
        let issuer = issuer.flatten();
        if let (Some(issuer), Some(Effective::Mapping(entries))) = (&issuer, &mut effective)
            && entries.iter().all(|(name, _)| name != "service")
        {
            entries.push(("service".to_owned(), Effective::quoted(&issuer.service)));
        }
        issuers.push(issuer);
        shown.extend(effective);
    }
    auth.show("token", Effective::List(shown));
    let issuers: Option<Vec<_>> = issuers.into_iter().collect();
    Some(issuers.ok_or(Reported))
}

fn read_htpasswd(section: &mut Section<'_>) -> Option<RegistryAuth> {
    let realm = section.get(
        key::text("realm")
            .means("what clients show when they ask for a password")
            .default("Registry Realm".to_owned()),
    );
    let file = section.locate(
        key::path("path")
            .required("write the file with names and password hashes")
            .means("the htpasswd file: bcrypt and argon2id"),
    )?;
    let file = HtpasswdFile::read_distribution(&file)?;
    Some(RegistryAuth::Htpasswd { realm, file })
}

fn read_bundle(file: &Located<'_, PathBuf>) -> Option<Vec<Certificate>> {
    let pem = String::from_utf8_lossy(&file.read()?).into_owned();
    let read = Certificate::readable_in_pem(&pem);
    let (certificates, broken) = file.setting.checked_file(&file.value, read)?;
    for error in broken {
        let message = format!(
            "{}: ignored, as Distribution does: {error}",
            file.value.display()
        );
        file.setting.warn(Problem::NoEffect, message);
    }
    Some(certificates)
}

fn read_key_set(file: &Located<'_, PathBuf>) -> Option<JwkSet> {
    let json = String::from_utf8_lossy(&file.read()?).into_owned();
    file.setting
        .checked_file(&file.value, JwkSet::from_json(&json))
}

fn not_empty(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("empty".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

fn url(text: &str) -> Result<String, String> {
    // A path is one of the host that the client asked: Distribution's `autoredirect`.
    let is_path = text.starts_with('/') && !text.starts_with("//");
    let is_url = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .is_some_and(|rest| !rest.is_empty());
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if (is_url || is_path) && is_plain {
        Ok(text.to_owned())
    } else {
        Err("must be a URL, such as https://auth.example.com/token".to_owned())
    }
}
