//! Fetching a key set: bounded in size and time.

use std::sync::Arc;
use std::time::Duration;

use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use crate::failure::Failure;

/// More than any key set is long.
const LARGEST: u64 = 1024 * 1024;
const DEADLINE: Duration = Duration::from_secs(15);

/// The body of `address`; certificates are those that the system trusts.
pub(crate) fn get(address: &str) -> Result<String, Failure> {
    let answer = agent()
        .get(address)
        .header("Accept", "application/jwk-set+json, application/json")
        .call();
    let body = answer.and_then(|mut answer| {
        answer
            .body_mut()
            .with_config()
            .limit(LARGEST)
            .read_to_string()
    });
    body.map_err(|error| {
        let failure = Failure::system(format!("cannot fetch {address}")).caused_by(&error);
        match error {
            ureq::Error::StatusCode(_) => {
                failure.hint("token servers publish their keys at /.well-known/jwks.json")
            }
            error if is_about_trust(&error) => {
                failure.hint("SSL_CERT_FILE names a file with certificates to trust")
            }
            _ => failure,
        }
    })
}

/// Whether the server's certificate was refused: the handshake tells it as a failed read.
fn is_about_trust(error: &ureq::Error) -> bool {
    let ureq::Error::Io(error) = error else {
        return false;
    };
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(inner, Some(rustls::Error::InvalidCertificate(_)))
}

fn agent() -> Agent {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(provider);
    Agent::config_builder()
        .tls_config(tls.build())
        .timeout_global(Some(DEADLINE))
        .max_redirects(3)
        .user_agent(concat!("wharfinger/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}
