//! The settings of a registry.

use std::sync::Arc;
use std::time::Duration;

use common::{Clock, Entropy};
use event::Observers;
use http::HeaderMap;
use identity::{Login, SharedFailures};
use storage::Quotas;

use crate::caching_verifier::CachingVerifier;
use crate::cursor::CursorKey;
use crate::manifest_validation::ManifestValidation;
use crate::outbox::OutboxWriter;
use crate::pull_permissions::PullPermissions;
use crate::pull_recorder::PullRecorder;
use crate::redirects::RedirectRules;
use crate::tag_settings::TagSettings;
use crate::upstream::Upstream;

/// Everything that a [`Registry`](crate::Registry) is built from, besides its storage.
pub struct RegistrySettings {
    /// How clients prove what they may do.
    pub auth: Authentication,
    /// Whether every `Location` is a path without a host.
    pub relative_urls: bool,
    /// Whether manifests, tags and blobs may be deleted.
    pub delete: bool,
    /// Whether every change is refused, for maintenance.
    pub read_only: bool,
    /// The list of repositories.
    pub catalog: CatalogSettings,
    /// The largest manifest, in bytes.
    pub manifest_limit: usize,
    /// What pushed manifests may say.
    pub validation: ManifestValidation,
    /// Which tags are immutable, and what their history records.
    pub tags: TagSettings,
    /// How much may be stored below prefixes of names.
    pub quotas: Quotas,
    /// How long the next 64 KiB of a request's body may take.
    pub stall: Duration,
    /// Headers that every response has besides its own.
    pub headers: HeaderMap,
    /// How long an upload may go on with the token that began it after that token has ended.
    pub upload_grace: Duration,
    /// Which clients are sent to the store of a blob. `None`: this server sends all content.
    pub redirects: Option<RedirectRules>,
    /// Another registry, which is asked for what is not here.
    pub upstream: Option<Arc<dyn Upstream>>,
    /// Counts refusals for all servers of the registry, if there are several.
    pub shared_failures: Option<Arc<dyn SharedFailures>>,
    /// These get an event for everything that happens.
    pub observers: Observers,
    /// Makes the records that are stored with each change of a manifest or tag.
    pub outbox: Option<Arc<dyn OutboxWriter>>,
    /// Notes which manifests are pulled.
    pub pulls: Option<Arc<dyn PullRecorder>>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for the names of uploads.
    pub entropy: Arc<dyn Entropy>,
}

/// How clients prove what they may do.
pub enum Authentication {
    /// With a token.
    Token(TokenAuth),
    /// With a name and a password. Every account may do everything.
    Htpasswd {
        /// The realm that clients show with their question for a password.
        realm: String,
        /// The accounts.
        login: Box<Login>,
    },
    /// Not at all: every client may do everything.
    Open,
}

/// Which tokens clients need, and how they are verified.
pub struct TokenAuth {
    /// Where clients get one.
    pub realm: Realm,
    /// The service that tokens must be issued for.
    pub service: String,
    /// Verifies tokens. It may be shared, and its keys replaced while the registry serves.
    pub verifier: Arc<CachingVerifier>,
}

/// Where clients get tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Realm {
    /// At this URL.
    Url(String),
    /// At this path of the host that they asked: token server and registry share their origin.
    Path(String),
}

/// The list of repositories.
pub struct CatalogSettings {
    /// The largest page.
    pub max: u32,
    /// What a client may see without access to the whole list. Without this, such a client sees no
    /// list.
    pub pull_permissions: Option<Arc<dyn PullPermissions>>,
    /// Encrypts where the next page begins.
    pub cursors: Arc<CursorKey>,
}
