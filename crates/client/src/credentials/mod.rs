//! Who we say we are, and where that is kept.
//!
//! Nobody wants to log in twice: what docker, podman and their helpers have stored is used, and
//! what is stored here is stored where they look. A *place* is a file or a helper that may hold
//! credentials for a host.

mod error;
mod file;
mod helper;
mod store;

use common::Secret;
pub use error::CredentialsError;
pub use store::{CredentialStore, StoredCredentials};

/// What a client shows to say who it is.
#[derive(Clone, Debug, Default)]
pub enum Credentials {
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
    /// A token of the token server's that new tokens are had for: Docker's `identitytoken`.
    RefreshToken {
        /// Whose it is, where that is known.
        user: Option<String>,
        /// The token.
        token: Secret,
    },
    /// A finished access token, sent as it is: Docker's `registrytoken`.
    AccessToken(Secret),
}

impl Credentials {
    /// Whose they are, where they say so.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        match self {
            Self::Anonymous | Self::AccessToken(_) => None,
            Self::Password { user, .. } => Some(user),
            Self::RefreshToken { user, .. } => user.as_deref(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        matches!(self, Self::Anonymous)
    }

    /// What kind they are, in words.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Anonymous => "nothing",
            Self::Password { .. } => "a password",
            Self::RefreshToken { .. } => "a refresh token",
            Self::AccessToken(_) => "an access token",
        }
    }
}
