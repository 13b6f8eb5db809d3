//! The key that signed the token, against the keys that the registry was given.

use std::time::{Duration, UNIX_EPOCH};

use ::token::{PublicKey, UnverifiedToken};
use compatibility::{PredictedRejection, Prediction, RegistryVersion, TokenAuthSettings, predict};

use super::{ProbeRun, ProbeVerdict};

const ID: &str = "token-key";

/// Whether registries would accept the key, according to the given files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum KeyVerdict {
    /// No files were given.
    #[default]
    Unknown,
    /// All versions accept it.
    All,
    /// Some versions accept it.
    Some {
        accepted_by: String,
        rejected_by: String,
        /// What to change for the others.
        advice: String,
    },
    /// No version accepts it.
    None,
}

impl ProbeRun<'_> {
    /// `token-key`.
    pub(super) fn key(&mut self, text: &str, token: &UnverifiedToken) {
        let named = named(token);
        let settings = &self.target.settings;
        if settings.bundle.is_empty() && settings.jwks.is_none() {
            let why = format!(
                "the token names its key by {named}; --rootcertbundle FILE or --jwks FILE compares it \
                 with the registry's keys"
            );
            return self.not_tested(ID, why);
        }
        // Issuer, service and times are another probe's.
        let trust = TokenAuthSettings {
            bundle: &settings.bundle,
            jwks: settings.jwks.as_ref(),
            issuer: None,
            service: None,
        };
        let now = token
            .claims()
            .map_or(0, |claims| claims.issued_at.max(claims.not_before));
        let now = UNIX_EPOCH + Duration::from_secs(now);
        let (mut accepting, mut rejecting) = (Vec::new(), Vec::new());
        for version in RegistryVersion::ALL {
            match predict(version, text, trust, now) {
                Prediction::Accepted => accepting.push(version),
                Prediction::Rejected(rejection) | Prediction::DoesNotStart(rejection) => {
                    rejecting.push((version, rejection));
                }
                Prediction::NotApplicable | Prediction::Undecided(_) => {}
            }
        }
        let keys = format!("the token names its key by {named}; {}", self.known_keys());
        let advice = advised(&rejecting);
        if rejecting.is_empty() {
            self.key_verdict = KeyVerdict::All;
            return self.ok(ID, keys);
        }
        if accepting.is_empty() {
            self.key_verdict = KeyVerdict::None;
            let remedy = advice.unwrap_or_else(|| {
                "put the token server's certificate into rootcertbundle, or its keys into jwks, and \
                 restart the registry"
                    .to_owned()
            });
            return self.fail(ID, format!("{}; {keys}", logged(&rejecting)), remedy);
        }
        let accepted_by = versions(&accepting);
        let rejected_by: Vec<_> = rejecting.iter().map(|(version, _)| *version).collect();
        let rejected_by = versions(&rejected_by);
        let evidence = format!(
            "accepted by registry {accepted_by}, rejected by {rejected_by} ({}); {keys}",
            logged(&rejecting)
        );
        let advice = advice.unwrap_or_default();
        let remedy = format!("for registry {rejected_by}: {advice}");
        self.found(ID, ProbeVerdict::Ok, evidence, Some(remedy));
        self.key_verdict = KeyVerdict::Some {
            accepted_by,
            rejected_by,
            advice,
        };
    }

    /// The registry's response to the token tells which version it is, and whether it has these
    /// keys.
    pub(super) fn reconsider_key(&mut self, accepted: bool) {
        let (verdict, remark, remedy) = match (&self.key_verdict, accepted) {
            (
                KeyVerdict::Some {
                    accepted_by,
                    rejected_by,
                    advice,
                },
                false,
            ) => (
                ProbeVerdict::Failure,
                format!(
                    "this registry rejects the token like version {rejected_by}; version \
                     {accepted_by} would accept it"
                ),
                advice.clone(),
            ),
            (KeyVerdict::None, true) => (
                ProbeVerdict::Warning,
                "the registry accepts the token, though it should not according to the given file: it \
                 has other keys, or it is another program"
                    .to_owned(),
                "restart the registry with this file, and run the doctor again".to_owned(),
            ),
            _ => return,
        };
        if let Some(result) = self.results.iter_mut().find(|result| result.id == ID) {
            result.verdict = verdict;
            result.evidence = format!("{remark}: {}", result.evidence);
            result.remedy = Some(remedy);
        }
    }

    /// Each key of bundle and JWKS, with all its ids.
    fn known_keys(&self) -> String {
        let settings = &self.target.settings;
        let of_bundle = settings
            .bundle
            .iter()
            .filter_map(|certificate| certificate.public_key().ok());
        let of_bundle = of_bundle.map(|key| format!("the bundle has {}", ids(key)));
        let of_jwks = settings
            .jwks
            .iter()
            .flat_map(|set| &set.keys)
            .map(|key| match &key.key_id {
                Some(id) => format!("the JWKS has {id}"),
                None => format!("the JWKS has {} without a kid", key.key.thumbprint()),
            });
        let known: Vec<_> = of_bundle.chain(of_jwks).collect();
        if known.is_empty() {
            "the files hold no key that the doctor can read".to_owned()
        } else {
            known.join(", ")
        }
    }
}

/// How the header names its key, and the ids of that key.
fn named(token: &UnverifiedToken) -> String {
    let header = token.header();
    match (&header.x5c, &header.jwk, &header.key_id) {
        (Some(chain), ..) => {
            let certificates = token.header().chain().unwrap_or_default();
            let leaf = certificates.first();
            let of = leaf.and_then(|leaf| {
                Some(format!(
                    ": {:?}, {}",
                    leaf.subject(),
                    ids(leaf.public_key().ok()?)
                ))
            });
            format!(
                "x5c of {} certificates{}",
                chain.len(),
                of.unwrap_or_default()
            )
        }
        (None, Some(_), _) => match header.jwk() {
            Some(Ok(jwk)) => format!("jwk: {}", ids(&jwk.key)),
            _ => "a jwk that cannot be read".to_owned(),
        },
        (None, None, Some(kid)) => format!("kid {kid}"),
        (None, None, None) => "no header member".to_owned(),
    }
}

fn ids(key: &PublicKey) -> String {
    let ids = key.ids();
    let known = format!(
        "{} (libtrust), {} (thumbprint)",
        ids.libtrust, ids.thumbprint
    );
    if ids.thumbprint == ids.registry_3_1 {
        known
    } else {
        format!("{known}, {} (to registry 3.1)", ids.registry_3_1)
    }
}

/// What each registry logs.
fn logged(refuses: &[(RegistryVersion, PredictedRejection)]) -> String {
    let groups = grouped(
        refuses
            .iter()
            .map(|(registry, refusal)| (*registry, refusal.logged.as_str())),
    );
    let verb = |registries: &[RegistryVersion]| if registries.len() == 1 { "logs" } else { "log" };
    let said = groups
        .iter()
        .map(|(text, all)| format!("registry {} {}: {text}", versions(all), verb(all)));
    said.collect::<Vec<_>>().join("; ")
}

/// What to change for each registry; `None` if that is not known.
fn advised(refuses: &[(RegistryVersion, PredictedRejection)]) -> Option<String> {
    let advice = refuses
        .iter()
        .filter_map(|(registry, refusal)| Some((*registry, refusal.advice.as_deref()?)));
    match &grouped(advice)[..] {
        [] => None,
        [(text, _)] => Some((*text).to_owned()),
        groups => {
            let each = groups
                .iter()
                .map(|(text, registries)| format!("for registry {}: {text}", versions(registries)));
            Some(each.collect::<Vec<_>>().join("; "))
        }
    }
}

/// Groups the registries with the same text.
fn grouped<'a>(
    said: impl Iterator<Item = (RegistryVersion, &'a str)>,
) -> Vec<(&'a str, Vec<RegistryVersion>)> {
    let mut groups: Vec<(&str, Vec<RegistryVersion>)> = Vec::new();
    for (registry, text) in said {
        match groups.iter_mut().find(|(known, _)| *known == text) {
            Some((_, registries)) => registries.push(registry),
            None => groups.push((text, vec![registry])),
        }
    }
    groups
}

/// `2.8 and 3.1`
fn versions(registries: &[RegistryVersion]) -> String {
    registries
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(" and ")
}
