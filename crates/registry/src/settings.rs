//! What a registry is made of.

use std::sync::Arc;
use std::time::Duration;

use common::{Clock, Entropy};
use http::HeaderMap;
use identity::Login;

use crate::cursor::CursorKey;
use crate::verifier::TokenVerifier;
use crate::visibility::Visibility;

/// Everything that a [`Registry`](crate::Registry) is told.
pub struct RegistrySettings {
    /// Who may come in.
    pub auth: Authentication,
    /// Whether every `Location` is a path without a host.
    pub relative_urls: bool,
    /// Whether manifests, tags and blobs may be deleted.
    pub delete: bool,
    /// Whether nothing at all may be changed, for maintenance.
    pub read_only: bool,
    /// The list of repositories.
    pub catalog: CatalogSettings,
    /// The largest manifest, in bytes.
    pub manifest_limit: usize,
    /// How long 64 KiB of a request's body may be waited for, or its end.
    pub stall: Duration,
    /// What every answer carries besides its own headers.
    pub headers: HeaderMap,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for the names of uploads.
    pub entropy: Arc<dyn Entropy>,
}

/// Who may come in.
pub enum Authentication {
    /// Whoever has a token.
    Token(TokenAuth),
    /// Whoever has a name and a password, which let them do everything.
    Htpasswd {
        /// What a login is for, in the words of its operator.
        realm: String,
        /// Who they are.
        login: Box<Login>,
    },
    /// Everybody may do everything.
    Open,
}

/// What tokens are asked for and believed.
pub struct TokenAuth {
    /// Where clients get one.
    pub realm: Realm,
    /// What they are to ask for one for.
    pub service: String,
    /// Which are believed. It may be shared, and its keys replaced while the registry serves.
    pub verifier: Arc<TokenVerifier>,
}

/// Where clients get tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Realm {
    /// At this URL.
    Url(String),
    /// At this path of the very host that they asked: token server and registry share their origin.
    Path(String),
}

/// The list of repositories.
pub struct CatalogSettings {
    /// The most that one page may have.
    pub max: u32,
    /// What somebody may see who has no access to the list as a whole; without it they see no list.
    pub visibility: Option<Arc<dyn Visibility>>,
    /// Seals what the next page begins with.
    pub cursors: Arc<CursorKey>,
}
