//! What keeps credentials from being read or kept.

use std::io;
use std::path::PathBuf;

/// Why credentials cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// The file cannot be read or written.
    #[error("{}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("{}: {what}", .path.display())]
    Content {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A helper does not do its part.
    #[error("the credential helper {program} {what}")]
    Helper {
        /// Its program.
        program: String,
        /// What is the matter.
        what: String,
    },
    /// There is no home directory and no variable that says where else to look.
    #[error(
        "there is nowhere to keep credentials: neither HOME nor DOCKER_CONFIG nor REGISTRY_AUTH_FILE is set"
    )]
    Nowhere,
}
