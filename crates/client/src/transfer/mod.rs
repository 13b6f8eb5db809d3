//! Copying images between registries, OCI layouts and archives.
//!
//! A *source* is a registry's repository, a layout or an archive; so is a *target*. The *graph* of an
//! image is its manifest with everything that it refers to. Blobs are copied first, several at a
//! time, then manifests, children before their parents. So every image that is visible at the target
//! is complete.

mod copy;
mod image_graph;
mod source;
mod target;

pub use copy::{CopyOptions, CopyReport, copy};
pub use source::ImageSource;
pub use target::ImageTarget;
