//! A platform that is trusted.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::Clock;
use identity::tls::ClientTls;
use openid::{
    ProviderClient, ProviderClientError, ProviderDiscovery, ProviderRequestError, SignatureProblem,
    verify_signature,
};
use token::{JwkSet, SignatureAlgorithm};

use crate::problem::TokenProblem;
use crate::received::ReceivedToken;
use crate::verification::check_claims;
use crate::{Preset, TrustRule};

/// What the configuration says of an issuer.
#[derive(Clone, Debug)]
pub struct IssuerSettings {
    /// What it is called here. Its accounts begin with this and a colon.
    pub name: String,
    /// The platform.
    pub preset: Preset,
    /// `iss`, exactly.
    pub issuer: String,
    /// The audiences that name this server. A token must have one of them.
    pub audiences: Vec<String>,
    /// The algorithms that it may sign with.
    pub algorithms: Vec<SignatureAlgorithm>,
    /// Where its keys come from.
    pub keys: IssuerKeySource,
    /// Which of its workloads may log in. The first that takes a token decides.
    pub rules: Vec<TrustRule>,
}

/// Where an issuer's keys come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssuerKeySource {
    /// From a file: the issuer cannot be reached.
    File(JwkSet),
    /// From the issuer.
    Fetched {
        /// The address of the keys; `None` if the issuer's document says it.
        address: Option<String>,
        /// Which servers are trusted.
        tls: ClientTls,
        /// A file with a bearer token that the issuer wants to see.
        bearer: Option<PathBuf>,
        /// How long a request may take.
        timeout: Duration,
    },
}

/// An issuer with its keys.
pub struct TrustedIssuer {
    settings: IssuerSettings,
    keys: IssuerKeys,
}

enum IssuerKeys {
    Fixed(JwkSet),
    Fetched(Box<ProviderDiscovery>),
}

/// Why a token has no answer or is refused.
#[derive(Debug)]
pub(crate) enum VerificationError {
    /// It is refused.
    Refused(TokenProblem),
    /// The issuer's keys cannot be had.
    NoKeys(ProviderRequestError),
}

impl TrustedIssuer {
    /// An issuer of these settings. Nothing is fetched yet.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(
        settings: IssuerSettings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ProviderClientError> {
        let keys = match &settings.keys {
            IssuerKeySource::File(keys) => IssuerKeys::Fixed(keys.clone()),
            IssuerKeySource::Fetched {
                address,
                tls,
                bearer,
                timeout,
            } => {
                let client = ProviderClient::with_tls(*timeout, tls)?.requiring_encryption();
                let mut discovery = ProviderDiscovery::new(&settings.issuer, client, clock);
                if let Some(address) = address {
                    discovery = discovery.with_keys_at(address.clone());
                }
                if let Some(file) = bearer {
                    discovery = discovery.authorized_by(file.clone());
                }
                IssuerKeys::Fetched(Box::new(discovery))
            }
        };
        Ok(Self { settings, keys })
    }

    /// Takes over the keys that the same issuer had under an earlier configuration, if they come from
    /// where they came from then. So a reload does not depend on whether the issuer can be reached.
    pub fn take_over_keys(&self, before: &[Arc<Self>]) {
        let same = before.iter().find(|before| {
            before.settings.issuer == self.settings.issuer
                && before.settings.keys == self.settings.keys
        });
        let before = same.map(|before| &before.keys);
        if let (IssuerKeys::Fetched(keys), Some(IssuerKeys::Fetched(before))) = (&self.keys, before)
        {
            keys.take_over(before);
        }
    }

    /// Its settings.
    #[must_use]
    pub fn settings(&self) -> &IssuerSettings {
        &self.settings
    }

    /// Whether `account` is, or would be, one of its workloads.
    pub(crate) fn owns(&self, account: &str) -> bool {
        let rest = account.strip_prefix(self.settings.name.as_str());
        rest.is_some_and(|rest| rest.starts_with(':'))
    }

    /// How many keys it has now. They are fetched if they were not.
    pub(crate) async fn count_keys(&self) -> Result<usize, ProviderRequestError> {
        Ok(match &self.keys {
            IssuerKeys::Fixed(keys) => keys.keys.len(),
            IssuerKeys::Fetched(discovery) => {
                discovery.algorithms().await?;
                discovery.keys(false).await?.keys.len()
            }
        })
    }

    /// Checks everything that does not depend on a rule, and returns when the token ends.
    pub(crate) async fn verify(
        &self,
        received: &ReceivedToken,
        now: SystemTime,
    ) -> Result<SystemTime, VerificationError> {
        let signed = match &self.keys {
            IssuerKeys::Fixed(keys) => self.check_signature(received, None, keys),
            IssuerKeys::Fetched(discovery) => self.check_with(discovery, received).await?,
        };
        signed.map_err(|problem| VerificationError::Refused(problem.into()))?;
        let IssuerSettings {
            issuer, audiences, ..
        } = &self.settings;
        check_claims(&received.claims, issuer, audiences, now).map_err(VerificationError::Refused)
    }

    async fn check_with(
        &self,
        discovery: &ProviderDiscovery,
        received: &ReceivedToken,
    ) -> Result<Result<(), SignatureProblem>, VerificationError> {
        let named = discovery.algorithms().await;
        let named = named.map_err(VerificationError::NoKeys)?;
        let keys = discovery.keys(false).await;
        let keys = keys.map_err(VerificationError::NoKeys)?;
        let signed = self.check_signature(received, named.as_deref(), &keys);
        if signed != Err(SignatureProblem::UnknownKey) {
            return Ok(signed);
        }
        // The issuer may have a new key.
        let keys = discovery.keys(true).await;
        let keys = keys.map_err(VerificationError::NoKeys)?;
        Ok(self.check_signature(received, named.as_deref(), &keys))
    }

    /// By an algorithm of the settings, which the issuer names, too, if it names any.
    fn check_signature(
        &self,
        received: &ReceivedToken,
        named: Option<&[SignatureAlgorithm]>,
        keys: &JwkSet,
    ) -> Result<(), SignatureProblem> {
        let is_named =
            |algorithm: &SignatureAlgorithm| named.is_none_or(|named| named.contains(algorithm));
        let allowed = self.settings.algorithms.iter().copied();
        let allowed: Vec<_> = allowed.filter(is_named).collect();
        verify_signature(&received.token, &allowed, keys)
    }
}
