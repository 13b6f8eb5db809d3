//! Fetching a key set: bounded in size and time.

use std::time::Duration;

use client::{ErrorKind, Transport, TransportOptions};

use crate::failure::{Failure, FailureKind};

/// The longest key set, in bytes.
const LIMIT: usize = 1024 * 1024;
/// How long a server may take.
const DEADLINE: Duration = Duration::from_secs(15);

/// The key set at `url`. Certificates are those that the system trusts.
pub(crate) async fn key_set(url: &str) -> Result<String, Failure> {
    let transport = Transport::new(TransportOptions {
        patience: DEADLINE,
        ..TransportOptions::default()
    });
    let accept = "application/jwk-set+json, application/json";
    let fetched = tokio::time::timeout(DEADLINE, transport.document(url, accept, LIMIT)).await;
    let cannot = || Failure::new(FailureKind::System, format!("cannot fetch {url}"));
    match fetched {
        Ok(Ok(text)) => Ok(String::from_utf8_lossy(&text).into_owned()),
        Ok(Err(error)) => {
            let failure = cannot().caused_by(&error);
            Err(match error.kind() {
                ErrorKind::Unreachable if error.to_string().contains("certificate") => {
                    failure.hint("SSL_CERT_FILE names a file with certificates to trust")
                }
                ErrorKind::Unreachable | ErrorKind::Usage => failure,
                _ => failure.hint("token servers publish their keys at /.well-known/jwks.json"),
            })
        }
        Err(_) => {
            let seconds = DEADLINE.as_secs();
            Err(cannot().hint(format!("the server did not respond within {seconds} s")))
        }
    }
}
