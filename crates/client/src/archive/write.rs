//! Writing an archive that both kinds of readers take: an OCI layout with `manifest.json` beside
//! it.
//!
//! All sizes are known before the first byte, so every file's place is, too; blobs then arrive in
//! any order, several at a time, each at its place. The file gets its name when it is whole.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use oci::{Descriptor, Digest, Manifest, ManifestContent, Tag};
use serde_json::json;

use crate::layout::{LayoutIndex, VERSION};
use crate::transfer::{BlobSlot, BlobWriter, ImageGraph};
use crate::{Error, FetchedManifest, UploadOutcome};

/// Files in a tar file begin at multiples of this many bytes.
const BLOCK: u64 = 512;

/// A new archive.
pub struct ArchiveWriter {
    path: PathBuf,
    unfinished: PathBuf,
    /// The image's name for `docker load`, without its tag.
    name: Option<String>,
    /// Where each blob goes.
    places: Mutex<HashMap<Digest, u64>>,
}

impl ArchiveWriter {
    /// An archive that will be called `path`; `name` is what `docker load` shall call its image.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, name: Option<String>) -> Self {
        let path = path.into();
        let mut unfinished = path.clone().into_os_string();
        unfinished.push(".unfinished");
        Self {
            path,
            unfinished: unfinished.into(),
            name,
            places: Mutex::default(),
        }
    }

    /// Lays the archive out and writes all of it but the blobs.
    pub(crate) fn prepare(&self, image_graph: &ImageGraph, tag: Option<&Tag>) -> Result<(), Error> {
        let options = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&self.unfinished);
        let file = options.map_err(Error::file(&self.unfinished))?;
        let mut tar = TarLayout { file, end: 0 };
        self.lay_out(&mut tar, image_graph, tag)
            .map_err(Error::file(&self.unfinished))
    }

    pub(crate) async fn put_blob(
        &self,
        blob: &Descriptor,
        writer: BlobWriter<'_>,
    ) -> Result<UploadOutcome, Error> {
        let begin = self
            .places
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&blob.digest)
            .copied();
        let begin = begin.ok_or_else(|| {
            Error::Unsupported(format!("{} has no place in the archive", blob.digest))
        })?;
        let options = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&self.unfinished);
        let file = options.map_err(Error::file(&self.unfinished))?;
        writer
            .write(
                blob,
                BlobSlot {
                    path: self.unfinished.clone(),
                    file,
                    begin,
                    present: 0,
                },
            )
            .await?;
        Ok(UploadOutcome::Sent)
    }

    pub(crate) fn finish(&self) -> Result<(), Error> {
        fs::rename(&self.unfinished, &self.path).map_err(Error::file(&self.path))
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
        let mut places = HashMap::new();
        for blob in &image_graph.blobs {
            places.insert(blob.digest, tar.room(&name_of(&blob.digest), blob.size)?);
        }
        *self.places.lock().unwrap_or_else(PoisonError::into_inner) = places;
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

impl Drop for ArchiveWriter {
    /// What was not finished is of no use to anybody.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.unfinished);
    }
}

/// Lays files out one behind the other.
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

    /// Leaves room for a file, and says where it begins.
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

/// A file's header; more than one block where the name is long. The same content makes the same
/// archive: no times.
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
