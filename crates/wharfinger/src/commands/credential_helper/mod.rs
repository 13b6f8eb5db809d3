//! `wharfinger credential-helper`, linked as `docker-credential-wharfinger`: docker's protocol for
//! programs that keep logins (docker-credential-helpers).
//!
//! It keeps refresh tokens, never a password ([`token_file`]). In a CI job or a pod, it logs in with the
//! token of the platform ([`workload_token`]), so that nothing has to be kept.

mod token_file;
mod workload_token;

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use client::{ApiAddress, Host, LoginCredentials};
use common::Secret;
use serde::Deserialize;
use serde_json::json;

use self::token_file::{StoredToken, TokenFile};
use self::workload_token::workload_token;
use super::logout::revoke_refresh_token;
use super::runtime;
use crate::failure::Failure;
use crate::remote::ConnectionArguments;
use crate::{files, output};

/// Docker starts the program under this name.
const NAME: &str = "docker-credential-wharfinger";
/// The user name that marks a secret as a refresh token.
const TOKEN_USER: &str = "<token>";
/// The user name beside a platform's token. The server does not look at it.
const WORKLOAD_USER: &str = "workload";
/// What tells docker that there is no login, and that this is no failure.
const NOT_FOUND: &str = "credentials not found in native keychain";

/// Keep refresh tokens for docker, and log CI jobs in with the token of their platform
///
/// Link the program as docker-credential-wharfinger, and name it in docker's config.json:
/// {"credHelpers": {"registry.example.com": "wharfinger"}}. In a CI job, it exchanges the token of
/// ACTIONS_ID_TOKEN_REQUEST_URL (GitHub, Forgejo), WHARFINGER_ID_TOKEN (GitLab) or
/// WHARFINGER_ID_TOKEN_FILE (Kubernetes). Refresh tokens are in the file that WHARFINGER_CREDENTIALS
/// names, else in ~/.local/state/wharfinger/credentials.json.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// What docker asks for; the rest is on standard input.
    verb: Verb,
    #[command(flatten)]
    connection: ConnectionArguments,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Verb {
    /// Print the login of a registry.
    Get,
    /// Keep a refresh token.
    Store,
    /// Revoke and forget the refresh token of a registry.
    Erase,
    /// Print the registries with a login.
    List,
}

/// A login, in docker's words.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HelperCredentials {
    #[serde(rename = "ServerURL")]
    server_url: String,
    username: String,
    secret: String,
}

/// What a login is for.
enum LoginKey {
    Registry(Host),
    /// The API of a server, for which `wharfinger login --server` keeps a login.
    Api(String),
}

impl fmt::Display for LoginKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(host) => host.fmt(f),
            Self::Api(key) => f.write_str(key),
        }
    }
}

/// `docker-credential-wharfinger VERB` as `wharfinger credential-helper VERB`; any other command line
/// as it is.
pub(crate) fn translated(arguments: Vec<OsString>) -> Vec<OsString> {
    let name = arguments
        .first()
        .and_then(|program| Path::new(program).file_name());
    if name.is_none_or(|name| name != NAME) {
        return arguments;
    }
    let mut arguments = arguments;
    arguments.insert(1, "credential-helper".into());
    arguments
}

/// Docker reads standard output, and shows what is there if the program fails.
pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let answer = match arguments.verb {
        Verb::Get => runtime::block_on(get(&arguments.connection)).and_then(|answer| answer),
        Verb::Store => store().map(|()| Some(String::new())),
        Verb::Erase => runtime::block_on(erase(&arguments.connection))
            .and_then(|erased| erased)
            .map(|()| Some(String::new())),
        Verb::List => list().map(Some),
    };
    let (text, code) = match answer {
        Ok(Some(answer)) => (answer, ExitCode::SUCCESS),
        Ok(None) => (format!("{NOT_FOUND}\n"), ExitCode::FAILURE),
        Err(failure) => (
            format!("{}\n", failure.to_string().trim_end()),
            ExitCode::FAILURE,
        ),
    };
    output::print(&text)?;
    Ok(code)
}

/// The login of the registry on standard input, if there is one.
async fn get(connection: &ConnectionArguments) -> Result<Option<String>, Failure> {
    let key = login_key(&files::read_standard_input()?)?;
    let file = TokenFile::of_user()?;
    let stored = file.find(&key.to_string())?;
    let (host, token) = match &key {
        LoginKey::Registry(host) => {
            let token = workload_token(host, |name| std::env::var(name).ok()).await?;
            (Some(host), token)
        }
        LoginKey::Api(_) => (None, None),
    };
    let login = match host.zip(token) {
        Some((host, token)) => Some(log_in(connection, host, &file, stored, token).await?),
        None => stored.map(|stored| (TOKEN_USER, stored.secret.into())),
    };
    Ok(login.map(|(user, secret)| {
        let answer =
            json!({"ServerURL": key.to_string(), "Username": user, "Secret": secret.expose()});
        format!("{answer}\n")
    }))
}

/// The login of a workload: the refresh token of an earlier exchange, if it is still good; else a new
/// one; else, if the server gives none, the platform's token itself.
async fn log_in(
    connection: &ConnectionArguments,
    host: &Host,
    file: &TokenFile,
    stored: Option<StoredToken>,
    token: Secret,
) -> Result<(&'static str, Secret), Failure> {
    let remote = connection.open();
    if let Some(stored) = stored.filter(|stored| stored.of_workload) {
        let secret = Secret::from(stored.secret);
        let earlier = LoginCredentials::RefreshToken {
            user: None,
            token: secret.clone(),
        };
        let session = remote.session_as(host, earlier).await?;
        if session.log_in().await.is_ok() {
            return Ok((TOKEN_USER, secret));
        }
    }
    let login = LoginCredentials::Password {
        user: WORKLOAD_USER.to_owned(),
        password: token.clone(),
    };
    let granted = remote.session_as(host, login).await?.log_in().await?;
    let Some(refresh_token) = granted.and_then(|granted| granted.refresh_token) else {
        return Ok((WORKLOAD_USER, token));
    };
    let kept = StoredToken {
        secret: refresh_token.expose().to_owned(),
        of_workload: true,
    };
    file.change(|tokens| drop(tokens.insert(host.to_string(), kept)))?;
    Ok((TOKEN_USER, refresh_token))
}

fn store() -> Result<(), Failure> {
    let text = files::read_standard_input()?;
    let credentials: HelperCredentials = serde_json::from_str(&text).map_err(|_| {
        Failure::usage("standard input has no login: {ServerURL, Username, Secret}")
    })?;
    let key = login_key(&credentials.server_url)?;
    if credentials.username != TOKEN_USER {
        return Err(
            Failure::usage("only refresh tokens are kept, and this is a password").hint(
                "turn refresh tokens on at the server: `refresh_tokens: {}` and a `database`",
            ),
        );
    }
    let kept = StoredToken {
        secret: credentials.secret,
        of_workload: false,
    };
    TokenFile::of_user()?.change(|tokens| drop(tokens.insert(key.to_string(), kept)))
}

/// Forgets the login of the registry on standard input. The server revokes the refresh token first, so
/// that copies of it are useless. If that fails, the token is forgotten with a warning.
async fn erase(connection: &ConnectionArguments) -> Result<(), Failure> {
    let key = login_key(&files::read_standard_input()?)?;
    let file = TokenFile::of_user()?;
    let stored = file.find(&key.to_string())?;
    // The login for an API is revoked by `wharfinger logout --server`.
    if let (Some(stored), LoginKey::Registry(host)) = (stored, &key) {
        let credentials = LoginCredentials::RefreshToken {
            user: None,
            token: stored.secret.into(),
        };
        // Docker shows standard error to its user.
        match revoke_refresh_token(&connection.open(), host, credentials).await {
            Ok(true) => {}
            Ok(false) => output::note(format_args!(
                "note: the token server of {host} cannot revoke tokens: the refresh token is only \
                 removed here"
            )),
            Err(failure) => output::note(format_args!(
                "warning: the refresh token for {host} was not revoked and stays valid until it \
                 expires\n{failure}"
            )),
        }
    }
    file.change(|tokens| drop(tokens.remove(&key.to_string())))
}

fn list() -> Result<String, Failure> {
    let hosts = TokenFile::of_user()?.hosts()?;
    let hosts = hosts.into_iter().map(|host| (host, TOKEN_USER.into()));
    Ok(format!("{}\n", serde_json::Value::Object(hosts.collect())))
}

/// What a key is for. A registry's may be a URL.
fn login_key(key: &str) -> Result<LoginKey, Failure> {
    let key = key.trim();
    if ApiAddress::is_credential_key(key) {
        return Ok(LoginKey::Api(key.to_owned()));
    }
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    let host = host
        .parse()
        .map_err(|error| Failure::usage(format!("{key:?} is not a registry")).caused_by(&error))?;
    Ok(LoginKey::Registry(host))
}
