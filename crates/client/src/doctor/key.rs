//! The key that signed the token, against the keys that the registry was given.

use std::time::{Duration, UNIX_EPOCH};

use ::token::{PublicKey, UnverifiedToken};
use compatibility::{PredictedRejection, Prediction, RegistryVersion, TokenAuthSettings, predict};

use super::{ProbeRun, ProbeVerdict};

const ID: &str = "token-key";

/// What registries would make of the key, going by the files that were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum KeyVerdict {
    /// No files were given.
    #[default]
    Unknown,
    /// All that can be set up so believe it.
    All,
    /// Some versions do. What those need that do not.
    Some(String),
    /// None does.
    None,
}

impl ProbeRun<'_> {
    /// `token-key`.
    pub(super) fn key(&mut self, text: &str, token: &UnverifiedToken) {
        let named = named(token);
        let sides = &self.patient.sides;
        if sides.bundle.is_empty() && sides.jwks.is_none() {
            let why = format!(
                "the token names its key by {named}; --rootcertbundle FILE or --jwks FILE compares it"
            );
            return self.not_tested(ID, why);
        }
        // Issuer, service and times are another probe's.
        let trust = TokenAuthSettings {
            bundle: &sides.bundle,
            jwks: sides.jwks.as_ref(),
            issuer: None,
            service: None,
        };
        let now = token
            .claims()
            .map_or(0, |claims| claims.issued_at.max(claims.not_before));
        let now = UNIX_EPOCH + Duration::from_secs(now);
        let foretold =
            RegistryVersion::ALL.map(|registry| (registry, predict(registry, text, trust, now)));
        let accepts: Vec<_> = foretold
            .iter()
            .filter(|(_, v)| *v == Prediction::Accepted)
            .map(|(r, _)| *r)
            .collect();
        let refuses: Vec<_> = foretold
            .iter()
            .filter_map(|(registry, verdict)| match verdict {
                Prediction::Rejected(refusal) | Prediction::DoesNotStart(refusal) => {
                    Some((*registry, refusal.clone()))
                }
                Prediction::Accepted | Prediction::NotApplicable | Prediction::Undecided(_) => None,
            })
            .collect();
        let both = format!("the token names its key by {named}; {}", self.known_keys());
        let advice = advised(&refuses);
        match (accepts.as_slice(), refuses.as_slice()) {
            (_, []) => {
                self.belief = KeyVerdict::All;
                self.ok(ID, both);
            }
            ([], refuses) => {
                self.belief = KeyVerdict::None;
                let remedy = advice.unwrap_or_else(|| {
                    "put the token server's certificate into rootcertbundle (or its keys into jwks) and restart the \
                     registry"
                        .to_owned()
                });
                self.fail(ID, format!("{}; {both}", logged(refuses)), remedy);
            }
            (accepts, refuses) => {
                let which: Vec<_> = refuses.iter().map(|(registry, _)| *registry).collect();
                let evidence = format!(
                    "believed by registry {}, not by {} ({}); {both}",
                    versions(accepts),
                    versions(&which),
                    logged(refuses)
                );
                let advice = advice.unwrap_or_default();
                self.found(
                    ID,
                    ProbeVerdict::Ok,
                    evidence,
                    Some(format!("for those that do not: {advice}")),
                );
                self.belief = KeyVerdict::Some(advice);
            }
        }
    }

    /// What the registry itself made of the token says which of its versions it is, and whether it
    /// has these keys at all.
    pub(super) fn reconsider_key(&mut self, accepted: bool) {
        let (verdict, remark, remedy) = match (&self.belief, accepted) {
            (KeyVerdict::Some(advice), false) => (
                ProbeVerdict::Failure,
                "this registry refuses the token, so it is of the latter",
                advice.clone(),
            ),
            (KeyVerdict::None, true) => (
                ProbeVerdict::Warning,
                "yet this registry accepts it: it has other keys than the file, or asks less of them",
                "restart the registry to see whether it still does with this file".to_owned(),
            ),
            _ => return,
        };
        if let Some(finding) = self.findings.iter_mut().find(|finding| finding.id == ID) {
            finding.verdict = verdict;
            finding.evidence = format!("{remark}: {}", finding.evidence);
            finding.remedy = Some(remedy);
        }
    }

    /// Each key of bundle and JWKS by every name it has.
    fn known_keys(&self) -> String {
        let sides = &self.patient.sides;
        let of_bundle = sides
            .bundle
            .iter()
            .filter_map(|certificate| certificate.public_key().ok());
        let of_bundle = of_bundle.map(|key| format!("the bundle has {}", ids(key)));
        let of_jwks = sides
            .jwks
            .iter()
            .flat_map(|set| &set.keys)
            .map(|key| match &key.key_id {
                Some(id) => format!("the JWKS has {id}"),
                None => format!("the JWKS has {} without a name", key.key.thumbprint()),
            });
        let known: Vec<_> = of_bundle.chain(of_jwks).collect();
        if known.is_empty() {
            "the files hold no key of a kind that is read here".to_owned()
        } else {
            known.join(", ")
        }
    }
}

/// By what the header leads to its key, and by which names that key is known.
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
        (None, None, None) => "nothing".to_owned(),
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

/// What each registry writes to its log.
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

/// What to change for each registry; none where that is not known.
fn advised(refuses: &[(RegistryVersion, PredictedRejection)]) -> Option<String> {
    let advice = refuses
        .iter()
        .filter_map(|(registry, refusal)| Some((*registry, refusal.advice.as_deref()?)));
    match &grouped(advice)[..] {
        [] => None,
        [(text, _)] => Some((*text).to_owned()),
        groups => {
            let each = groups.iter().map(|(text, registries)| {
                format!("with registry {}: {text}", versions(registries))
            });
            Some(each.collect::<Vec<_>>().join("; "))
        }
    }
}

/// Those of whom the same is said, together.
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
