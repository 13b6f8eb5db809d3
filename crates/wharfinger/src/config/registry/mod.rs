//! The section `registry`: where content is stored, who gets in, and how much there may be.

mod auth;

use std::ffi::OsString;
use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use self::auth::RegistryAuth;
use super::address::ListenAddress;
use super::diagnostics::Problem;
use super::effective::Effective;
use super::schema::{Kind, key};
use super::section::{Reported, Section};
use super::server::path_prefix;
use crate::duration::{parse_duration, parse_size, print_duration, print_size};

pub(crate) use self::auth::{IssuerConfig, IssuerKeysConfig, RegistryAuth as Auth};

/// The registry.
#[derive(Clone, Debug)]
pub(crate) struct RegistryConfig {
    /// Where it listens; `None` shares the address of the token server.
    pub(crate) listen: Option<ListenAddress>,
    /// The prefix of `/v2/`: empty, or a path that begins with `/`.
    pub(crate) path_prefix: String,
    /// The directory that content is stored in.
    pub(crate) root: PathBuf,
    pub(crate) delete: bool,
    pub(crate) read_only: bool,
    pub(crate) auth: RegistryAuth,
    pub(crate) catalog: CatalogConfig,
    /// How long an upload may stay without progress.
    pub(crate) upload_expiry: Duration,
    pub(crate) collection: CollectionConfig,
    pub(crate) limits: RegistryLimits,
    /// What every response carries besides its own headers.
    pub(crate) headers: HeaderMap,
    pub(crate) relative_urls: bool,
}

/// The list of repositories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CatalogConfig {
    /// Whether callers without access to the whole list see what they may pull.
    pub(crate) filter: bool,
    /// The most that one page may have.
    pub(crate) max: u32,
}

/// How unused content is collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CollectionConfig {
    /// How often; `None` leaves it to the command.
    pub(crate) every: Option<Duration>,
    /// How long after its last use content is kept in any case.
    pub(crate) grace: Duration,
    /// The age from which manifests without a tag go; `None` keeps them.
    pub(crate) untagged: Option<Duration>,
}

/// How much a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RegistryLimits {
    /// The largest manifest, in bytes.
    pub(crate) manifest: usize,
    /// The largest blob, in bytes.
    pub(crate) blob: Option<u64>,
    /// Uploads that one client may have open.
    pub(crate) uploads_per_client: u32,
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);
const MIB: usize = 1024 * 1024;

impl RegistryConfig {
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
            Storage::read,
        );
        let auth = RegistryAuth::read(section, has_token_server);
        let catalog = section.always(
            key::mapping("catalog").means("the list of repositories"),
            CatalogConfig::read,
        );
        let upload_expiry =
            section.always(key::mapping("uploads").means("open uploads"), |uploads| {
                uploads.get(
                    key::duration("expire", HOUR..=LONGEST)
                        .means("an upload without progress for this long is removed")
                        .restart()
                        .default(7 * DAY),
                )
            });
        let collection = section.always(
            key::mapping("gc").means("collection of unused content"),
            CollectionConfig::read,
        );
        let limits = section.always(
            key::mapping("limits").means("how much a client may send"),
            RegistryLimits::read,
        );
        let headers = read_headers(section);
        let relative_urls = section.get(
            key::switch("relative_urls")
                .means("whether `Location` is a path without a host")
                .default(false),
        );
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
            root: storage.root,
            delete: storage.delete,
            read_only: storage.read_only,
            auth,
            catalog,
            upload_expiry,
            collection,
            limits,
            headers,
            relative_urls,
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

/// What `registry.storage` says.
struct Storage {
    root: PathBuf,
    delete: bool,
    read_only: bool,
}

impl Storage {
    fn read(storage: &mut Section<'_>) -> Self {
        for name in ["s3", "gcs", "azure"] {
            let key = key::custom(name, Kind::Anything).later();
            if let Some(setting) = storage.setting(key.means("content in an object store")) {
                setting.report(
                    Problem::Unsupported,
                    "object stores are not supported yet; write filesystem: {root: DIRECTORY}",
                );
            }
        }
        let usual = usual_root(storage);
        let root = storage.always(
            key::mapping("filesystem").means("files, on a local disk"),
            |files| {
                files.get(
                    key::path("root")
                        .not(&["rootdirectory", "path"])
                        .means("the directory")
                        .restart()
                        .otherwise(
                            "the first directory of `$STATE_DIRECTORY`, or `/var/lib/wharfinger`",
                        )
                        .default(usual),
                )
            },
        );
        Self {
            root,
            delete: storage.get(
                key::switch("delete")
                    .means("whether manifests, tags and blobs may be deleted")
                    .default(true),
            ),
            read_only: storage.always(
                key::mapping("maintenance").means("`{readonly: true}` for a time"),
                |maintenance| {
                    maintenance.get(
                        key::switch("readonly")
                            .means("refuse every change")
                            .default(false),
                    )
                },
            ),
        }
    }
}

/// The directory that systemd gives the service, or its usual place.
fn usual_root(section: &Section<'_>) -> PathBuf {
    let directory = section.context.variable("STATE_DIRECTORY");
    let directory = directory.map(OsString::from);
    let database = database::DatabaseLocation::in_state_directory(directory.as_deref());
    let root = database.path().parent();
    root.map(PathBuf::from).unwrap_or_default()
}

impl CatalogConfig {
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

impl CollectionConfig {
    fn read(gc: &mut Section<'_>) -> Self {
        Self {
            every: gc.get(
                key::parsed_as(
                    "schedule",
                    Kind::Form("`hourly`, `daily`, `weekly`, `off`, or time from 1m"),
                    schedule,
                    |every| or_word(every.map(print_duration), "off"),
                )
                .means("how often it runs")
                .restart()
                .otherwise("`daily`")
                .default(Some(DAY)),
            ),
            grace: gc.get(
                key::duration("grace", MINUTE..=LONGEST)
                    .means("content is kept this long after its last use")
                    .restart()
                    .default(DAY),
            ),
            untagged: gc.get(
                key::parsed_as("untagged", Kind::Form("`keep` or time"), untagged, |age| {
                    or_word(age.map(print_duration), "keep")
                })
                .means("the age from which manifests without a tag are removed")
                .restart()
                .otherwise("`keep`")
                .default(None),
            ),
        }
    }
}

fn schedule(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "off" | "never" => Ok(None),
        "hourly" => Ok(Some(HOUR)),
        "daily" => Ok(Some(DAY)),
        "weekly" => Ok(Some(7 * DAY)),
        other => match parse_duration(other) {
            Ok(every) if every >= MINUTE => Ok(Some(every)),
            _ => Err("must be hourly, daily, weekly, off, or a time from 1m, such as 12h".into()),
        },
    }
}

fn untagged(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "keep" => Ok(None),
        other => parse_duration(other)
            .map(Some)
            .map_err(|_| "must be keep, or an age such as 30d".to_owned()),
    }
}

fn or_word(value: Option<impl Display>, word: &str) -> Effective {
    value.map_or_else(|| Effective::plain(word), Effective::plain)
}

impl RegistryLimits {
    fn read(limits: &mut Section<'_>) -> Self {
        Self {
            manifest: limits.get(
                key::size("manifest", 64 * 1024..=64 * MIB)
                    .means("the largest manifest")
                    .default(4 * MIB),
            ),
            blob: limits.get(
                key::parsed_as("blob", Kind::Form("size or `none`"), blob_limit, |size| {
                    or_word(size.map(print_size), "none")
                })
                .means("the largest blob")
                .restart()
                .otherwise("`none`")
                .default(None),
            ),
            uploads_per_client: limits.get(
                key::number("uploads_per_client", 1..=1_000_000)
                    .means("uploads that one client may have open")
                    .restart()
                    .default(64),
            ),
        }
    }
}

fn blob_limit(text: &str) -> Result<Option<u64>, String> {
    match text {
        "none" => Ok(None),
        other => parse_size(other)
            .map(Some)
            .map_err(|_| "must be none, or a size such as 10GiB".to_owned()),
    }
}

/// Headers with a value or several each, as Distribution writes them.
fn read_headers(section: &mut Section<'_>) -> HeaderMap {
    let kind = Kind::Names(Box::new(Kind::OneOrMany(Box::new(Kind::Text))));
    let setting = section.setting(
        key::custom("headers", kind)
            .means("headers that every response carries besides its own")
            .otherwise("`{}`"),
    );
    let mut headers = HeaderMap::new();
    let entries = setting.and_then(|setting| setting.entries());
    for (entry, value) in entries.unwrap_or_default() {
        let name = HeaderName::try_from(entry.key.as_str());
        let name = value.checked(name.map_err(|_| "not a header's name"));
        for value in value.one_or_many().unwrap_or_default() {
            let value = value
                .parse(|text| HeaderValue::from_str(text).map_err(|_| "not allowed in a header"));
            if let (Some(name), Some(value)) = (&name, value) {
                headers.append(name, value);
            }
        }
    }
    let shown = headers.keys().map(|name| {
        let values = headers.get_all(name).iter();
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let values = values.map(|value| Effective::quoted(text(value)));
        (name.to_string(), Effective::List(values.collect()))
    });
    section.show("headers", Effective::names(shown));
    headers
}
