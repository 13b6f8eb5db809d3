//! `registry.limits` and `registry.uploads`: how much a client may send, and for how long.

use std::time::Duration;

use super::or_word;
use crate::config::schema::{Kind, key};
use crate::config::section::Section;
use crate::size::{parse_size, print_size};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);
const MIB: usize = 1024 * 1024;

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

/// How long an upload may last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct UploadsConfig {
    /// How long an upload may stay without progress.
    pub(crate) expire: Duration,
    /// How long it may continue with the token that began it after that token has expired.
    pub(crate) grace: Duration,
}

impl RegistryLimits {
    /// Declares `registry.limits.*`.
    pub(super) fn read(limits: &mut Section<'_>) -> Self {
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

impl UploadsConfig {
    /// Declares `registry.uploads.*`.
    pub(super) fn read(uploads: &mut Section<'_>) -> Self {
        Self {
            expire: uploads.get(
                key::duration("expire", HOUR..=LONGEST)
                    .means("an upload without progress for this long is removed")
                    .restart()
                    .default(7 * DAY),
            ),
            grace: uploads.get(
                key::duration("grace", Duration::ZERO..=DAY)
                    .means(
                        "an upload may continue with the token that began it for this long after \
                         the token has expired",
                    )
                    .default(HOUR),
            ),
        }
    }
}
