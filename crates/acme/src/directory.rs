//! Whether an ACME server can be asked, found out without an account or an order.

use std::sync::Arc;

use bytes::Bytes;
use common::Clock;
use serde::Deserialize;

use crate::AcmeSettings;
use crate::error::in_one_line;
use crate::http_client::{AcmeHttpClient, AcmeHttpError};

/// What a directory must have (RFC 8555 §7.1.1).
#[derive(Deserialize)]
struct Directory {
    #[serde(rename = "newNonce")]
    _new_nonce: String,
    #[serde(rename = "newAccount")]
    _new_account: String,
    #[serde(rename = "newOrder")]
    _new_order: String,
    #[serde(default)]
    meta: DirectoryMeta,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DirectoryMeta {
    #[serde(default)]
    external_account_required: bool,
}

/// Why no certificate can be asked of an ACME server.
#[derive(Debug, thiserror::Error)]
pub enum DirectoryProblem {
    /// There is no answer that can be used.
    #[error(
        "{url} cannot be read: {reason}; it must be reachable from this machine, and its certificate \
         must be trusted (ca_certificate)"
    )]
    Unreachable {
        /// The directory.
        url: String,
        /// Why not.
        reason: String,
    },
    /// Another page is there.
    #[error(
        "{url} is not the directory of an ACME server (RFC 8555): {reason}; correct `directory`, or \
         look at the proxy in between"
    )]
    NotADirectory {
        /// The address.
        url: String,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The ACME server takes no other accounts.
    #[error(
        "{url} takes only accounts that are bound to one of its operator (RFC 8555 §7.3.4): set eab"
    )]
    BindingRequired {
        /// The directory.
        url: String,
    },
}

/// Reads the directory that `settings` name, and says in a few words what was found. It takes no longer
/// than any exchange with an ACME server.
///
/// # Errors
/// When no certificate could be asked for there.
pub async fn probe_directory(
    settings: &AcmeSettings,
    clock: Arc<dyn Clock>,
) -> Result<String, DirectoryProblem> {
    let url = settings.directory.clone();
    let body = match read(settings, clock).await {
        Ok(body) => body,
        Err(error) => {
            let reason = in_one_line(&error);
            return Err(match error {
                AcmeHttpError::Status { status, .. } => {
                    let reason = format!("it answered {status}");
                    DirectoryProblem::NotADirectory { url, reason }
                }
                AcmeHttpError::TooLong => DirectoryProblem::NotADirectory { url, reason },
                _ => DirectoryProblem::Unreachable { url, reason },
            });
        }
    };
    let directory: Directory = match serde_json::from_slice(&body) {
        Ok(directory) => directory,
        Err(error) => {
            let reason = error.to_string();
            return Err(DirectoryProblem::NotADirectory { url, reason });
        }
    };
    if directory.meta.external_account_required && settings.binding.is_none() {
        return Err(DirectoryProblem::BindingRequired { url });
    }
    Ok(format!("{url} is the directory of an ACME server"))
}

async fn read(settings: &AcmeSettings, clock: Arc<dyn Clock>) -> Result<Bytes, AcmeHttpError> {
    let client = AcmeHttpClient::new(&settings.tls, clock)?;
    client.get(&settings.directory).await
}
