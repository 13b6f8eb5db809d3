//! `wharfinger logout`: remove a login.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use client::{ApiAddress, Error, Host, LoginCredentials};

use super::login::server::log_out;
use crate::failure::{Failure, FailureKind};
use crate::output::{note, print_lines};
use crate::remote::{
    ConnectionArguments, Remote, credential_store, run as run_async, warn_of_store,
};

/// How long a token server may take to revoke a refresh token. A logout must end without it, too.
const REVOCATION_TIME: Duration = Duration::from_secs(10);

/// Log out of a registry: revoke the refresh token, and remove the login from all files and helpers
///
/// A Wharfinger token server revokes the refresh token, so that copies of it are useless, too. Other
/// token servers cannot do that: there the token is only forgotten here.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The registry: HOST[:PORT].
    #[arg(required = true)]
    host: Option<Host>,
    /// Log out of the API of the server at this URL instead.
    #[arg(long, value_name = "URL", conflicts_with_all = ["plain_http", "anonymous"])]
    server: Option<ApiAddress>,
    #[command(flatten)]
    connection: ConnectionArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    if let Some(server) = &arguments.server {
        return run_async(log_out(server, &arguments.connection.https));
    }
    run_async(async {
        // The parser wants it unless there is a server.
        let Some(host) = &arguments.host else {
            return Err(Failure::usage("neither HOST nor --server is given"));
        };
        let (found, problems) = credential_store().find_all(host, "").await;
        for problem in &problems {
            warn_of_store(problem);
        }
        let remote = arguments.connection.open();
        let mut revoked = 0;
        for found in found {
            if matches!(found.credentials, LoginCredentials::RefreshToken { .. }) {
                match revoke_refresh_token(&remote, host, found.credentials).await {
                    Ok(true) => revoked += 1,
                    Ok(false) => note(format_args!(
                        "note: the token server of {host} cannot revoke tokens: the refresh token in {} \
                         is only removed here",
                        found.location
                    )),
                    Err(failure) => note(format_args!(
                        "warning: the refresh token in {} was not revoked and stays valid until it \
                         expires\n{failure}",
                        found.location
                    )),
                }
            }
        }
        let erased = credential_store().erase(host).await.map_err(Error::from)?;
        if erased.is_empty() {
            return print_lines([format!("no login for {host} is stored")]);
        }
        if revoked > 0 {
            print_lines([format!("revoked the refresh token for {host}")])?;
        }
        print_lines(
            erased
                .iter()
                .map(|location| format!("removed the login for {host} from {location}")),
        )
    })
}

/// Has the token server of `host` revoke a refresh token; `false` if it cannot revoke tokens. It waits
/// for [`REVOCATION_TIME`] at most.
pub(super) async fn revoke_refresh_token(
    remote: &Remote,
    host: &Host,
    credentials: LoginCredentials,
) -> Result<bool, Failure> {
    let revocation = async {
        let session = remote.session_as(host, credentials).await?;
        Ok(session.revoke().await?)
    };
    tokio::time::timeout(REVOCATION_TIME, revocation)
        .await
        .unwrap_or_else(|_| {
            let seconds = REVOCATION_TIME.as_secs();
            Err(Failure::new(
                FailureKind::Unreachable,
                format!("{host} did not respond within {seconds} s"),
            ))
        })
}
