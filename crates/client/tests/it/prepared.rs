//! Files that others prepared: links where a temporary file would be, pipes, archives that are
//! compressed or hostile.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use client::{
    Archive, ArchiveWriter, CopyOptions, CopyReport, Error, ImageSource, ImageTarget, OciLayout,
    copy,
};
use peers::Image;

async fn copy_image(source: ImageSource, target: ImageTarget) -> Result<CopyReport, Error> {
    let tag = "1".parse().unwrap();
    copy(&source, None, &target, Some(&tag), &CopyOptions::default()).await
}

fn archive_to(path: &Path) -> ImageTarget {
    ImageTarget::Archive(Arc::new(ArchiveWriter::new(path, None)))
}

#[tokio::test]
async fn a_link_in_place_of_a_temporary_archive_is_not_followed() {
    let (image, directory) = (Image::saying("linked"), tempfile::tempdir().unwrap());
    let victim = directory.path().join("victim");
    let archive = directory.path().join("o.tar");
    for name in ["o.tar.unfinished", ".wharfinger-o.tar", ".o.tar"] {
        fs::write(&victim, "untouched").unwrap();
        let _ = symlink(&victim, directory.path().join(name));
    }
    let source = || ImageSource::Layout(OciLayout::new(image.layout()));
    copy_image(source(), archive_to(&archive)).await.unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");

    // A link in place of the archive itself is replaced, not followed.
    fs::remove_file(&archive).unwrap();
    symlink(&victim, &archive).unwrap();
    copy_image(source(), archive_to(&archive)).await.unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
    assert!(fs::symlink_metadata(&archive).unwrap().is_file());
}

#[tokio::test]
async fn an_archive_that_fails_leaves_nothing_behind() {
    let (image, directory) = (Image::saying("broken"), tempfile::tempdir().unwrap());
    let layout = tempfile::tempdir().unwrap();
    let copied = ImageTarget::Layout(OciLayout::new(layout.path()));
    let source = ImageSource::Layout(OciLayout::new(image.layout()));
    copy_image(source, copied).await.unwrap();
    for entry in fs::read_dir(layout.path().join("blobs/sha256")).unwrap() {
        let path = entry.unwrap().path();
        let content = fs::read(&path).unwrap();
        if !content.starts_with(b"{") {
            fs::write(&path, vec![0; content.len()]).unwrap();
        }
    }
    let source = ImageSource::Layout(OciLayout::new(layout.path()));
    let archive = directory.path().join("o.tar");
    copy_image(source, archive_to(&archive)).await.unwrap_err();
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

/// Layouts come from others, too: what leads out of them, and what is not a file, is not read.
#[tokio::test]
async fn a_layout_is_not_read_through_links_out_of_it_nor_from_pipes() {
    let (image, outside) = (Image::saying("layout"), tempfile::tempdir().unwrap());
    let layout = tempfile::tempdir().unwrap();
    let target = ImageTarget::Layout(OciLayout::new(layout.path()));
    let source = ImageSource::Layout(OciLayout::new(image.layout()));
    copy_image(source, target).await.unwrap();
    let read = || async {
        let elsewhere = tempfile::tempdir().unwrap();
        let source = ImageSource::Layout(OciLayout::new(layout.path()));
        let target = ImageTarget::Layout(OciLayout::new(elsewhere.path()));
        copy_image(source, target).await
    };
    read().await.unwrap();

    let index = layout.path().join("index.json");
    let secret = outside.path().join("secret");
    fs::rename(&index, &secret).unwrap();
    symlink(&secret, &index).unwrap();
    let error = read().await.unwrap_err().to_string();
    assert!(
        error.ends_with("a link that leads out of the layout"),
        "{error}"
    );

    // A link inside of it is fine.
    fs::remove_file(&index).unwrap();
    fs::rename(&secret, layout.path().join("real.json")).unwrap();
    symlink("real.json", &index).unwrap();
    read().await.unwrap();

    fs::remove_file(&index).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&index).status();
    assert!(made.unwrap().success());
    // Opening it as a file would wait for a writer for ever.
    let error = read().await.unwrap_err().to_string();
    assert!(error.ends_with("not a regular file"), "{error}");
}

#[tokio::test]
async fn compressed_archives_are_read() {
    let (image, directory) = (Image::saying("compressed"), tempfile::tempdir().unwrap());
    let plain = directory.path().join("plain.tar");
    let source = ImageSource::Layout(OciLayout::new(image.layout()));
    copy_image(source, archive_to(&plain)).await.unwrap();
    let content = fs::read(&plain).unwrap();

    let gzip = |content: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = |content: &[u8]| {
        let level = ruzstd::encoding::CompressionLevel::Fastest;
        ruzstd::encoding::compress_to_vec(content, level)
    };
    let (one, two) = content.split_at(content.len() / 2);
    for (name, compressed) in [
        ("gzip", gzip(&content)),
        ("two gzip members", [gzip(one), gzip(two)].concat()),
        ("zstd", zstd(&content)),
        ("two zstd frames", [zstd(one), zstd(two)].concat()),
    ] {
        let path = directory.path().join("a.tar");
        fs::write(&path, &compressed).unwrap();
        let archive = Archive::open(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        let elsewhere = tempfile::tempdir().unwrap();
        let target = ImageTarget::Layout(OciLayout::new(elsewhere.path()));
        let report = copy_image(ImageSource::Archive(Arc::new(archive)), target).await;
        assert_eq!(report.unwrap().sent, 2, "{name}");

        fs::write(&path, &compressed[..compressed.len() / 2]).unwrap();
        let error = Archive::open(&path).err().unwrap().to_string();
        assert!(error.contains("a.tar: "), "{name}: {error}");
    }
    // What is not supported says what to do, and that works.
    let path = directory.path().join("b.tar");
    fs::write(&path, b"BZh91AY&SY").unwrap();
    let error = Archive::open(&path).err().unwrap().to_string();
    let command = format!("`bzip2 -dc {} > image.tar`", path.display());
    assert!(error.ends_with(&command), "{error}");
}

/// Some kilobytes must not become a terabyte.
#[test]
fn an_archive_that_grows_without_end_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bomb.tar");
    let file = File::create(&path).unwrap();
    let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    let zeros = vec![0; 1 << 20];
    for _ in 0..1100 {
        encoder.write_all(&zeros).unwrap();
    }
    encoder.finish().unwrap();
    let error = Archive::open(&path).err().unwrap().to_string();
    assert!(error.contains("bytes when decompressed"), "{error}");
}

/// Hashing one layer of 8 MiB 3,000 times would take a minute.
#[test]
fn a_layer_that_is_named_often_is_hashed_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("saved.tar");
    let mut builder = tar::Builder::new(File::create(&path).unwrap());
    let mut add = |name: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, content).unwrap();
    };
    let layers = vec![r#""layer.tar""#; 3000].join(",");
    let list = format!(r#"[{{"Config":"c.json","RepoTags":["a:1"],"Layers":[{layers}]}}]"#);
    add("c.json", b"{}");
    add("layer.tar", &vec![7; 64 << 20]);
    add("manifest.json", list.as_bytes());
    builder.finish().unwrap();
    // Hashed for each of its names it would be 187 GiB, which takes every machine minutes.
    let (done, opened) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(Archive::open(&path).map(drop)));
    let opened = opened.recv_timeout(Duration::from_secs(60));
    opened.expect("the layer is hashed once").unwrap();
}
