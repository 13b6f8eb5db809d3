//! What an adoption checks, and what it reports.

use std::io;
use std::path::PathBuf;

use super::AdoptionProblem;
use crate::{ContentLocation, Error};

/// What an adoption compares with its digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdoptionCheck {
    /// Manifests, which are read anyway.
    Manifests,
    /// Every blob, too.
    Everything,
}

/// What an adoption has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdoptionReport {
    /// How many repositories were read, of [`of`](Self::of).
    pub repositories: usize,
    /// How many repositories there are.
    pub of: usize,
    /// Manifests, in this run and in earlier ones.
    pub manifests: u64,
    /// Tags, in this run and in earlier ones.
    pub tags: u64,
    /// Blobs, each counted once for each repository, in this run and in earlier ones.
    pub blobs: u64,
    /// What cannot be taken over.
    pub problems: Vec<AdoptionProblem>,
}

/// Why a data directory was not adopted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdoptError {
    /// There are no data of a registry.
    #[error("{0} has no data of another registry: docker/registry/v2 is missing")]
    NoData(ContentLocation),
    /// Its path is not in UTF-8.
    #[error("the path {} is not in UTF-8", .0.display())]
    Path(PathBuf),
    /// It cannot be read.
    #[error("cannot read {location}")]
    Read {
        /// The location.
        location: ContentLocation,
        /// The operating system's error.
        source: io::Error,
    },
    /// The database or the disk failed.
    #[error(transparent)]
    Storage(#[from] Error),
}
