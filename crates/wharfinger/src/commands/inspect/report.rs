//! What is known about a token, before it is printed.

use std::time::SystemTime;

use common::{rfc3339, unix_seconds};
use compatibility::{Prediction, RegistryVersion, TokenAuthSettings, predict};
use serde_json::{Map, Value, json};
use token::{Certificate, PublicKey, ReceivedClaims, SignatureAlgorithm, UnverifiedToken};

use crate::failure::Failure;

/// Everything about a token.
pub(super) struct Report {
    /// Header and claims as they were written.
    pub(super) header: Map<String, Value>,
    pub(super) claims: Map<String, Value>,
    /// The claims by type, when they have the types of a token's.
    pub(super) read: Option<ReceivedClaims>,
    /// The keys that the token itself carries.
    pub(super) carried: Vec<HeaderKey>,
    pub(super) signature: Signature,
    pub(super) verdicts: Vec<(RegistryVersion, Prediction)>,
    /// The time of the check, in seconds since 1970.
    pub(super) now: u64,
    /// Claims that differ from the command's options, in words.
    pub(super) mismatches: Vec<String>,
    /// The options without which something was not compared.
    pub(super) not_compared: Vec<&'static str>,
}

/// A key in a token's header.
pub(super) struct HeaderKey {
    /// `jwk`, or `x5c`.
    pub(super) member: &'static str,
    pub(super) key: Result<PublicKey, String>,
    pub(super) certificate: Option<Certificate>,
}

/// Whether a known key made the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Signature {
    /// A key that was given made it.
    Trusted { thumbprint: String },
    /// The key in the token itself made it, and that key is not one of those that were given.
    Carried { thumbprint: String },
    /// None of the known keys made it.
    Unknown,
    /// There was no key to verify it with.
    NotChecked,
}

impl Report {
    pub(super) fn new(
        text: &str,
        trust: TokenAuthSettings<'_>,
        registries: &[RegistryVersion],
        now: SystemTime,
    ) -> Result<Self, Failure> {
        let unreadable = |error: &dyn std::error::Error| {
            let failure = Failure::negative("this is not an access token").caused_by(error);
            failure.hint("a token has three parts between dots; refresh tokens and passwords are something else")
        };
        let token = UnverifiedToken::parse(text).map_err(|error| unreadable(&error))?;
        let carried = carried(&token);
        let trusts = !trust.bundle.is_empty() || trust.jwks.is_some();
        let verdicts = registries
            .iter()
            .map(|registry| (*registry, predict(*registry, text, trust, now)));
        Ok(Self {
            header: serde_json::from_str(token.header_json())
                .map_err(|error| unreadable(&error))?,
            claims: serde_json::from_str(token.claims_json())
                .map_err(|error| unreadable(&error))?,
            read: token.claims().ok(),
            signature: signature(&token, &carried, trust),
            carried,
            verdicts: if trusts {
                verdicts.collect()
            } else {
                Vec::new()
            },
            now: unix_seconds(now),
            mismatches: mismatches(&token, trust),
            not_compared: not_compared(trust, trusts),
        })
    }

    /// Whether registries were asked and none accepts.
    pub(super) fn is_refused_by_all(&self) -> bool {
        !self.verdicts.is_empty()
            && self
                .verdicts
                .iter()
                .all(|(_, verdict)| *verdict != Prediction::Accepted)
    }

    pub(super) fn to_json(&self) -> Value {
        let times = ["exp", "nbf", "iat"].into_iter().filter_map(|name| {
            let seconds = self.claims.get(name)?.as_u64()?;
            let from_now = i128::from(seconds) - i128::from(self.now);
            Some((
                name.to_owned(),
                json!({"at": rfc3339(seconds), "seconds_from_now": i64::try_from(from_now).ok()}),
            ))
        });
        json!({
            "header": self.header,
            "claims": self.claims,
            "times": times.collect::<Map<_, _>>(),
            "keys": self.carried.iter().map(HeaderKey::to_json).collect::<Vec<_>>(),
            "signature": self.signature.to_json(),
            "registries": self.verdicts.iter().map(verdict_json).collect::<Vec<_>>(),
            "mismatches": self.mismatches,
            "not_compared": self.not_compared,
        })
    }
}

impl HeaderKey {
    fn to_json(&self) -> Value {
        let certificate = self.certificate.as_ref().map(|certificate| {
            json!({
                "subject": certificate.subject(),
                "not_before": rfc3339(unix_seconds(certificate.not_before())),
                "not_after": rfc3339(unix_seconds(certificate.not_after())),
            })
        });
        match &self.key {
            Ok(key) => {
                let ids = key.ids();
                json!({
                    "member": self.member,
                    "kind": key.kind().to_string(),
                    "libtrust": ids.libtrust,
                    "thumbprint": ids.thumbprint,
                    "registry_3_0": ids.registry_3_0,
                    "registry_3_1": ids.registry_3_1,
                    "certificate": certificate,
                })
            }
            Err(error) => {
                json!({"member": self.member, "error": error, "certificate": certificate})
            }
        }
    }
}

impl Signature {
    fn to_json(&self) -> Value {
        match self {
            Self::Trusted { thumbprint } => {
                json!({"valid": true, "trusted": true, "thumbprint": thumbprint})
            }
            Self::Carried { thumbprint } => {
                json!({"valid": true, "trusted": false, "thumbprint": thumbprint})
            }
            Self::Unknown => json!({"valid": false}),
            Self::NotChecked => Value::Null,
        }
    }
}

fn verdict_json((registry, verdict): &(RegistryVersion, Prediction)) -> Value {
    let (word, refusal, why) = match verdict {
        Prediction::Accepted => ("accepted", None, None),
        Prediction::Rejected(refusal) => ("refused", Some(refusal), None),
        Prediction::DoesNotStart(refusal) => ("does not start", Some(refusal), None),
        Prediction::NotApplicable => ("not applicable", None, None),
        Prediction::Undecided(why) => ("undecided", None, Some(why)),
    };
    json!({
        "registry": registry.to_string(),
        "verdict": word,
        "logged": refusal.map(|refusal| &refusal.logged),
        "advice": refusal.and_then(|refusal| refusal.advice.as_ref()).or(why),
    })
}

fn carried(token: &UnverifiedToken) -> Vec<HeaderKey> {
    let mut carried = Vec::new();
    if let Some(jwk) = token.header().jwk() {
        let key = jwk.map(|jwk| jwk.key).map_err(|error| error.to_string());
        carried.push(HeaderKey {
            member: "jwk",
            key,
            certificate: None,
        });
    }
    match token.header().chain() {
        Ok(chain) => carried.extend(chain.into_iter().map(|certificate| {
            HeaderKey {
                member: "x5c",
                key: certificate
                    .public_key()
                    .cloned()
                    .map_err(|error| error.to_string()),
                certificate: Some(certificate),
            }
        })),
        Err(error) => carried.push(HeaderKey {
            member: "x5c",
            key: Err(error.to_string()),
            certificate: None,
        }),
    }
    carried
}

fn signature(
    token: &UnverifiedToken,
    carried: &[HeaderKey],
    trust: TokenAuthSettings<'_>,
) -> Signature {
    let in_bundle = trust
        .bundle
        .iter()
        .filter_map(|certificate| certificate.public_key().ok());
    let in_set = trust
        .jwks
        .iter()
        .flat_map(|set| set.keys.iter().map(|jwk| &jwk.key));
    let trusted: Vec<&PublicKey> = in_bundle.chain(in_set).collect();
    let carried: Vec<&PublicKey> = carried
        .iter()
        .filter_map(|carried| carried.key.as_ref().ok())
        .collect();
    let Ok(algorithm) = token.header().algorithm.parse::<SignatureAlgorithm>() else {
        return Signature::Unknown;
    };
    let made_it = |key: &&&PublicKey| {
        key.verify(algorithm, token.signing_input(), token.signature())
            .is_ok()
    };
    if let Some(key) = trusted.iter().find(made_it) {
        Signature::Trusted {
            thumbprint: key.thumbprint(),
        }
    } else if let Some(key) = carried.iter().find(made_it) {
        Signature::Carried {
            thumbprint: key.thumbprint(),
        }
    } else if trusted.is_empty() && carried.is_empty() {
        Signature::NotChecked
    } else {
        Signature::Unknown
    }
}

/// How the token's issuer and audience differ from those that were given.
fn mismatches(token: &UnverifiedToken, trust: TokenAuthSettings<'_>) -> Vec<String> {
    let claims = token.claims().ok();
    let issuer = claims.as_ref().map(|claims| claims.issuer.as_str());
    let mut mismatches = Vec::new();
    if let Some(expected) = trust.issuer
        && issuer != Some(expected)
    {
        mismatches.push(format!(
            "issuer: the token has {:?}, and {expected:?} is expected",
            issuer.unwrap_or_default()
        ));
    }
    if let Some(expected) = trust.service
        && let Some(claims) = &claims
        && !claims.audience.iter().any(|audience| audience == expected)
    {
        mismatches.push(format!(
            "service: the token is for {}, and {expected:?} is expected",
            claims
                .audience
                .iter()
                .map(|audience| format!("{audience:?}"))
                .collect::<Vec<_>>()
                .join(", ")
        ));
    }
    mismatches
}

fn not_compared(trust: TokenAuthSettings<'_>, trusts: bool) -> Vec<&'static str> {
    let options = [("--issuer", trust.issuer), ("--service", trust.service)];
    let missing = options
        .into_iter()
        .filter(|(_, value)| trusts && value.is_none());
    missing.map(|(option, _)| option).collect()
}
