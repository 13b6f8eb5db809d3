//! Signing in by a provider's page: `github_auth`, `gitlab_auth`, `google_auth`, `oidc_auth`.
//!
//! A user opens the page of a section in a browser and signs in at the *provider*, such as GitHub.
//! Then the page shows a *password* once, for `docker login`. The provider's tokens are stored with
//! it. From time to time a login asks the provider again (*revalidation*): whether the user is still
//! there, and which teams or groups the user is in now.
//!
//! - An [`IdentityProvider`] speaks to one kind of provider.
//! - A [`TokenStore`] keeps `docker_auth`'s records ([`TokenRecord`]) and what goes with them.
//! - [`SignInAccounts`] has the rules for both: passwords, revalidation, other people's names.
//! - [`SignInBackend`] is the backend of logins, and [`SignInServer`] has the pages.
//!
//! ```
//! use std::sync::Arc;
//! use sign_in::{DocumentKind, MemoryTokenStore, TokenStore};
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let store = MemoryTokenStore::default();
//! let created = store.write(DocumentKind::Record, "ann", None, Some(b"{}")).await.unwrap();
//! let again = store.write(DocumentKind::Record, "ann", None, Some(b"{}")).await.unwrap();
//! assert_eq!((created, again), (true, false));
//! # });
//! ```

mod accounts;
mod attempt;
mod backend;
mod leveldb;
mod pages;
mod passwords;
mod provider;
mod record;
mod single_flight;
mod store;

pub use accounts::{
    AccountParts, AccountPolicy, ImportMode, ImportOutcome, RefreshWhen, SignInAccounts,
    SignInError, StoredAccount,
};
pub use backend::SignInBackend;
pub use leveldb::{LevelDb, LevelDbError};
pub use pages::{PageKey, SignInPage, SignInResponse, SignInServer, SignInServerSettings};
pub use passwords::{MAX_NAME, MAX_PASSWORDS, NamedPassword, NewPassword};
pub use provider::{
    AuthorizationParameters, ExpectedUser, GithubProvider, GithubSettings, GitlabProvider,
    GitlabSettings, IdTokenError, IdentityProvider, OidcProvider, OidcSettings, ProviderError,
    ProviderTokens, ProviderUser, SignInRefusal, TokenGrant,
};
pub use record::{RecordError, TokenRecord};
pub use store::{
    DatabaseTokenStore, DocumentKind, GcsSettings, GcsTokenStore, HostPort, MemoryTokenStore,
    RedisAddress, RedisServers, RedisSettings, RedisTls, RedisTokenStore, ServiceAccountKey,
    ServiceAccountKeyError, TokenStore, TokenStoreError,
};
