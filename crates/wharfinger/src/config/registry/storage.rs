//! `registry.storage`: where content is stored, and what may happen to it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::redirect::RedirectConfig;
use super::s3::S3Config;
use crate::config::diagnostics::Problem;
use crate::config::schema::{Kind, key};
use crate::config::section::Section;

/// Stores that are refused by name: what they are, and what to write instead.
const OTHER_STORES: [(&str, &str, &str); 2] = [
    (
        "gcs",
        "Google Cloud Storage by its own protocol; `s3` with an HMAC key reaches the same bucket",
        "Google's own protocol is not supported; create an HMAC key, and write s3: {bucket: NAME, \
         regionendpoint: \"https://storage.googleapis.com\", region: auto, accesskey: ID, secretkey_file: FILE}",
    ),
    (
        "azure",
        "containers of Azure",
        "Azure is not supported; write s3: {bucket: NAME} for a store that speaks S3's protocol, or \
         filesystem: {root: DIRECTORY}",
    ),
];

/// How long content stays in a bucket at least after no client can see it. Another process may be
/// sending it to a slow client, and asks for the rest of it if its connection breaks.
const SLOWEST_PULL: Duration = Duration::from_secs(3600);
/// How much longer content stays than the URLs that lead to it.
const RETAIN_MARGIN: Duration = Duration::from_secs(60);

/// What `registry.storage` says.
pub(super) struct StorageConfig {
    pub(super) driver: StorageDriver,
    pub(super) delete: bool,
    pub(super) read_only: bool,
}

/// Where content is stored.
#[derive(Clone, Debug)]
pub(crate) enum StorageDriver {
    /// In files below this directory.
    Filesystem(PathBuf),
    /// In a bucket.
    S3(Box<S3Config>),
    /// In a temporary directory that ends with the server, and so does its database.
    InMemory,
}

impl StorageDriver {
    /// The directory that stays when the server ends.
    pub(crate) fn root(&self) -> Option<&Path> {
        match self {
            Self::Filesystem(root) => Some(root),
            Self::S3(_) | Self::InMemory => None,
        }
    }

    /// How long content stays after no client can see it.
    pub(crate) fn retain(&self) -> Duration {
        match self {
            Self::S3(s3) => SLOWEST_PULL.max(s3.redirect.lifetime + RETAIN_MARGIN),
            // A file that is open is read to its end.
            Self::Filesystem(_) | Self::InMemory => Duration::ZERO,
        }
    }

    /// Whether nothing stays when the server ends.
    pub(crate) fn is_in_memory(&self) -> bool {
        matches!(self, Self::InMemory)
    }
}

impl StorageConfig {
    /// Declares `registry.storage.*`.
    pub(super) fn read(storage: &mut Section<'_>) -> Self {
        for (name, means, instead) in OTHER_STORES {
            let key = key::custom(name, Kind::Anything).later();
            if let Some(setting) = storage.setting(key.means(means)) {
                setting.report(Problem::Unsupported, instead);
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
        let redirect = storage.always(
            key::mapping("redirect")
                .means("with `s3`: which clients read content from the store itself"),
            RedirectConfig::read,
        );
        let s3 = storage.optional(
            key::mapping("s3").means("objects in a bucket that speaks S3's protocol"),
            |s3| S3Config::read(s3, redirect),
        );
        let is_in_memory = storage.get(
            key::switch("inmemory")
                .means(
                    "store content and database in a temporary directory, which is removed when \
                     the server ends: for tests; warns",
                )
                .restart()
                .default(false),
        );
        Self {
            driver: driver(storage, root, s3, is_in_memory),
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
                            .means("refuse every change by clients, and neither collect garbage nor apply retention by schedule. Commands still change what they are told to")
                            .default(false),
                    )
                },
            ),
        }
    }
}

fn driver(
    storage: &mut Section<'_>,
    root: PathBuf,
    s3: Option<S3Config>,
    is_in_memory: bool,
) -> StorageDriver {
    let has_s3 = storage.has("s3");
    if !is_in_memory {
        if has_s3 && storage.has("filesystem") {
            let message = "only one of `filesystem` and `s3` can apply; remove the other";
            storage.error_about("s3", Problem::Conflict, message);
        }
        // What is shown is what is in effect.
        if has_s3 {
            storage.hide(&["filesystem"]);
        } else {
            if storage.has("redirect") {
                let message = "no effect without s3: the server sends what is in files itself";
                storage.warn_about("redirect", Problem::NoEffect, message);
            }
            storage.hide(&["redirect"]);
        }
        return match s3 {
            Some(s3) => StorageDriver::S3(Box::new(s3)),
            None => StorageDriver::Filesystem(root),
        };
    }
    storage.hide(&["filesystem", "redirect"]);
    if has_s3 {
        let message = "only one of `s3` and `inmemory` can apply; remove the other";
        storage.error_about("inmemory", Problem::Conflict, message);
    } else if storage.has("filesystem") {
        let message = "only one of `filesystem` and `inmemory` can apply; remove the other";
        storage.error_about("inmemory", Problem::Conflict, message);
    } else {
        let message = "content and database are in a temporary directory: they are lost when the \
                       server ends";
        storage.warn_about("inmemory", Problem::Doubtful, message);
    }
    StorageDriver::InMemory
}

/// The directory that systemd gives the service, or its usual place.
fn usual_root(section: &Section<'_>) -> PathBuf {
    let directory = section.context.variable("STATE_DIRECTORY");
    let directory = directory.map(OsString::from);
    let database = database::DatabaseLocation::in_state_directory(directory.as_deref());
    let root = database.path().and_then(Path::parent);
    root.map(PathBuf::from).unwrap_or_default()
}
