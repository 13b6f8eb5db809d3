//! Credential helpers: programs called `docker-credential-NAME` that keep secrets in a keychain.
//!
//! The protocol is Docker's (`docker-credential-helpers`): a verb as the only argument, one value on
//! standard input, one on standard output.

use std::process::Stdio;
use std::time::Duration;

use common::Secret;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::{CredentialsError, LoginCredentials};
use crate::json;

/// How long a helper may take: some ask the user.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest output that is read, in bytes.
const LONGEST: u64 = 64 * 1024;
/// The user name that marks a secret as a refresh token.
const TOKEN_USER: &str = "<token>";

/// One helper.
#[derive(Debug)]
pub(super) struct Helper {
    program: String,
}

impl Helper {
    /// The helper called `name` in a configuration.
    pub(super) fn new(name: &str) -> Result<Self, CredentialsError> {
        let program = format!("docker-credential-{name}");
        if name.is_empty() || name.contains(['/', '\\', '\0']) {
            return Err(CredentialsError::Helper {
                program,
                what: "cannot be started: no program can have this name".to_owned(),
            });
        }
        Ok(Self { program })
    }

    pub(super) fn program(&self) -> &str {
        &self.program
    }

    /// The credentials under `key`; `None` if the helper says that it has none.
    pub(super) async fn find(
        &self,
        key: &str,
    ) -> Result<Option<LoginCredentials>, CredentialsError> {
        let (success, output) = self.run("get", key).await?;
        if !success {
            // docker-credential-helpers, `credentials.NewErrCredentialsNotFound`.
            let none =
                output.contains("credentials not found") || output.contains("no credentials");
            return if none {
                Ok(None)
            } else {
                Err(self.failed(&output))
            };
        }
        let credentials: Map<String, Value> =
            serde_json::from_str(&output).map_err(|_| self.error("did not print credentials"))?;
        let user = json::text(&credentials, "Username").unwrap_or_default();
        let Some(secret) = json::text(&credentials, "Secret") else {
            return Ok(None);
        };
        let secret = Secret::from(secret.to_owned());
        Ok(Some(match user {
            TOKEN_USER => LoginCredentials::RefreshToken {
                user: None,
                token: secret,
            },
            user => LoginCredentials::Password {
                user: user.to_owned(),
                password: secret,
            },
        }))
    }

    /// Stores credentials under `key`.
    pub(super) async fn store(
        &self,
        key: &str,
        credentials: &LoginCredentials,
    ) -> Result<(), CredentialsError> {
        let (user, secret): (&str, &Secret) = match credentials {
            LoginCredentials::Anonymous => return Ok(()),
            LoginCredentials::Password { user, password } => (user, password),
            LoginCredentials::RefreshToken { token, .. } | LoginCredentials::AccessToken(token) => {
                (TOKEN_USER, token)
            }
        };
        let entry = json!({ "ServerURL": key, "Username": user, "Secret": secret.expose() });
        match self.run("store", &entry.to_string()).await? {
            (true, _) => Ok(()),
            (false, output) => Err(self.failed(&output)),
        }
    }

    /// Removes the credentials under `key`; returns whether there were some.
    pub(super) async fn erase(&self, key: &str) -> Result<bool, CredentialsError> {
        if self.find(key).await?.is_none() {
            return Ok(false);
        }
        match self.run("erase", key).await? {
            (true, _) => Ok(true),
            (false, output) => Err(self.failed(&output)),
        }
    }

    /// Runs the helper. Returns whether it succeeded, and its output.
    async fn run(&self, verb: &str, input: &str) -> Result<(bool, String), CredentialsError> {
        let mut child = Command::new(&self.program)
            .arg(verb)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| self.error(&format!("cannot be started: {error}")))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let exchange = async {
            if let Some(mut stdin) = stdin {
                // If the helper does not read its input, its output says why.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
            let mut output = Vec::new();
            if let Some(stdout) = stdout {
                stdout.take(LONGEST).read_to_end(&mut output).await?;
            }
            Ok::<_, std::io::Error>((child.wait().await?.success(), output))
        };
        match tokio::time::timeout(PATIENCE, exchange).await {
            Ok(Ok((success, output))) => {
                Ok((success, String::from_utf8_lossy(&output).into_owned()))
            }
            Ok(Err(error)) => Err(self.error(&format!("failed: {error}"))),
            Err(_) => Err(self.error("did not finish within a minute")),
        }
    }

    fn failed(&self, output: &str) -> CredentialsError {
        self.error(&format!(
            "failed: {}",
            output
                .lines()
                .next()
                .unwrap_or("it printed no reason")
                .trim()
        ))
    }

    fn error(&self, what: &str) -> CredentialsError {
        CredentialsError::Helper {
            program: self.program.clone(),
            what: what.to_owned(),
        }
    }
}
