//! What a registry will answer to a token, and why.
//!
//! When a registry refuses a token its user sees "unauthorized", and its log one line that few can
//! read. A [`Verdict`] is that answer foretold: accepted, or the line that the registry logs and
//! what to change. The rules are those of the programs themselves, version by version, not of a
//! specification; the tests ask the programs.

mod advice;
mod go;
mod registry2;
mod registry3;

use std::fmt;
use std::time::SystemTime;

use crate::{Certificate, JwkSet, unix_seconds};

/// The registries whose answers differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Registry {
    /// Distribution 2.8, the image `registry:2`.
    V2_8,
    /// Distribution 3.0.
    V3_0,
    /// Distribution 3.1.
    V3_1,
}

impl Registry {
    /// All of them, oldest first.
    pub const ALL: [Self; 3] = [Self::V2_8, Self::V3_0, Self::V3_1];
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V2_8 => "2.8",
            Self::V3_0 => "3.0",
            Self::V3_1 => "3.1",
        })
    }
}

/// How a registry's `auth.token` is set up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trust<'a> {
    /// The certificates of `rootcertbundle`; empty when there is none.
    pub bundle: &'a [Certificate],
    /// The keys of `jwks`.
    pub jwks: Option<&'a JwkSet>,
    /// `issuer`; not compared when it is not known.
    pub issuer: Option<&'a str>,
    /// `service`; not compared when it is not known.
    pub service: Option<&'a str>,
}

/// What a registry makes of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It serves the bearer whatever the token grants.
    Accepted,
    /// It answers 401.
    Refused(Refusal),
    /// It does not even start with such keys.
    DoesNotStart(Refusal),
    /// It cannot be set up this way at all: registry 2.8 reads no JWKS.
    NotApplicable,
    /// A key is of a kind that this program cannot compute with, though the registry may: an RSA
    /// key of 1024 bits.
    Undecided(String),
}

/// A refusal, as the registry's operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What the registry logs; `…` stands for what changes from one time to the next.
    pub logged: String,
    /// What to change, where that is known.
    pub advice: Option<String>,
}

impl Refusal {
    fn new(logged: impl Into<String>) -> Self {
        Self {
            logged: logged.into(),
            advice: None,
        }
    }

    fn advising(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }
}

/// What `registry`, set up like `trust`, answers to `token` at `now`.
#[must_use]
pub fn verdict(registry: Registry, token: &str, trust: Trust<'_>, now: SystemTime) -> Verdict {
    let case = Case {
        registry,
        token,
        trust,
        now,
    };
    let outcome = match registry {
        Registry::V2_8 => registry2::check(case),
        Registry::V3_0 | Registry::V3_1 => registry3::check(case),
    };
    outcome.err().unwrap_or(Verdict::Accepted)
}

/// What there is to decide.
#[derive(Clone, Copy)]
struct Case<'a> {
    registry: Registry,
    token: &'a str,
    trust: Trust<'a>,
    now: SystemTime,
}

impl From<Refusal> for Verdict {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Case<'_> {
    /// Issuer, service and times, which both check alike.
    fn check_claims(&self, claims: &go::Claims) -> Result<(), Refusal> {
        if let Some(issuer) = self.trust.issuer.filter(|issuer| *issuer != claims.issuer) {
            let logged = format!("token from untrusted issuer: {:?}", claims.issuer);
            return Err(Refusal::new(logged).advising(advice::issuer(issuer, &claims.issuer)));
        }
        if let Some(service) = self
            .trust
            .service
            .filter(|service| !claims.audience.iter().any(|a| a == service))
        {
            let audience = match self.registry {
                Registry::V2_8 => {
                    format!("{:?}", claims.audience.first().map_or("", String::as_str))
                }
                Registry::V3_0 | Registry::V3_1 => format!("[{}]", claims.audience.join(" ")),
            };
            let logged = format!("token intended for another audience: {audience}");
            return Err(Refusal::new(logged).advising(advice::service(service, &claims.audience)));
        }
        self.check_times(claims)
    }

    fn check_times(&self, claims: &go::Claims) -> Result<(), Refusal> {
        let leeway = crate::LEEWAY.as_secs();
        let now = unix_seconds(self.now);
        let end = claims.expires_at.saturating_add(leeway);
        if now > end {
            let logged = format!(
                "token not to be used after {} - currently …",
                crate::civil::go(end)
            );
            return Err(Refusal::new(logged).advising(advice::expired(now - claims.expires_at)));
        }
        let begin = claims.not_before.saturating_sub(leeway);
        if now < begin {
            let logged = format!(
                "token not to be used before {} - currently …",
                crate::civil::go(begin)
            );
            return Err(Refusal::new(logged).advising(advice::not_yet(claims.not_before - now)));
        }
        Ok(())
    }
}
