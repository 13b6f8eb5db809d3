//! A small image: one layer with one file. It is made here, so that no test needs the network.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use aws_lc_rs::digest;
use data_encoding::HEXLOWER;
use tempfile::TempDir;

use crate::{program, run};

/// An image as files: its layer, an OCI layout and the layout as an archive.
#[derive(Debug)]
pub struct Image {
    directory: TempDir,
    digest: String,
}

impl Image {
    /// An image whose only file contains `text`; another text makes another image. Its tag in the
    /// layout is `latest`.
    ///
    /// # Panics
    /// If a file cannot be written.
    #[must_use]
    pub fn saying(text: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let layer = pack_layer(directory.path(), text);
        let layout = directory.path().join("layout");
        fs::create_dir_all(layout.join("blobs/sha256")).expect("the layout's directories");
        let layer = Blob::write(&layout, &layer);
        let config = Blob::write(&layout, config(&layer.digest).as_bytes());
        let manifest = Blob::write(&layout, manifest(&config, &layer).as_bytes());
        fs::write(
            layout.join("oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        )
        .expect("oci-layout");
        fs::write(layout.join("index.json"), index(&manifest)).expect("index.json");
        tar(&directory.path().join("archive.tar"), &layout);
        Self {
            directory,
            digest: manifest.digest,
        }
    }

    /// The layer, an uncompressed tar file.
    #[must_use]
    pub fn layer(&self) -> PathBuf {
        self.directory.path().join("layer.tar")
    }

    /// The directory that is its OCI layout.
    #[must_use]
    pub fn layout(&self) -> PathBuf {
        self.directory.path().join("layout")
    }

    /// The layout as a tar file.
    #[must_use]
    pub fn archive(&self) -> PathBuf {
        self.directory.path().join("archive.tar")
    }

    /// The digest of its manifest, `sha256:…`.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }
}

/// A file of the layout, named by its digest (OCI image-spec, image-layout.md).
struct Blob {
    digest: String,
    size: usize,
}

impl Blob {
    fn write(layout: &Path, content: &[u8]) -> Self {
        let hex = HEXLOWER.encode(digest::digest(&digest::SHA256, content).as_ref());
        fs::write(layout.join("blobs/sha256").join(&hex), content).expect("a blob of the layout");
        Self {
            digest: format!("sha256:{hex}"),
            size: content.len(),
        }
    }

    fn descriptor(&self, media_type: &str) -> String {
        format!(
            r#""mediaType":"application/vnd.oci.image.{media_type}","digest":"{}","size":{}"#,
            self.digest, self.size
        )
    }
}

fn config(layer: &str) -> String {
    format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Cmd":["/text"]}},"rootfs":{{"type":"layers","diff_ids":["{layer}"]}}}}"#
    )
}

fn manifest(config: &Blob, layer: &Blob) -> String {
    format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{{}}},"layers":[{{{}}}]}}"#,
        config.descriptor("config.v1+json"),
        layer.descriptor("layer.v1.tar"),
    )
}

fn index(manifest: &Blob) -> String {
    format!(
        r#"{{"schemaVersion":2,"manifests":[{{{},"annotations":{{"org.opencontainers.image.ref.name":"latest"}}}}]}}"#,
        manifest.descriptor("manifest.v1+json"),
    )
}

fn pack_layer(directory: &Path, text: &str) -> Vec<u8> {
    let root = directory.join("root");
    fs::create_dir(&root).expect("the layer's directory");
    fs::write(root.join("text"), text).expect("the layer's file");
    let layer = directory.join("layer.tar");
    tar(&layer, &root);
    fs::read(layer).expect("the layer")
}

/// Packs the content of `directory`. Owner and time are fixed, so that the same content makes the
/// same image.
fn tar(archive: &Path, directory: &Path) {
    let mut command = Command::new(program("tar"));
    command.args([
        "--sort=name",
        "--owner=0",
        "--group=0",
        "--numeric-owner",
        "--mtime=@0",
        "-c",
        "-f",
    ]);
    run(command.arg(archive).arg("-C").arg(directory).arg(".")).succeeded();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skopeo;

    #[test]
    fn a_tool_that_knows_reads_it() {
        let image = Image::saying("hello");
        let layout = format!("oci:{}:latest", image.layout().display());
        let inspected = skopeo().run(&[
            "inspect",
            "--format",
            "{{.Digest}} {{.Os}}/{{.Architecture}}",
            &layout,
        ]);
        assert_eq!(
            inspected.succeeded(),
            format!("{} linux/amd64", image.digest())
        );
    }

    #[test]
    fn the_same_text_is_the_same_image() {
        assert_eq!(Image::saying("a").digest(), Image::saying("a").digest());
        assert_ne!(Image::saying("a").digest(), Image::saying("b").digest());
    }
}
