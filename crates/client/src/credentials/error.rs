//! Why credentials cannot be read or stored.

use std::io;
use std::path::PathBuf;

/// Why credentials cannot be read or stored.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be read or written.
    #[error("{}", .path.display())]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The content of the file is wrong.
    #[error("{}: {what}", .path.display())]
    Content {
        /// Which one.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A credential helper fails.
    #[error("the credential helper {program} {what}")]
    Helper {
        /// The name of its program.
        program: String,
        /// What is wrong with it.
        what: String,
    },
    /// No variable says where to store credentials.
    #[error(
        "credentials cannot be stored: none of HOME, DOCKER_CONFIG and REGISTRY_AUTH_FILE is set"
    )]
    Nowhere,
}

impl CredentialsError {
    /// What the reader can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::File { .. } => None,
            Self::Content { path, .. } => Some(format!(
                "correct {}, or move it away and log in again",
                path.display()
            )),
            Self::Helper { program, .. } => Some(format!(
                "install {program}, or remove its name from credsStore and credHelpers in docker's \
                 config.json"
            )),
            Self::Nowhere => Some("set REGISTRY_AUTH_FILE to the name of a file".to_owned()),
        }
    }
}
