//! Credentials for logins, and where they are stored.
//!
//! A login serves all clients: this one uses the credentials that docker, podman and their helpers
//! have stored, and stores its own where they look. A *location* is a file or a helper that may hold
//! credentials for a host.

mod error;
mod file;
mod helper;
mod store;
mod target;

use common::Secret;
pub use error::CredentialsError;
pub use store::{CredentialLookup, CredentialStore, StoredCredentials};
pub use target::CredentialTarget;

/// What a client sends to log in.
#[derive(Clone, Debug, Default)]
pub enum LoginCredentials {
    /// Nothing.
    #[default]
    Anonymous,
    /// A name and a password.
    Password {
        /// The user's name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A refresh token of the token server, for which it issues access tokens: Docker's
    /// `identitytoken`.
    RefreshToken {
        /// The account, if it is known.
        user: Option<String>,
        /// The token.
        token: Secret,
    },
    /// An access token, sent as it is: Docker's `registrytoken`.
    AccessToken(Secret),
}

impl LoginCredentials {
    /// The account, if the credentials name it.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Anonymous | Self::AccessToken(_) => None,
            Self::Password { user, .. } => Some(user),
            Self::RefreshToken { user, .. } => user.as_deref(),
        }
    }

    /// Whether no login is sent.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        matches!(self, Self::Anonymous)
    }

    /// The kind of credentials, in words.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Anonymous => "no login",
            Self::Password { .. } => "a password",
            Self::RefreshToken { .. } => "a refresh token",
            Self::AccessToken(_) => "an access token",
        }
    }
}
