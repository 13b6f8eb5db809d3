//! Content in files.
//!
//! ```text
//! ROOT/uploads/c0ffee00-…                   an upload, growing
//! ROOT/blobs/sha256/ab/abcdef….17           a blob: its digest and the number of its row
//! ```
//!
//! A blob is one file, written once. It is complete and synced before it gets its name, and its
//! directory is synced before a client can see it. Each adopted data directory is a root of its own.

mod blocking;
mod buffers;
mod durable;
mod error;
mod reader;
mod root;
mod shared_identity;
mod store;
mod write_behind;
mod writer;

pub use error::StorageOpenError;
pub use store::Files;

pub(crate) use durable::{make_directory, replace};

use blocking::join;
use root::Root;
