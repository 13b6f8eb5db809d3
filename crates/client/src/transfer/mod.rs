//! Moving images: from any of three kinds of places to any other.
//!
//! A *source* is a registry's repository, an OCI layout or an archive; so is a *target*. What is
//! moved is a *cargo*: a manifest with all that it leads to. Blobs go first and several at a time,
//! manifests after them and the children before their parents, so that whatever can be found at the
//! target is whole.

mod buffers;
mod copy;
mod image_graph;
mod meter;
mod source;
mod target;
mod writer;

pub use copy::{CopyOptions, CopyReport, copy};
pub(crate) use image_graph::ImageGraph;
pub use meter::{BlobProgress, CopyProgress, NoProgress};
pub use source::ImageSource;
pub(crate) use source::{BlobReader, BlobSource, FileReader};
pub use target::ImageTarget;
pub(crate) use writer::{BlobSlot, BlobWriter};
