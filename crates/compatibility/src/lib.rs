//! What the registries 2.8, 3.0 and 3.1 will answer to a token, and why.
//!
//! When a registry refuses a token its user sees "unauthorized", and its log one line that few can
//! read. A [`Prediction`] is that answer in advance: accepted, or the line that the registry logs and
//! what to change. The rules are those of the programs themselves, version by version, not of a
//! specification; the tests run the programs.

mod advice;
mod go;
mod registry2;
mod registry3;

use std::fmt;
use std::time::SystemTime;

use common::unix_seconds;
use token::{Certificate, JwkSet, PublicKey};

/// The registries whose answers differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RegistryVersion {
    /// Distribution 2.8, the image `registry:2`.
    V2_8,
    /// Distribution 3.0.
    V3_0,
    /// Distribution 3.1.
    V3_1,
}

impl RegistryVersion {
    /// All of them, oldest first.
    pub const ALL: [Self; 3] = [Self::V2_8, Self::V3_0, Self::V3_1];

    /// The id under which it knows a key of its bundle; `None` if it knows it under none.
    fn bundle_id(self, key: &PublicKey) -> Option<String> {
        let ids = key.ids();
        match self {
            Self::V2_8 => Some(ids.libtrust),
            Self::V3_0 => ids.registry_3_0,
            Self::V3_1 => Some(ids.registry_3_1),
        }
    }
}

impl fmt::Display for RegistryVersion {
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
pub struct TokenAuthSettings<'a> {
    /// The certificates of `rootcertbundle`; empty if it is not configured.
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
pub enum Prediction {
    /// It serves the bearer whatever the token grants.
    Accepted,
    /// It answers 401.
    Rejected(PredictedRejection),
    /// It does not even start with such keys.
    DoesNotStart(PredictedRejection),
    /// It cannot be set up this way at all: registry 2.8 reads no JWKS.
    NotApplicable,
    /// A key is of a kind that this program cannot compute with, though the registry may: an RSA
    /// key of 1024 bits.
    Undecided(String),
}

/// A rejection, as the registry's operator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PredictedRejection {
    /// What the registry logs; `…` stands for what changes from one time to the next.
    pub logged: String,
    /// What to change, if that is known.
    pub advice: Option<String>,
}

impl PredictedRejection {
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

/// What `registry`, set up like `settings`, answers to `token` at `now`.
#[must_use]
pub fn predict(
    registry: RegistryVersion,
    token: &str,
    settings: TokenAuthSettings<'_>,
    now: SystemTime,
) -> Prediction {
    let case = Case {
        registry,
        token,
        settings,
        now,
    };
    let outcome = match registry {
        RegistryVersion::V2_8 => registry2::check(case),
        RegistryVersion::V3_0 | RegistryVersion::V3_1 => registry3::check(case),
    };
    outcome.err().unwrap_or(Prediction::Accepted)
}

/// What there is to decide.
#[derive(Clone, Copy)]
struct Case<'a> {
    registry: RegistryVersion,
    token: &'a str,
    settings: TokenAuthSettings<'a>,
    now: SystemTime,
}

impl From<PredictedRejection> for Prediction {
    fn from(rejection: PredictedRejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl Case<'_> {
    /// Issuer, service and times, which both check alike.
    fn check_claims(&self, claims: &go::GoClaims) -> Result<(), PredictedRejection> {
        if let Some(issuer) = self
            .settings
            .issuer
            .filter(|issuer| *issuer != claims.issuer)
        {
            let logged = format!("token from untrusted issuer: {:?}", claims.issuer);
            return Err(
                PredictedRejection::new(logged).advising(advice::issuer(issuer, &claims.issuer))
            );
        }
        if let Some(service) = self
            .settings
            .service
            .filter(|service| !claims.audience.iter().any(|a| a == service))
        {
            let audience = match self.registry {
                RegistryVersion::V2_8 => {
                    format!("{:?}", claims.audience.first().map_or("", String::as_str))
                }
                RegistryVersion::V3_0 | RegistryVersion::V3_1 => {
                    format!("[{}]", claims.audience.join(" "))
                }
            };
            let logged = format!("token intended for another audience: {audience}");
            return Err(PredictedRejection::new(logged)
                .advising(advice::service(service, &claims.audience)));
        }
        self.check_times(claims)
    }

    fn check_times(&self, claims: &go::GoClaims) -> Result<(), PredictedRejection> {
        let leeway = token::LEEWAY.as_secs();
        let now = unix_seconds(self.now);
        let end = claims.expires_at.saturating_add(leeway);
        if now > end {
            let logged = format!(
                "token not to be used after {} - currently …",
                common::go_date(end)
            );
            return Err(
                PredictedRejection::new(logged).advising(advice::expired(now - claims.expires_at))
            );
        }
        let begin = claims.not_before.saturating_sub(leeway);
        if now < begin {
            let logged = format!(
                "token not to be used before {} - currently …",
                common::go_date(begin)
            );
            return Err(
                PredictedRejection::new(logged).advising(advice::not_yet(claims.not_before - now))
            );
        }
        Ok(())
    }
}
