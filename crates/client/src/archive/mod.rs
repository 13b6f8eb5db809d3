//! Archives: one tar file that holds an OCI layout, or what `docker save` writes. Read in place,
//! written in one go.

mod docker_save;
mod entries;
mod read;
mod write;

pub use read::Archive;
pub use write::ArchiveWriter;
