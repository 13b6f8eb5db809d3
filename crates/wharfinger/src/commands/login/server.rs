//! `wharfinger login --server` and `logout --server`: the login for the API of a server.

use std::time::Duration;

use client::{ApiAddress, Error, LoginCredentials};
use common::Secret;

use crate::commands::managed_server::api_client;
use crate::failure::{Failure, FailureKind};
use crate::output::{note, print_lines};
use crate::remote::{HttpsArguments, credential_store, warn_of_store};

/// How long a token server may take to revoke a refresh token. A logout must end without it, too.
const REVOCATION_TIME: Duration = Duration::from_secs(10);

/// Logs in, and stores the refresh token for the API, or the password if the server gives none.
pub(super) async fn log_in(
    server: &ApiAddress,
    https: &HttpsArguments,
    user: String,
    password: Secret,
) -> Result<(), Failure> {
    let login = LoginCredentials::Password {
        user: user.clone(),
        password,
    };
    let granted = api_client(server, https, login.clone()).log_in().await?;
    let kept = match granted.and_then(|granted| granted.refresh_token) {
        Some(token) => LoginCredentials::RefreshToken {
            user: Some(user.clone()),
            token,
        },
        None => login,
    };
    let stored = credential_store().store(server, &kept).await;
    let location = stored.map_err(Error::from)?;
    let kind = kept.kind();
    print_lines([format!(
        "logged in to {server} as {user}: stored {kind} in {location}"
    )])
}

/// Revokes the refresh token for the API, and removes the login from all files and helpers.
pub(in crate::commands) async fn log_out(
    server: &ApiAddress,
    https: &HttpsArguments,
) -> Result<(), Failure> {
    let (found, problems) = credential_store().find_all(server, "").await;
    problems.iter().for_each(warn_of_store);
    let mut is_revoked = false;
    for found in found {
        let client = api_client(server, https, found.credentials);
        match tokio::time::timeout(REVOCATION_TIME, client.revoke()).await {
            Ok(Ok(revoked)) => is_revoked |= revoked,
            Ok(Err(error)) => warn(&found.location, &Failure::from(error)),
            Err(_) => {
                let message = format!("{server} did not respond in time");
                warn(
                    &found.location,
                    &Failure::new(FailureKind::Unreachable, message),
                );
            }
        }
    }
    let erased = credential_store().erase(server).await;
    let erased = erased.map_err(Error::from)?;
    if erased.is_empty() {
        return print_lines([format!("no login for {server} is stored")]);
    }
    if is_revoked {
        print_lines([format!("revoked the refresh token for {server}")])?;
    }
    let removed = erased.iter();
    print_lines(removed.map(|location| format!("removed the login for {server} from {location}")))
}

fn warn(location: &str, failure: &Failure) {
    note(format_args!(
        "warning: the refresh token in {location} was not revoked and stays valid until it expires\n{failure}"
    ));
}
