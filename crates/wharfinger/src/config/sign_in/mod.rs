//! The sections `google_auth`, `github_auth`, `oidc_auth` and `gitlab_auth`: signing in by a provider's
//! page.

mod github;
mod gitlab;
mod google;
mod oidc;
mod store;

use std::path::PathBuf;
use std::time::Duration;

use common::Secret;
use sign_in::{AccountPolicy, GithubSettings, GitlabSettings, OidcSettings, RefreshWhen};

use super::diagnostics::Problem;
use super::effective::Effective;
use super::schema::Kind;
use super::schema::key;
use super::section::{Located, Section};
use super::server::ServerConfig;

use self::store::StoreKeys;
pub(crate) use self::store::TokenStoreConfig;

/// The names of the sections, in the order in which their backends are asked.
pub(super) const SECTIONS: [&str; 4] = ["google_auth", "github_auth", "oidc_auth", "gitlab_auth"];

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A provider, and where its users are kept.
#[derive(Clone, Debug)]
pub(crate) struct SignInConfig {
    /// The section's name, which is also the path of its page.
    pub(crate) section: &'static str,
    /// What people call the provider.
    pub(crate) title: String,
    pub(crate) provider: ProviderConfig,
    pub(crate) policy: AccountPolicy,
    pub(crate) store: TokenStoreConfig,
    /// docker_auth's LevelDB, which `wharfinger import` reads.
    pub(crate) leveldb: Option<PathBuf>,
    /// How long a request to the provider may take.
    pub(crate) http_timeout: Duration,
    /// The registry in the commands of the page.
    pub(crate) registry: Option<String>,
}

impl SignInConfig {
    /// Whether its users are kept in `database`.
    pub(crate) fn needs_database(&self) -> bool {
        matches!(self.store, TokenStoreConfig::Database)
    }
}

/// Which provider.
#[derive(Clone, Debug)]
pub(crate) enum ProviderConfig {
    Oidc(OidcSettings),
    Github(GithubSettings),
    Gitlab(GitlabSettings),
}

/// Reads every section that is there.
pub(super) fn read(root: &mut Section<'_>, server: Option<&ServerConfig>) -> Vec<SignInConfig> {
    let callback = |section: &str| Callback::of(server, section);
    let (google, gitlab) = (callback("google_auth"), callback("gitlab_auth"));
    let section = |name, means| key::mapping(name).docker_auth().means(means);
    let read = [
        root.optional(
            section("google_auth", "sign-in with Google, below"),
            |section| google::read(section, &google),
        ),
        root.optional(
            section("github_auth", "sign-in with GitHub, below"),
            github::read,
        ),
        root.optional(
            section(
                "oidc_auth",
                "sign-in with an OpenID Connect provider, below",
            ),
            oidc::read,
        ),
        root.optional(
            section("gitlab_auth", "sign-in with GitLab, below"),
            |section| gitlab::read(section, &gitlab),
        ),
    ];
    let sections: Vec<_> = read.into_iter().flatten().collect();
    refuse_shared_stores(root, &sections);
    sections
}

/// docker_auth's records are named by the user only: in a store of two sections, `bob` of one provider
/// would open as `bob` of the other.
fn refuse_shared_stores(root: &Section<'_>, sections: &[SignInConfig]) {
    for (place, section) in sections.iter().enumerate() {
        let mut before = sections[..place].iter();
        if let Some(other) = before.find(|other| other.store.is_shared_with(&section.store)) {
            let message = format!(
                "{} keeps its sign-ins in the same place, so a user of one would open as the user of \
                 the same name of the other; use another db, another bucket or token_db: database",
                other.section
            );
            if let Some(setting) = root.present(section.section) {
                setting.report(Problem::Conflict, message);
            }
        }
    }
}

/// The address of a page, as the provider sends browsers back to it.
enum Callback {
    Known(String),
    /// There is no `public_url`, or the section `server` is wrong.
    Unknown,
}

impl Callback {
    fn of(server: Option<&ServerConfig>, section: &str) -> Self {
        let url = server.and_then(|server| server.public_url.as_ref());
        match (server, url) {
            (Some(server), Some(url)) => {
                Self::Known(format!("{url}{}/{section}", server.path_prefix))
            }
            _ => Self::Unknown,
        }
    }

    fn known(&self) -> Option<String> {
        match self {
            Self::Known(url) => Some(url.clone()),
            Self::Unknown => None,
        }
    }

    /// The address in the key `name`, else the one of `server.public_url`.
    fn or(
        &self,
        section: &Section<'_>,
        name: &'static str,
        configured: Option<String>,
    ) -> Option<String> {
        let url = configured.or_else(|| self.known());
        if url.is_none() {
            let message = "write it, or set server.public_url, which it is made of";
            section.error_about(name, Problem::Missing, message);
        }
        url
    }
}

/// The keys that every section has.
struct CommonKeys {
    client_id: Option<String>,
    client_secret: Option<Secret>,
    http_timeout: Duration,
    registry: Option<String>,
    store: StoreKeys,
}

/// This server as the provider knows it.
struct OAuthClient {
    id: String,
    secret: Secret,
}

impl CommonKeys {
    fn read(section: &mut Section<'_>) -> Self {
        let client_id = section.find(
            key::parsed("client_id", "text", filled)
                .docker_auth()
                .required("write the id that the provider gave this server")
                .means("the id that the provider gave this server"),
        );
        let client_secret = section.find(
            key::parsed_as("client_secret", Kind::Text, secret, |_| Effective::hidden())
                .docker_auth()
                .secret()
                .required(
                    "write the secret that the provider gave this server, or client_secret_file",
                )
                .means("the secret that goes with it"),
        );
        let http_timeout = section.get(
            key::duration("http_timeout", SECOND..=600 * SECOND)
                .docker_auth()
                .means("how long a request to the provider may take")
                .default(10 * SECOND),
        );
        let registry = section.find(
            key::parsed("registry_url", "text", registry)
                .docker_auth()
                .means("the registry in the commands that the page shows")
                .otherwise("the host of the page"),
        );
        Self {
            client_id,
            client_secret,
            http_timeout,
            registry,
            store: store::read(section),
        }
    }

    /// The whole section, unless it lacks the client.
    fn section(
        self,
        section: &'static str,
        title: String,
        policy: AccountPolicy,
        provider: impl FnOnce(OAuthClient) -> ProviderConfig,
    ) -> Option<SignInConfig> {
        let client = OAuthClient {
            id: self.client_id?,
            secret: self.client_secret?,
        };
        Some(SignInConfig {
            section,
            title,
            provider: provider(client),
            policy,
            store: self.store.store,
            leveldb: self.store.leveldb,
            http_timeout: self.http_timeout,
            registry: self.registry,
        })
    }
}

/// At providers whose names have no case and whose tokens are good until they are revoked.
fn policy_until_revoked(revalidate_after: Duration) -> AccountPolicy {
    AccountPolicy {
        revalidate_after: Some(revalidate_after),
        session: HOUR,
        refresh: RefreshWhen::Refused,
        ignores_case: true,
    }
}

/// How often the provider is asked, at those whose tokens do not expire.
fn read_revalidation(section: &mut Section<'_>) -> Duration {
    section.get(
        key::duration("revalidate_after", SECOND..=LONGEST)
            .docker_auth()
            .means("how long an account counts until the provider is asked again")
            .default(HOUR),
    )
}

fn filled(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("empty".to_owned()),
        text => Ok(text.to_owned()),
    }
}

fn secret(text: &str) -> Result<Secret, String> {
    filled(text).map(Secret::from)
}

/// The registry as `docker login` takes it: without a scheme.
fn registry(text: &str) -> Result<String, String> {
    let host = text.split_once("://").map_or(text, |(_, host)| host);
    filled(host.trim_end_matches('/'))
}

/// An address of a provider, without a slash at its end.
fn address(text: &str) -> Result<String, String> {
    let url = text.trim_end_matches('/');
    let is_http = url.starts_with("https://") || url.starts_with("http://");
    match url.parse::<http::Uri>() {
        Ok(uri) if is_http && uri.authority().is_some() => Ok(url.to_owned()),
        _ => Err("must be a URL that begins with https://".to_owned()),
    }
}

/// Tokens and secrets go to this address.
fn warn_of_plain_http(address: &Located<'_, String>) {
    let host = address.value.strip_prefix("http://");
    let is_local = host.is_some_and(|host| {
        ["127.0.0.1", "localhost", "[::1]"].iter().any(|local| {
            host.strip_prefix(local)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '/']))
        })
    });
    if host.is_some() && !is_local {
        address.setting.warn(
            Problem::Insecure,
            "the secret and every user's tokens are sent without encryption; use https",
        );
    }
}
