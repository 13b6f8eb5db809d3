//! Where cargo lies.
//!
//! *Content* (blobs) is write-once: files that are hashed as they arrive, made safe on the disk and never changed.
//! *Metadata* (which repository has which manifests, tags and blobs, and where each blob lies) is rows, changed in
//! transactions. So a list is a query, a delete is visible at once, and [collection] runs while everybody works.
//!
//! [`Storage`] is what a registry opens. The seams below it, [`Manifests`], [`Blobs`], [`Uploads`], [`Collection`] for rows
//! and [`BlobStore`] for content, have one implementation each here, in SQLite and in files.

mod backup;
mod blob_store;
pub mod collection;
mod collector;
pub mod distribution;
mod error;
mod files;
pub mod hash;
mod model;
mod seams;
mod sqlite;
mod storage;
mod upload;
mod verify;

pub use backup::BackupError;
pub use blob_store::{BlobStore, Sink, Source, Written};
pub use error::{DigestMismatch, Error};
pub use files::{Files, OpenError};
pub use model::{Blob, Listing, NewManifest, Page, Referrer, RefusedManifest, StoreId, Stored, UploadId};
pub use seams::{
    Adoption, Answer, Blobs, Collection, Inventory, Landing, Manifests, NewUpload, Reserved, UploadRow, Uploads,
};
pub use sqlite::{Sqlite, Terms};
pub use storage::{Clock, Limits, Parts, Settings, Storage};
pub use upload::Upload;
pub use verify::{Finding, Health};
