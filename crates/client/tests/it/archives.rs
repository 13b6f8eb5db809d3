//! Archives: ours read by others, others' read by us.

use std::path::Path;
use std::sync::Arc;

use client::{Archive, ArchiveWriter, CopyOptions, ImageSource, ImageTarget, OciLayout, copy};
use peers::{Docker, Image, RegistryConfig, crane, registry3, skopeo};

use crate::images::{index_of, repository};
use crate::stub::{copied, tag};

async fn write(layout: &Path, archive: &Path, name: Option<&str>) -> client::CopyReport {
    let target = ImageTarget::Archive(Arc::new(ArchiveWriter::new(
        archive,
        name.map(str::to_owned),
    )));
    let source = ImageSource::Layout(OciLayout::new(layout));
    copied(&source, None, &target, "1").await
}

#[tokio::test]
async fn skopeo_and_tar_read_what_is_written() {
    let (image, directory) = (Image::saying("archived"), tempfile::tempdir().unwrap());
    let archive = directory.path().join("a.tar");
    assert_eq!(
        write(&image.layout(), &archive, Some("r.example/app"))
            .await
            .sent,
        2
    );
    let oci = format!("oci-archive:{}:1", archive.display());
    assert_eq!(
        skopeo()
            .run(&["inspect", "--format", "{{.Digest}}", &oci])
            .succeeded(),
        image.digest()
    );
    let docker = format!("docker-archive:{}", archive.display());
    skopeo().run(&["inspect", "--config", &docker]).succeeded();
    let listed = peers::run(std::process::Command::new("tar").arg("-tf").arg(&archive));
    assert_eq!(listed.succeeded().lines().count(), 6, "{listed}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    let again = directory.path().join("b.tar");
    write(&image.layout(), &again, Some("r.example/app")).await;
    assert!(
        std::fs::read(archive).unwrap() == std::fs::read(again).unwrap(),
        "the same image is the same archive"
    );
}

#[tokio::test]
async fn archives_of_others_are_pushed() {
    let registry = registry3(&RegistryConfig::default());
    let image = Image::saying("pushed from an archive");
    let directory = tempfile::tempdir().unwrap();
    let target = ImageTarget::Repository(repository(&registry, "app").await);
    // An OCI archive keeps its digest.
    let source = ImageSource::Archive(Arc::new(Archive::open(&image.archive()).unwrap()));
    copied(&source, Some("latest"), &target, "oci").await;
    let name = |tag: &str| format!("{}/app:{tag}", registry.host_port());
    assert_eq!(
        crane().run(&["digest", &name("oci")]).succeeded(),
        image.digest()
    );
    // crane writes compressed layers and no layout.
    let saved = directory.path().join("crane.tar");
    crane()
        .run(&["pull", &name("oci"), &saved.display().to_string()])
        .succeeded();
    let archive = Archive::open(&saved).unwrap();
    copied(
        &ImageSource::Archive(Arc::new(archive)),
        None,
        &target,
        "crane",
    )
    .await;
    is_whole(&name("crane"));
    assert_eq!(
        crane().run(&["config", &name("crane")]).succeeded(),
        crane().run(&["config", &name("oci")]).succeeded()
    );
}

#[tokio::test]
async fn docker_loads_what_we_write_and_we_push_what_docker_saves() {
    let (docker, image, directory) = (
        Docker::start(),
        Image::saying("docker"),
        tempfile::tempdir().unwrap(),
    );
    let archive = directory.path().join("a.tar");
    write(&image.layout(), &archive, Some("r.example/app")).await;
    let client = docker.client();
    client
        .run(&["load", "--input", &archive.display().to_string()])
        .succeeded();
    let saved = directory.path().join("saved.tar");
    client
        .run(&[
            "save",
            "--output",
            &saved.display().to_string(),
            "r.example/app:1",
        ])
        .succeeded();
    let registry = registry3(&RegistryConfig::default());
    let target = ImageTarget::Repository(repository(&registry, "saved").await);
    let source = ImageSource::Archive(Arc::new(Archive::open(&saved).unwrap()));
    assert_eq!(source.tags().await.unwrap(), [tag("1")]);
    copied(&source, None, &target, "1").await;
    let name = format!("{}/saved:1", registry.host_port());
    is_whole(&name);
    client.run(&["pull", &name]).succeeded();
}

#[test]
fn what_cannot_be_read_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.tar");
    let saved = br#"[{"Config":"c","RepoTags":["a:1"],"Layers":["l"]}]"#;
    let leading_out = br#"[{"Config":"../../etc/passwd","Layers":["l"]}]"#;
    let layer = &[0; 10_000][..];
    for (files, length, expected) in [
        (
            &[("repositories", &b"{}"[..])][..],
            None,
            "saved by docker before 1.10",
        ),
        (
            &[("manifest.json", &b"{"[..])],
            None,
            "its manifest.json cannot be read",
        ),
        (
            &[("manifest.json", leading_out), ("l", layer)],
            None,
            "names \"../../etc/passwd\", which is not in the archive",
        ),
        (
            &[("manifest.json", saved), ("c", b"{}"), ("l", layer)],
            Some(5000),
            "the file is cut off",
        ),
        (
            &[("manifest.json", b"[{}]")],
            None,
            "its manifest.json has no Config",
        ),
        (&[("other", b"")], None, "it has neither index.json"),
    ] {
        let archive = tar_of(files);
        std::fs::write(&path, &archive[..length.unwrap_or(archive.len())]).unwrap();
        let error = Archive::open(&path).err().unwrap().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// The bytes of a tar file with these files.
fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        builder.append_data(&mut header, name, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// Docker writes `null` for an image without layers, and reads members in any case.
#[tokio::test]
async fn a_list_of_images_is_read_as_docker_reads_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.tar");
    for list in [
        r#"[{"Config":"c","RepoTags":["a:1"],"Layers":null}]"#,
        r#"[{"Config":"c","RepoTags":["a:1"]}]"#,
        r#"[{"config":"c","REPOTAGS":["a:1"],"layers":[]}]"#,
        r#"[{"Config":"x","Config":"c","RepoTags":["a:1"],"Parent":null}]"#,
    ] {
        let files = [("manifest.json", list.as_bytes()), ("c", b"{}")];
        std::fs::write(&path, tar_of(&files)).unwrap();
        let archive = Archive::open(&path).unwrap_or_else(|error| panic!("{list}: {error}"));
        let tags = ImageSource::Archive(Arc::new(archive)).tags().await;
        assert_eq!(tags.unwrap(), [tag("1")], "{list}");
    }
}

#[tokio::test]
async fn an_index_fits_too() {
    let (layout, _) = index_of(&[("linux", "amd64"), ("linux", "arm64")]);
    let directory = tempfile::tempdir().unwrap();
    let archive = directory.path().join("multi.tar");
    assert_eq!(write(layout.path(), &archive, None).await.manifests, 3);
    let back = tempfile::tempdir().unwrap();
    let source = ImageSource::Archive(Arc::new(Archive::open(&archive).unwrap()));
    let target = ImageTarget::Layout(OciLayout::new(back.path()));
    let report = copy(&source, None, &target, None, &CopyOptions::default())
        .await
        .unwrap();
    assert_eq!((report.manifests, report.sent), (3, 4));
}

/// skopeo fetches all of it and checks every digest.
fn is_whole(name: &str) {
    let directory = tempfile::tempdir().unwrap();
    let to = format!("dir:{}", directory.path().display());
    skopeo()
        .run(&[
            "copy",
            "-q",
            "--src-tls-verify=false",
            &format!("docker://{name}"),
            &to,
        ])
        .succeeded();
}
