//! Credential helpers: programs called `docker-credential-NAME` that keep secrets in a keychain.
//!
//! The protocol is Docker's (`docker-credential-helpers`): a verb as the only argument, one thing
//! on standard input, one on standard output.

use std::process::Stdio;
use std::time::Duration;

use common::Secret;
use serde::Deserialize;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use super::{Credentials, CredentialsError};

/// How long a helper may take: some ask a person.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest output that is read, in bytes.
const LONGEST: u64 = 64 * 1024;
/// What stands for the user's name where the secret is a refresh token.
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
                what: "has a name that no program can have".to_owned(),
            });
        }
        Ok(Self { program })
    }

    pub(super) fn program(&self) -> &str {
        &self.program
    }

    /// What it keeps under `key`; none when it says that it has nothing.
    pub(super) async fn find(&self, key: &str) -> Result<Option<Credentials>, CredentialsError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct HelperCredentials {
            #[serde(default)]
            username: String,
            #[serde(default)]
            secret: String,
        }
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
        let HelperCredentials { username, secret } = serde_json::from_str(&output)
            .map_err(|_| self.error("answers with something else than credentials"))?;
        Ok(match (username.as_str(), secret.is_empty()) {
            (_, true) => None,
            (TOKEN_USER, _) => Some(Credentials::RefreshToken {
                user: None,
                token: secret.into(),
            }),
            _ => Some(Credentials::Password {
                user: username,
                password: secret.into(),
            }),
        })
    }

    /// Has it keep credentials under `key`.
    pub(super) async fn store(
        &self,
        key: &str,
        credentials: &Credentials,
    ) -> Result<(), CredentialsError> {
        let (user, secret): (&str, &Secret) = match credentials {
            Credentials::Anonymous => return Ok(()),
            Credentials::Password { user, password } => (user, password),
            Credentials::RefreshToken { token, .. } | Credentials::AccessToken(token) => {
                (TOKEN_USER, token)
            }
        };
        let entry = json!({ "ServerURL": key, "Username": user, "Secret": secret.expose() });
        match self.run("store", &entry.to_string()).await? {
            (true, _) => Ok(()),
            (false, output) => Err(self.failed(&output)),
        }
    }

    /// Has it forget what it keeps under `key`; false when there was nothing.
    pub(super) async fn erase(&self, key: &str) -> Result<bool, CredentialsError> {
        if self.find(key).await?.is_none() {
            return Ok(false);
        }
        match self.run("erase", key).await? {
            (true, _) => Ok(true),
            (false, output) => Err(self.failed(&output)),
        }
    }

    /// Whether it succeeded, and what it wrote.
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
                // A helper that does not read is one whose answer says why.
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
            Ok(Err(error)) => Err(self.error(&format!("broke off: {error}"))),
            Err(_) => Err(self.error("did not answer within a minute")),
        }
    }

    fn failed(&self, output: &str) -> CredentialsError {
        self.error(&format!(
            "failed: {}",
            output
                .lines()
                .next()
                .unwrap_or("it does not say why")
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
