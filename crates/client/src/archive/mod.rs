//! Archives: a tar file that holds an OCI layout, or the output of `docker save`. Read in place,
//! written in one go.

mod compression;
mod docker_save;
mod entries;
mod read;
mod write;

pub use read::Archive;
pub use write::ArchiveWriter;
