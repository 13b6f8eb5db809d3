//! One order: from the names to the certificate (RFC 8555 §7.4).

use std::time::Duration;

use instant_acme::{
    Account, AuthorizationStatus, ChallengeType, Error as ProtocolError, Identifier, NewOrder,
    Order, OrderStatus, Problem, RetryPolicy,
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

use crate::{
    AcmeError, AcmeLease, CertificateHost, ChallengeKind, HostCertificate, ServerCertificates, pem,
};

/// How long the ACME server may take to verify the host, and then to issue the certificate.
const PATIENCE: Duration = Duration::from_secs(180);

/// A certificate that was issued, in the form of the store.
pub(crate) struct IssuedCertificate {
    pub(crate) certificate: HostCertificate,
    pub(crate) pem: String,
}

/// An order for one host.
pub(crate) struct HostOrder<'a> {
    pub(crate) account: &'a Account,
    pub(crate) directory: &'a str,
    pub(crate) host: &'a CertificateHost,
    pub(crate) challenge: ChallengeKind,
    pub(crate) certificates: &'a ServerCertificates,
    pub(crate) lease: &'a dyn AcmeLease,
}

impl HostOrder<'_> {
    /// Orders a certificate with a new key.
    pub(crate) async fn place(&self) -> Result<IssuedCertificate, AcmeError> {
        let identifiers = [Identifier::Dns(self.host.as_str().to_owned())];
        let order = self.account.new_order(&NewOrder::new(&identifiers)).await;
        let mut order = order.map_err(failed("create an order"))?;
        if order.state().status == OrderStatus::Pending {
            self.answer_challenges(&mut order).await?;
            self.wait_until_ready(&mut order).await?;
        }
        let key = KeyPair::generate().map_err(AcmeError::CertificateRequest)?;
        let request = request(self.host, &key).map_err(AcmeError::CertificateRequest)?;
        let finalized = order.finalize_csr(&request).await;
        finalized.map_err(failed("send the request for the certificate"))?;
        let chain = order.poll_certificate(&polling()).await;
        let chain = chain.map_err(failed("get the certificate"))?;
        let pem = pem::certificate_file(self.directory, &key.serialize_pem(), &chain);
        let certificate = HostCertificate::from_pem(self.host, pem.as_bytes());
        let certificate = certificate.map_err(AcmeError::Issued)?;
        Ok(IssuedCertificate { certificate, pem })
    }

    async fn answer_challenges(&self, order: &mut Order) -> Result<(), AcmeError> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.map_err(failed("read what is to be verified"))?;
            // One of an earlier order may count for this one, too.
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let Some(mut challenge) = authorization.challenge(kind(self.challenge)) else {
                return Err(AcmeError::NotOffered {
                    host: self.host.clone(),
                    kind: self.challenge,
                });
            };
            let answer = challenge.key_authorization();
            let published = self.certificates.publish(
                self.lease,
                self.challenge,
                self.host,
                &challenge.token,
                answer.as_str(),
            );
            published.await?;
            let ready = challenge.set_ready().await;
            ready.map_err(failed(
                "tell the ACME server that its challenge is answered",
            ))?;
        }
        Ok(())
    }

    async fn wait_until_ready(&self, order: &mut Order) -> Result<(), AcmeError> {
        let problem = match order.poll_ready(&polling()).await {
            Ok(OrderStatus::Ready) => return Ok(()),
            Ok(_) => None,
            Err(ProtocolError::Api(problem)) => Some(problem),
            Err(source) => return Err(failed("wait for the verification")(source)),
        };
        // The order only says that it failed. Why, is at the challenge.
        match self.problem_of_challenge(order).await.or(problem) {
            Some(problem) => Err(AcmeError::Challenge {
                host: self.host.clone(),
                kind: self.challenge,
                problem,
            }),
            None => Err(AcmeError::OrderEnded),
        }
    }

    async fn problem_of_challenge(&self, order: &mut Order) -> Option<Problem> {
        let mut authorizations = order.authorizations();
        while let Some(authorization) = authorizations.next().await {
            let mut authorization = authorization.ok()?;
            let state = authorization.refresh().await.ok()?;
            let mut challenges = state.challenges.iter();
            if let Some(problem) = challenges.find_map(|challenge| challenge.error.clone()) {
                return Some(problem);
            }
        }
        None
    }
}

fn kind(challenge: ChallengeKind) -> ChallengeType {
    match challenge {
        ChallengeKind::Http01 => ChallengeType::Http01,
        ChallengeKind::TlsAlpn01 => ChallengeType::TlsAlpn01,
    }
}

/// How often the state of an order is asked for, unless the ACME server says when.
fn polling() -> RetryPolicy {
    RetryPolicy::new()
        .initial_delay(Duration::from_millis(500))
        .backoff(1.5)
        .timeout(PATIENCE)
}

/// A certificate signing request for the host alone. The subject is empty, because the name is among
/// the alternative ones (RFC 5280 §4.2.1.6).
fn request(host: &CertificateHost, key: &KeyPair) -> Result<Vec<u8>, rcgen::Error> {
    let mut parameters = CertificateParams::new(vec![host.as_str().to_owned()])?;
    parameters.distinguished_name = DistinguishedName::new();
    Ok(parameters.serialize_request(key)?.der().to_vec())
}

fn failed(step: &'static str) -> impl FnOnce(ProtocolError) -> AcmeError {
    move |source| AcmeError::Exchange { step, source }
}
