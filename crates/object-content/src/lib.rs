//! Content of a registry in a bucket that speaks S3's protocol.
//!
//! Metadata stays in rows. An object gets its final, random key before its first byte is stored, and
//! is never moved, copied or listed. The row that names the key makes the content a blob. So a push
//! of a small blob is one request to the store, and a `HEAD` needs no request.
//!
//! An upload grows as parts of one size. What is smaller than a part is one object. Where an upload
//! is, its row knows ([`storage::UploadObjects`]), so that it can continue after a restart. Content
//! that lies behind the last whole part is stored as a short part, and stays in memory for a while:
//! if more content comes, the part is sent again with it. If it is not in memory any more, the upload
//! is completed as an object, read back, and continued as another one.
//!
//! Only what every S3 store can do is used: no conditions but one, for a read that continues after its
//! connection broke names the ETag of the object. Lists and copies are used only to adopt another
//! registry's data and to export.
//!
//! Clients can be sent to the store ([`storage::BlobStore::locate`]), with URLs that this crate signs.

mod adopted;
mod clients;
mod error;
mod export;
mod http_client;
mod in_use;
mod location;
mod memory;
mod names;
mod open;
mod reader;
mod settings;
mod shared_credentials;
mod shared_store;
mod signature;
mod signed_urls;
mod small_content;
mod store;
mod stored_upload;
mod tails;
mod tree;
mod writer;

pub use error::S3OpenError;
pub use export::BucketExport;
pub use settings::{
    ContentChecksum, LEAST_PART, RedirectSettings, S3Credentials, S3Encryption, S3Settings,
    StaticCredentials,
};
pub use store::ObjectContent;
