//! The section `registry`: where cargo lies, who may come to it, and how much of it there may be.

mod auth;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use self::auth::RegistryAuth;
use super::address::ListenAddress;
use super::section::Section;
use super::setting::Setting;
use crate::duration::{parse_duration, parse_size};

pub(crate) use self::auth::{IssuerKeys, RegistryAuth as Auth, TokenIssuer};

/// The registry.
#[derive(Clone, Debug)]
pub(crate) struct RegistrySettings {
    /// Where it listens; none where the token server does, or would.
    pub(crate) listen: Option<ListenAddress>,
    /// The folder that cargo lies in.
    pub(crate) root: PathBuf,
    pub(crate) delete: bool,
    pub(crate) read_only: bool,
    pub(crate) auth: RegistryAuth,
    pub(crate) catalog: CatalogSettings,
    /// How long an upload may stay without a move.
    pub(crate) upload_expiry: Duration,
    pub(crate) collection: CollectionSettings,
    pub(crate) limits: RegistryLimits,
    /// What every answer carries besides its own headers.
    pub(crate) headers: HeaderMap,
    pub(crate) relative_urls: bool,
}

/// The list of repositories.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CatalogSettings {
    /// Whether callers without access to the whole list see what they may pull.
    pub(crate) filter: bool,
    /// The most that one page may have.
    pub(crate) max: u32,
}

/// How what nobody needs any more is collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CollectionSettings {
    /// How often; none where only the command does it.
    pub(crate) every: Option<Duration>,
    /// For how long after its last use nothing is touched.
    pub(crate) grace: Duration,
    /// The age from which manifests without a tag go; none keeps them.
    pub(crate) untagged: Option<Duration>,
}

/// How much one may send.
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

impl Default for CatalogSettings {
    fn default() -> Self {
        Self {
            filter: true,
            max: 1000,
        }
    }
}

impl Default for CollectionSettings {
    fn default() -> Self {
        Self {
            every: Some(DAY),
            grace: DAY,
            untagged: None,
        }
    }
}

impl Default for RegistryLimits {
    fn default() -> Self {
        Self {
            manifest: 4 * MIB,
            blob: None,
            uploads_per_client: 64,
        }
    }
}

impl RegistrySettings {
    /// Reads the section; `own` says whether there is a token server in the same file.
    pub(super) fn read(section: &mut Section<'_>, own: bool) -> Option<Self> {
        let listen = section
            .setting("addr")
            .filter(|setting| setting.text().as_deref() != Some("same"));
        let listen = listen.map(|setting| setting.parse(|text| ListenAddress::parse(text, None)));
        let storage = section
            .section("storage", Storage::read)
            .unwrap_or_else(|| Storage::usual(section));
        let auth = RegistryAuth::read(section, own);
        let uploads = section.section("uploads", |uploads| {
            Some(uploads.duration_within("expire", HOUR, LONGEST))
        });
        if let (Some(Some(_)), Some(RegistryAuth::Token(issuers))) = (&listen, &auth)
            && issuers.first().is_some_and(|first| first.realm.is_none())
        {
            let message = "registry.auth.token.realm is missing: the registry has an address of its own, so clients must be \
                           told the token server's, as https://auth.example.com/auth";
            section.context.error(section.position, message);
            return None;
        }
        let registry = Self {
            root: storage.root,
            delete: storage.delete,
            read_only: storage.read_only,
            catalog: section
                .section("catalog", CatalogSettings::read)
                .unwrap_or_default(),
            upload_expiry: uploads.flatten().unwrap_or(7 * DAY),
            collection: section
                .section("gc", CollectionSettings::read)
                .unwrap_or_default(),
            limits: section
                .section("limits", RegistryLimits::read)
                .unwrap_or_default(),
            headers: section
                .setting("headers")
                .and_then(|setting| read_headers(&setting))
                .unwrap_or_default(),
            relative_urls: section.flag("relative_urls").unwrap_or(false),
            listen: match listen {
                Some(listen) => Some(listen?),
                None => None,
            },
            auth: auth?,
        };
        Some(registry)
    }
}

impl RegistrySettings {
    /// What cannot change while the server runs.
    pub(crate) fn needing_restart(&self) -> impl PartialEq {
        let limits = (self.limits.blob, self.limits.uploads_per_client);
        (
            self.listen.clone(),
            self.root.clone(),
            self.upload_expiry,
            self.collection,
            limits,
        )
    }
}

/// What `registry.storage` says.
struct Storage {
    root: PathBuf,
    delete: bool,
    read_only: bool,
}

impl Storage {
    fn read(storage: &mut Section<'_>) -> Option<Self> {
        for later in ["s3", "gcs", "azure"] {
            if let Some(setting) = storage.setting(later) {
                setting.error("object stores are not supported yet; write filesystem: {root: DIR}");
            }
        }
        let root = storage.section("filesystem", |files| {
            Some(files.path("root").map(|root| root.path))
        });
        let maintenance = storage.section("maintenance", |maintenance| {
            Some(maintenance.flag("readonly"))
        });
        let usual = Self::usual(storage);
        Some(Self {
            root: root.flatten().unwrap_or(usual.root),
            delete: storage.flag("delete").unwrap_or(usual.delete),
            read_only: maintenance.flatten().unwrap_or(usual.read_only),
        })
    }

    /// What it is where nothing is said: in the folder that systemd gives the service, or where
    /// that would be.
    fn usual(section: &Section<'_>) -> Self {
        let folder = section
            .context
            .variable("STATE_DIRECTORY")
            .map(OsString::from);
        let database = database::DatabaseLocation::in_state_directory(folder.as_deref());
        let root = database
            .path()
            .parent()
            .map(PathBuf::from)
            .unwrap_or_default();
        Self {
            root,
            delete: true,
            read_only: false,
        }
    }
}

impl CatalogSettings {
    fn read(catalog: &mut Section<'_>) -> Option<Self> {
        let default = Self::default();
        Some(Self {
            filter: catalog.flag("filter").unwrap_or(default.filter),
            max: catalog.number("max", 1, 100_000).unwrap_or(default.max),
        })
    }
}

impl CollectionSettings {
    fn read(gc: &mut Section<'_>) -> Option<Self> {
        let default = Self::default();
        let every = gc.parse("schedule", |text| match text {
            "off" | "never" => Ok(None),
            "hourly" => Ok(Some(HOUR)),
            "daily" => Ok(Some(DAY)),
            "weekly" => Ok(Some(7 * DAY)),
            other => match parse_duration(other) {
                Ok(every) if every >= MINUTE => Ok(Some(every)),
                _ => Err(
                    "this must be hourly, daily, weekly, off, or a length of time from 1m, as 12h",
                ),
            },
        });
        let untagged = gc.parse("untagged", |text| match text {
            "keep" => Ok(None),
            other => parse_duration(other)
                .map(Some)
                .map_err(|_| "this must be keep, or an age such as 30d"),
        });
        Some(Self {
            every: every.unwrap_or(default.every),
            grace: gc
                .duration_within("grace", MINUTE, LONGEST)
                .unwrap_or(default.grace),
            untagged: untagged.unwrap_or(default.untagged),
        })
    }
}

impl RegistryLimits {
    fn read(limits: &mut Section<'_>) -> Option<Self> {
        let default = Self::default();
        let blob = limits.parse("blob", |text| match text {
            "none" => Ok(None),
            other => match other.parse().ok().or_else(|| parse_size(other).ok()) {
                Some(size) => Ok(Some(size)),
                None => Err("this must be none, or a size such as 10GiB"),
            },
        });
        Some(Self {
            manifest: limits
                .size_within("manifest", 64 * 1024, 64 * MIB)
                .unwrap_or(default.manifest),
            blob: blob.unwrap_or(default.blob),
            uploads_per_client: limits
                .number("uploads_per_client", 1, 1_000_000)
                .unwrap_or(default.uploads_per_client),
        })
    }
}

/// Headers with a value or several each, as Distribution writes them.
fn read_headers(setting: &Setting<'_>) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    for (entry, value) in setting.entries()? {
        let name = value.checked(
            HeaderName::try_from(entry.key.as_str()).map_err(|_| "this is no name of a header"),
        );
        let values = if value.is_sequence() {
            value.items()?
        } else {
            vec![value]
        };
        for value in values {
            let value = value
                .parse(|text| HeaderValue::from_str(text).map_err(|_| "a header cannot hold this"));
            if let (Some(name), Some(value)) = (&name, value) {
                headers.append(name, value);
            }
        }
    }
    Some(headers)
}
