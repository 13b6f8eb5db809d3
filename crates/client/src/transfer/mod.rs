//! Moving images: from any of three kinds of places to any other.
//!
//! A *source* is a registry's repository, an OCI layout or an archive; so is a *target*. What is
//! moved is a *cargo*: a manifest with all that it leads to. Blobs go first and several at a time,
//! manifests after them and the children before their parents, so that whatever can be found at the
//! target is whole.

mod buffers;
mod cargo;
mod copy;
mod meter;
mod source;
mod target;
mod writer;

pub(crate) use cargo::Cargo;
pub use copy::{Copy, Report, copy};
pub use meter::{Meter, Progress, Silent};
pub use source::Source;
pub(crate) use source::{BlobReader, BlobSource, FileReader};
pub use target::Target;
pub(crate) use writer::{Spot, Writer};
