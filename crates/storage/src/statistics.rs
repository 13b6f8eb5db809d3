//! What a storage has counted of its own work.

use common::HistogramSnapshot;

/// What a storage has counted since it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageStatistics {
    /// How long each action of the store of content took, in nanoseconds, by the action's name in
    /// Distribution.
    pub actions: Vec<(&'static str, HistogramSnapshot)>,
    /// What the metadata has counted.
    pub metadata: MetadataStatistics,
    /// How many uploads requests are writing to now.
    pub active_uploads: usize,
}

/// What a store of metadata has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataStatistics {
    /// The memory of manifests.
    pub manifests: CacheStatistics,
    /// The memory of blobs' rows.
    pub blobs: CacheStatistics,
    /// Looks at what other servers have changed, if there are others.
    pub looks: Option<LookStatistics>,
}

/// How useful a memory is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatistics {
    /// How often something was found there.
    pub hits: u64,
    /// How often the database was asked.
    pub misses: u64,
}

/// Looks at what other servers have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LookStatistics {
    /// How long they took, in nanoseconds.
    pub duration: HistogramSnapshot,
    /// How many failed.
    pub failures: u64,
}
