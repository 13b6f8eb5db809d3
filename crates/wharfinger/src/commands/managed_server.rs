//! Which server a command manages: one whose configuration is here, or one that is asked over its API.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use client::{ApiAddress, ApiClient, ApiError, LoginCredentials, Transport, TransportOptions};
use common::Secret;
use identity::TOKEN_USER;

use crate::failure::Failure;
use crate::remote::{HttpsArguments, credential_store, failed, warn_of_store};

/// Holds a robot's or a personal token, with which a job logs in. A secret is no argument: other users
/// of the machine can see those.
const TOKEN_VARIABLE: &str = "WHARFINGER_TOKEN";
/// How long a server may take to respond.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// The arguments that say which server a command manages. `server_option` lets FILE or --server be
/// given.
#[derive(Clone, Debug, Args)]
pub(crate) struct ManagedServerArguments {
    /// The server's configuration.
    #[arg(required = true)]
    file: Option<PathBuf>,
    /// Ask the API of the server at this URL instead of FILE, with the login of `wharfinger login
    /// --server` or the token in WHARFINGER_TOKEN.
    #[arg(long, value_name = "URL")]
    server: Option<ApiAddress>,
    #[command(flatten)]
    https: HttpsArguments,
}

/// The server that a command manages.
pub(crate) enum ManagedServer<'a> {
    /// The server of the configuration in this file. The command opens its database.
    Configured(&'a Path),
    /// A server that is asked over its API.
    Remote(Box<ApiClient>),
}

impl ManagedServerArguments {
    /// The server, with the login for it.
    pub(crate) async fn managed(&self) -> Result<ManagedServer<'_>, Failure> {
        match (&self.server, &self.file) {
            (Some(server), _) => {
                let client = api_client(server, &self.https, stored_login(server).await);
                Ok(ManagedServer::Remote(Box::new(client)))
            }
            (None, Some(file)) => match file.to_str().filter(|file| file.contains("://")) {
                None => Ok(ManagedServer::Configured(file)),
                Some(url) => Err(Failure::usage(format!("{url} is not a file"))
                    .hint(format!("write --server {url}"))),
            },
            // The parser wants one of both.
            (None, None) => Err(Failure::usage("neither FILE nor --server is given")),
        }
    }
}

/// As it is written on a command line.
impl fmt::Display for ManagedServerArguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.server, &self.file) {
            (Some(server), _) => write!(f, "--server {server}"),
            (None, Some(file)) => write!(f, "{}", file.display()),
            (None, None) => f.write_str("FILE"),
        }
    }
}

/// A client of the API of `server`.
pub(super) fn api_client(
    server: &ApiAddress,
    https: &HttpsArguments,
    credentials: LoginCredentials,
) -> ApiClient {
    let options = TransportOptions {
        patience: REQUEST_TIMEOUT,
        ..https.options()
    };
    ApiClient::new(&Transport::new(options), server.clone(), credentials)
}

/// The login for `server`: the token of the environment, else what `wharfinger login --server` stored.
async fn stored_login(server: &ApiAddress) -> LoginCredentials {
    let token = std::env::var(TOKEN_VARIABLE).unwrap_or_default();
    if !token.trim().is_empty() {
        return LoginCredentials::Password {
            user: TOKEN_USER.to_owned(),
            password: Secret::from(token.trim()),
        };
    }
    let lookup = credential_store().find(server, "").await;
    for problem in &lookup.problems {
        warn_of_store(problem);
    }
    let found = lookup.found.map(|found| found.credentials);
    found.unwrap_or_default()
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        failed(error.kind(), &error, error.hint())
    }
}
