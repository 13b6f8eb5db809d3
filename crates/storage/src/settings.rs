//! The storage's settings.

use std::time::Duration;

/// The limits of uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadLimits {
    /// How many uploads one client may have open, including blobs that it sends in one request.
    pub uploads_per_client: u32,
    /// The largest blob, in bytes.
    pub blob: Option<u64>,
    /// How long a request waits for an earlier request to the same upload. A client whose
    /// connection broke often comes back before its old request has ended.
    pub patience: Duration,
    /// How long a request waits for another server that has the upload. Longer than a lease, so that an
    /// upload continues whose server was killed: few clients repeat a request that was refused.
    pub lease_patience: Duration,
}

impl Default for UploadLimits {
    fn default() -> Self {
        Self {
            uploads_per_client: 64,
            blob: None,
            patience: Duration::from_secs(5),
            lease_patience: Duration::from_secs(35),
        }
    }
}

/// How long things are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// How long garbage collection keeps something after its last use.
    pub grace: Duration,
    /// How long an upload may be idle before it expires.
    pub upload_expiry: Duration,
    /// How long the content of a blob stays after no client can see the blob any more. Longer than
    /// any URL that leads to the content ([`BlobStore::locate`](crate::BlobStore::locate)).
    pub retain: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(24 * 3600),
            upload_expiry: Duration::from_secs(7 * 24 * 3600),
            retain: Duration::ZERO,
        }
    }
}

/// The storage's settings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StorageSettings {
    /// The limits of uploads.
    pub limits: UploadLimits,
    /// How long things are kept.
    pub retention: Retention,
}
