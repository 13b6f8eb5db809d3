//! `registry.auth`: whom the registry lets in.

use std::path::PathBuf;

use ::token::{Certificate, JwkSet};

use crate::config::section::{PathSetting, Section};
use crate::config::setting::Setting;
use crate::config::users::{HtpasswdFile, read_distribution_htpasswd};

/// What our own token server's tokens are for, where nothing else is said.
const OWN_SERVICE: &str = "wharfinger";

/// Who may come in.
#[derive(Clone, Debug)]
pub(crate) enum RegistryAuth {
    /// Whoever has a token of one of these; clients are sent to the first.
    Token(Vec<TokenIssuer>),
    /// Whoever has a password.
    Htpasswd { realm: String, file: HtpasswdFile },
    /// Everybody.
    Open,
}

/// Whose tokens are believed.
#[derive(Clone, Debug)]
pub(crate) struct TokenIssuer {
    /// Where clients get a token, a URL or a path of the very host that they asked; none where our
    /// own token server gives it.
    pub(crate) realm: Option<String>,
    /// What a token must be for.
    pub(crate) service: String,
    pub(crate) trust: IssuerKeys,
}

/// Why a token of theirs is believed.
#[derive(Clone, Debug)]
pub(crate) enum IssuerKeys {
    /// It is our own token server's.
    Own,
    /// It was signed with a key that one of these vouches for.
    Other {
        issuer: String,
        certificates: Vec<Certificate>,
        /// The keys of a key set in a file.
        keys: JwkSet,
        /// Where a key set is fetched.
        url: Option<String>,
        /// The bundle's file and the key set's.
        paths: (Option<PathBuf>, Option<PathBuf>),
    },
}

impl RegistryAuth {
    /// Reads `auth` out of `registry`. Without it, and with a token server in the same file, that
    /// is whom to ask.
    pub(super) fn read(registry: &mut Section<'_>, own: bool) -> Option<Self> {
        if !registry.has("auth") {
            if own {
                return Some(Self::Token(vec![TokenIssuer::own(None)]));
            }
            let message = "registry.auth is missing: whom to let in; write token: {realm, service, issuer, rootcertbundle}, \
                           htpasswd: {realm, path}, or none: true to let everybody do everything";
            registry.context.error(registry.position, message);
            return None;
        }
        registry.section("auth", |auth| {
            let token = auth
                .setting("token")
                .map(|setting| read_tokens(&setting, own));
            let htpasswd = auth.section("htpasswd", |section| Some(read_htpasswd(section)));
            let none = auth
                .setting("none")
                .filter(|setting| setting.flag() == Some(true));
            if let Some(none) = &none {
                none.warn("whoever reaches this registry may pull, push and delete everything");
            }
            match (token, htpasswd, none) {
                (Some(token), None, None) => token.map(Self::Token),
                (None, Some(htpasswd), None) => htpasswd,
                (None, None, Some(_)) => Some(Self::Open),
                (None, None, None) => {
                    auth.context.error(
                        auth.position,
                        "registry.auth: there must be token, htpasswd, or none: true",
                    );
                    None
                }
                _ => {
                    let message = "registry.auth: only one of token, htpasswd and none can be";
                    auth.context.error(auth.position, message);
                    None
                }
            }
        })
    }
}

impl TokenIssuer {
    fn own(service: Option<String>) -> Self {
        Self {
            realm: None,
            service: service.unwrap_or_else(|| OWN_SERVICE.to_owned()),
            trust: IssuerKeys::Own,
        }
    }

    fn read(section: &mut Section<'_>, own: bool) -> Option<Self> {
        let is_own = own
            && !["issuer", "rootcertbundle", "jwks"]
                .iter()
                .any(|key| section.has(key));
        let realm = section.parse("realm", url);
        let service = section.parse("service", |text| {
            if text.is_empty() {
                Err("it is empty")
            } else {
                Ok(text.to_owned())
            }
        });
        if is_own {
            return Some(Self {
                realm,
                ..Self::own(service)
            });
        }
        section.require("realm", "the URL at which clients get a token");
        section.require("service", "what the tokens must be for");
        section.require("issuer", "who issues the tokens, as it stands in them");
        let issuer = section.text("issuer");
        let (bundle, jwks) = (section.path("rootcertbundle"), section.path("jwks"));
        let address = jwks
            .as_ref()
            .and_then(|jwks| jwks.path.to_str())
            .and_then(|text| url(text).ok());
        let jwks = jwks.filter(|_| address.is_none());
        if bundle.is_none() && jwks.is_none() && address.is_none() {
            let message = "registry.auth.token: there must be rootcertbundle (certificates in PEM) or jwks (a key set), or no token can be believed";
            section.context.error(section.position, message);
            return None;
        }
        let certificates = bundle.as_ref().map(read_bundle);
        let keys = jwks.as_ref().map(read_key_set);
        let path = |setting: Option<PathSetting<'_>>| setting.map(|setting| setting.path);
        let trust = IssuerKeys::Other {
            issuer: issuer?,
            certificates: certificates.unwrap_or_else(|| Some(Vec::new()))?,
            keys: keys.unwrap_or_else(|| Some(JwkSet::default()))?,
            url: address,
            paths: (path(bundle), path(jwks)),
        };
        Some(Self {
            realm: Some(realm?),
            service: service?,
            trust,
        })
    }
}

/// One issuer, or a list of them.
fn read_tokens(setting: &Setting<'_>, own: bool) -> Option<Vec<TokenIssuer>> {
    let items = if setting.is_sequence() {
        setting.items()?
    } else {
        vec![setting.clone()]
    };
    if items.is_empty() {
        setting.error("there must be an issuer in the list");
        return None;
    }
    // All of them are read before one can be missing, so all that is wrong is told.
    let issuers: Vec<_> = items
        .iter()
        .map(|item| item.section(|section| TokenIssuer::read(section, own)))
        .collect();
    issuers.into_iter().collect()
}

fn read_htpasswd(section: &mut Section<'_>) -> Option<RegistryAuth> {
    let realm = section
        .text("realm")
        .unwrap_or_else(|| "Registry Realm".to_owned());
    section.require("path", "the file with names and password hashes");
    let file = section.path("path")?;
    let file = read_distribution_htpasswd(file)?;
    Some(RegistryAuth::Htpasswd { realm, file })
}

fn read_bundle(file: &PathSetting<'_>) -> Option<Vec<Certificate>> {
    let pem = String::from_utf8_lossy(&file.read()?).into_owned();
    let bundle = Certificate::bundle_from_pem(&pem)
        .map_err(|error| format!("{}: {error}", file.path.display()));
    file.setting.checked(bundle)
}

fn read_key_set(file: &PathSetting<'_>) -> Option<JwkSet> {
    let keys = JwkSet::from_json(&String::from_utf8_lossy(&file.read()?))
        .map_err(|error| format!("{}: {error}", file.path.display()));
    file.setting.checked(keys)
}

fn url(text: &str) -> Result<String, &'static str> {
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
        Err("this must be a URL, as https://auth.example.com/token")
    }
}
