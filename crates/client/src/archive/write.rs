//! Writing an archive for both kinds of readers: an OCI layout, with the `manifest.json` of `docker
//! save` in it.
//!
//! All sizes are known before the first byte is written, and so is the position of every file. Blobs
//! arrive in any order, several at a time. The archive gets its name when it is complete; until then
//! it has a random one, which no other user can have prepared.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use oci::{Descriptor, Digest, Manifest, ManifestContent, Tag};
use serde_json::json;
use tempfile::NamedTempFile;

use crate::content::{BlobSlot, BlobWriter};
use crate::layout::{LayoutIndex, VERSION};
use crate::manifest::{FetchedManifest, ImageGraph};
use crate::{Error, UploadOutcome};

/// Files in a tar file begin at multiples of this many bytes.
const BLOCK: u64 = 512;

/// An archive that is being written.
pub struct ArchiveWriter {
    path: PathBuf,
    /// The archive under its temporary name; it is deleted when it is dropped.
    temporary: Mutex<Option<NamedTempFile>>,
    /// The image's name for `docker load`, without its tag.
    name: Option<String>,
    /// The position of each blob.
    positions: Mutex<HashMap<Digest, u64>>,
}

impl ArchiveWriter {
    /// An archive that will be called `path`. `docker load` will call its image `name`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, name: Option<String>) -> Self {
        Self {
            path: path.into(),
            temporary: Mutex::default(),
            name,
            positions: Mutex::default(),
        }
    }

    /// Writes everything except the blobs.
    pub(crate) fn prepare(&self, image_graph: &ImageGraph, tag: Option<&Tag>) -> Result<(), Error> {
        let directory = self
            .path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let temporary = tempfile::Builder::new()
            .prefix(".wharfinger-")
            .suffix(".tar.unfinished")
            .permissions(fs::Permissions::from_mode(0o666))
            .tempfile_in(directory)
            .map_err(Error::file(&self.path))?;
        let file = temporary.as_file().try_clone();
        let file = file.map_err(Error::file(&self.path))?;
        let mut tar = TarLayout { file, end: 0 };
        self.lay_out(&mut tar, image_graph, tag)
            .map_err(Error::file(&self.path))?;
        *self.temporary() = Some(temporary);
        Ok(())
    }

    pub(crate) async fn put_blob(
        &self,
        blob: &Descriptor,
        writer: BlobWriter<'_>,
    ) -> Result<UploadOutcome, Error> {
        let begin = self.positions().get(&blob.digest).copied();
        let file = self
            .temporary()
            .as_ref()
            .map(|file| file.as_file().try_clone());
        let (Some(begin), Some(file)) = (begin, file) else {
            return Err(Error::Unsupported(format!(
                "{} does not belong to the archive",
                blob.digest
            )));
        };
        let file = file.map_err(Error::file(&self.path))?;
        writer
            .write(
                blob,
                BlobSlot {
                    path: self.path.clone(),
                    file,
                    begin,
                    present: 0,
                },
            )
            .await?;
        Ok(UploadOutcome::Sent)
    }

    pub(crate) fn finish(&self) -> Result<(), Error> {
        let Some(temporary) = self.temporary().take() else {
            return Ok(());
        };
        temporary
            .persist(&self.path)
            .map(drop)
            .map_err(|error| Error::file(&self.path)(error.error))
    }

    fn temporary(&self) -> MutexGuard<'_, Option<NamedTempFile>> {
        self.temporary
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn positions(&self) -> MutexGuard<'_, HashMap<Digest, u64>> {
        self.positions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lay_out(
        &self,
        tar: &mut TarLayout,
        image_graph: &ImageGraph,
        tag: Option<&Tag>,
    ) -> std::io::Result<()> {
        let mut index = LayoutIndex::default();
        index.enter(&image_graph.root, tag);
        tar.file("oci-layout", VERSION.as_bytes())?;
        tar.file("index.json", index.to_string().as_bytes())?;
        if let Some(list) = self.docker_list(&image_graph.root, tag) {
            tar.file("manifest.json", list.as_bytes())?;
        }
        for manifest in &image_graph.manifests {
            tar.file(&name_of(&manifest.digest), &manifest.bytes)?;
        }
        let mut positions = HashMap::new();
        for blob in &image_graph.blobs {
            positions.insert(blob.digest, tar.room(&name_of(&blob.digest), blob.size)?);
        }
        *self.positions() = positions;
        tar.close()
    }

    /// `manifest.json`, for one image; an index has no words in Docker's.
    fn docker_list(&self, root: &FetchedManifest, tag: Option<&Tag>) -> Option<String> {
        let Manifest {
            content: ManifestContent::Image { config, layers },
            ..
        } = root.parsed().ok()?
        else {
            return None;
        };
        let names = self
            .name
            .iter()
            .zip(tag)
            .map(|(name, tag)| format!("{name}:{tag}"));
        let layers: Vec<_> = layers.iter().map(|layer| name_of(&layer.digest)).collect();
        let item = json!({
            "Config": name_of(&config.digest),
            "RepoTags": names.collect::<Vec<_>>(),
            "Layers": layers,
        });
        Some(json!([item]).to_string())
    }
}

/// Places files one after the other.
struct TarLayout {
    file: File,
    end: u64,
}

impl TarLayout {
    /// Writes a whole file.
    fn file(&mut self, name: &str, content: &[u8]) -> std::io::Result<()> {
        let begin = self.room(name, content.len() as u64)?;
        self.file.write_all_at(content, begin)
    }

    /// Reserves room for a file. Returns where it begins.
    fn room(&mut self, name: &str, size: u64) -> std::io::Result<u64> {
        let header = header(name, size)?;
        self.file.write_all_at(&header, self.end)?;
        let begin = self.end + header.len() as u64;
        self.end = begin + size.div_ceil(BLOCK) * BLOCK;
        Ok(begin)
    }

    /// Two empty blocks end a tar file (POSIX, pax, "ustar Interchange Format").
    fn close(&self) -> std::io::Result<()> {
        self.file.set_len(self.end + 2 * BLOCK)
    }
}

/// A file's header; more than one block if the name is long. It holds no times: the same content
/// makes the same archive.
fn header(name: &str, size: u64) -> std::io::Result<Vec<u8>> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o644);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut header, Path::new(name), std::io::empty())?;
    let mut bytes = builder.into_inner()?;
    // The builder ends with the two blocks that end a tar file.
    bytes.truncate(
        bytes
            .len()
            .saturating_sub(usize::try_from(2 * BLOCK).unwrap_or_default()),
    );
    Ok(bytes)
}

fn name_of(digest: &Digest) -> String {
    format!("blobs/{}/{}", digest.algorithm(), digest.encoded())
}
