//! The section `registry`: where content is stored, who gets in, and how much there may be.

mod auth;
mod collection;
mod headers;
mod limits;
mod quotas;
mod redirect;
mod retention;
mod s3;
mod storage;
mod store_url;
mod tags;
mod validation;

use std::fmt::Display;

use ::registry::ManifestValidation;
use ::storage::Quotas;
use http::HeaderMap;

use self::auth::RegistryAuth;
use self::storage::StorageConfig;
use super::address::ListenAddress;
use super::diagnostics::Problem;
use super::effective::Effective;
use super::schema::Kind;
use super::schema::key;
use super::section::{Reported, Section};
use super::server::path_prefix;

pub(crate) use self::auth::{IssuerConfig, IssuerKeysConfig, RegistryAuth as Auth};
pub(crate) use self::collection::CollectionConfig;
pub(crate) use self::limits::{RegistryLimits, UploadsConfig};
pub(crate) use self::retention::RetentionConfig;
pub(crate) use self::s3::S3Config;
pub(crate) use self::storage::StorageDriver;
pub(crate) use self::tags::TagsConfig;

/// The registry.
#[derive(Clone, Debug)]
pub(crate) struct RegistryServerConfig {
    /// Where it listens; `None` shares the address of the token server.
    pub(crate) listen: Option<ListenAddress>,
    /// The prefix of `/v2/`: empty, or a path that begins with `/`.
    pub(crate) path_prefix: String,
    /// Where content is stored.
    pub(crate) storage: StorageDriver,
    pub(crate) delete: bool,
    pub(crate) read_only: bool,
    pub(crate) auth: RegistryAuth,
    pub(crate) catalog: CatalogConfig,
    pub(crate) uploads: UploadsConfig,
    pub(crate) collection: CollectionConfig,
    pub(crate) retention: RetentionConfig,
    pub(crate) limits: RegistryLimits,
    /// What every response carries besides its own headers.
    pub(crate) headers: HeaderMap,
    pub(crate) relative_urls: bool,
    /// What pushed manifests may say.
    pub(crate) validation: ManifestValidation,
    /// Which tags are immutable, and how long their history is kept.
    pub(crate) tags: TagsConfig,
    /// How much may be stored below prefixes of names.
    pub(crate) quotas: Quotas,
}

/// The list of repositories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CatalogConfig {
    /// Whether callers without access to the whole list see what they may pull.
    pub(crate) filter: bool,
    /// The most that one page may have.
    pub(crate) max: u32,
}

impl RegistryServerConfig {
    /// Reads the section; `has_token_server` says whether there is one in the same file.
    pub(super) fn read(section: &mut Section<'_>, has_token_server: bool) -> Option<Self> {
        let listen = read_listen(section);
        let path_prefix = section.get(
            key::parsed("path_prefix", "text that begins with `/`", |text| {
                path_prefix(text.trim_end_matches('/'))
            })
            .means("the prefix of `/v2/`; clients need a proxy that takes it away again")
            .default(String::new()),
        );
        let storage = section.always(
            key::mapping("storage").means("where content is stored, and what may happen to it"),
            StorageConfig::read,
        );
        let auth = RegistryAuth::read(section, has_token_server);
        let catalog = section.always(
            key::mapping("catalog").means("the list of repositories"),
            CatalogConfig::read,
        );
        let uploads = section.always(
            key::mapping("uploads").means("open uploads"),
            UploadsConfig::read,
        );
        let collection = section.always(
            key::mapping("gc").means("collection of unused content"),
            CollectionConfig::read,
        );
        let retention = section.always(
            key::mapping("retention").means("which tags stay, and which may go"),
            RetentionConfig::read,
        );
        let limits = section.always(
            key::mapping("limits").means("how much a client may send"),
            RegistryLimits::read,
        );
        let headers = headers::read_headers(section);
        let relative_urls = section.get(
            key::switch("relative_urls")
                .means("whether `Location` is a path without a host")
                .default(false),
        );
        let validation = validation::read(section);
        let tags = TagsConfig::read(section);
        let quotas = quotas::read(section);
        let (listen, auth) = (listen.ok()?, auth?);
        if let (Some(_), RegistryAuth::Token(issuers)) = (&listen, &auth)
            && issuers.first().is_some_and(|first| first.realm.is_none())
        {
            section.error_about(
                "auth.token.realm",
                Problem::Missing,
                "the registry has an address of its own, so clients must be told the token \
                 server's; write its URL, such as https://auth.example.com/auth",
            );
            return None;
        }
        Some(Self {
            listen,
            path_prefix,
            storage: storage.driver,
            delete: storage.delete,
            read_only: storage.read_only,
            auth,
            catalog,
            uploads,
            collection,
            retention,
            limits,
            headers,
            relative_urls,
            validation,
            tags,
            quotas,
        })
    }
}

/// Its own address, or `None` for the server's.
fn read_listen(section: &mut Section<'_>) -> Result<Option<ListenAddress>, Reported> {
    let setting = section.setting(
        key::custom("addr", Kind::Form("`same` or address"))
            .not(&["address", "listen", "port"])
            .restart()
            .means("where it listens; `same` shares the server's address")
            .otherwise("`same`"),
    );
    let setting = setting.filter(|setting| setting.text().as_deref() != Some("same"));
    let Some(setting) = setting else {
        section.show("addr", Effective::plain("same"));
        return Ok(None);
    };
    let address = setting.parse(|text| ListenAddress::parse(text, None));
    let address = address.ok_or(Reported)?;
    section.show("addr", Effective::quoted(&address));
    Ok(Some(address))
}

impl CatalogConfig {
    /// Declares `registry.catalog.*`.
    fn read(catalog: &mut Section<'_>) -> Self {
        Self {
            filter: catalog.get(
                key::switch("filter")
                    .means("whether callers without `registry:catalog:*` see what they may pull")
                    .default(true),
            ),
            max: catalog.get(
                key::number("max", 1..=100_000)
                    .means("how many repositories one page has")
                    .default(1000),
            ),
        }
    }
}

fn or_word(value: Option<impl Display>, word: &str) -> Effective {
    value.map_or_else(|| Effective::plain(word), Effective::plain)
}
