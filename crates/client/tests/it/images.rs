//! Images between the real registries, beside the clients that others use.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use client::{
    CopyOptions, CopyReport, Error, ImageSource, ImageTarget, LoginCredentials, OciLayout,
    Platform, RegistryClient, RepositoryClient, copy,
};
use oci::Reference;
use peers::{Image, RegistryConfig, RunningRegistry, crane, registry2, registry3, skopeo};

use crate::stub::{copied, plain_session, tag};

pub(crate) async fn repository(registry: &RunningRegistry, name: &str) -> RepositoryClient {
    let session = plain_session(&registry.host_port(), LoginCredentials::Anonymous).await;
    RegistryClient::new(session).repository(name.parse().unwrap())
}

fn both() -> [RunningRegistry; 2] {
    [
        registry2(&RegistryConfig::default()),
        registry3(&RegistryConfig::default()),
    ]
}

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

async fn push(layout: &Path, repository: &RepositoryClient, name: &str) -> CopyReport {
    let source = ImageSource::Layout(OciLayout::new(layout));
    copied(
        &source,
        None,
        &ImageTarget::Repository(repository.clone()),
        name,
    )
    .await
}

/// Names and contents of a layout's blobs.
fn blobs(layout: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(layout.join("blobs/sha256")).unwrap().flatten();
    files
        .map(|file| {
            (
                file.file_name().into_string().unwrap(),
                fs::read(file.path()).unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn a_layout_goes_and_comes_back_byte_for_byte() {
    let image = Image::saying("there and back");
    for registry in both() {
        let repository = repository(&registry, "team/app").await;
        let report = push(&image.layout(), &repository, "1").await;
        assert_eq!(
            (report.sent, report.present, report.manifests),
            (2, 0, 1),
            "{}",
            registry.log()
        );
        assert_eq!(report.digest.unwrap().to_string(), image.digest());
        assert_eq!(
            push(&image.layout(), &repository, "2").await.sent,
            0,
            "what is there is not sent again"
        );

        // Others find what was put, and put what is found.
        let name = format!("{}/team/app:2", registry.host_port());
        assert_eq!(crane().run(&["digest", &name]).succeeded(), image.digest());
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let to = format!("oci:{}:2", theirs.path().display());
        skopeo()
            .run(&[
                "copy",
                "-q",
                "--dest-oci-accept-uncompressed-layers",
                "--src-tls-verify=false",
                &format!("docker://{name}"),
                &to,
            ])
            .succeeded();
        let target = ImageTarget::Layout(OciLayout::new(ours.path()));
        let source = ImageSource::Repository(repository);
        copied(&source, Some("2"), &target, "2").await;
        assert!(blobs(ours.path()) == blobs(theirs.path()));
        assert!(blobs(ours.path()) == blobs(&image.layout()));
        let inspected = skopeo().run(&[
            "inspect",
            "--format",
            "{{.Digest}}",
            &format!("oci:{}:2", ours.path().display()),
        ]);
        assert_eq!(inspected.succeeded(), image.digest());
    }
}

#[tokio::test]
async fn between_registries_and_repositories() {
    let image = Image::saying("moved");
    let [two, three] = both();
    let source = repository(&two, "team/app").await;
    push(&image.layout(), &source, "1").await;
    let source = ImageSource::Repository(source);
    let other = ImageTarget::Repository(repository(&three, "mirror/app").await);
    let moved = copied(&source, Some("1"), &other, "1").await;
    assert_eq!((moved.sent, moved.mounted), (2, 0));
    // Beside each other they are mounted.
    let beside = ImageTarget::Repository(repository(&two, "team/copy").await);
    let mounted = copied(&source, Some("1"), &beside, "1").await;
    assert_eq!((mounted.sent, mounted.mounted), (0, 2), "{}", two.log());
    for name in [
        format!("{}/mirror/app:1", three.host_port()),
        format!("{}/team/copy:1", two.host_port()),
    ] {
        assert_eq!(crane().run(&["digest", &name]).succeeded(), image.digest());
    }
}

#[tokio::test]
async fn an_index_whole_or_one_image_of_it() {
    let (layout, digests) = index_of(&[("linux", "amd64"), ("linux", "arm64")]);
    for registry in both() {
        let repository = repository(&registry, "multi").await;
        let report = push(layout.path(), &repository, "all").await;
        assert_eq!(
            (report.manifests, report.media_type.as_str()),
            (3, oci::media_type::OCI_INDEX)
        );
        let platform: Platform = "linux/arm64".parse().unwrap();
        let pulled = tempfile::tempdir().unwrap();
        let (source, target) = (
            ImageSource::Repository(repository),
            ImageTarget::Layout(OciLayout::new(pulled.path())),
        );
        let how = CopyOptions {
            platform: Some(platform),
            ..CopyOptions::default()
        };
        let one = copy(
            &source,
            Some(&reference("all")),
            &target,
            Some(&tag("arm")),
            &how,
        )
        .await
        .unwrap();
        assert_eq!(
            (one.digest.unwrap().to_string(), one.manifests),
            (digests[1].clone(), 1)
        );
        let how = CopyOptions {
            platform: Some("linux/s390x".parse().unwrap()),
            ..CopyOptions::default()
        };
        let error = copy(&source, Some(&reference("all")), &target, None, &how)
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "there is no image for linux/s390x, only for: linux/amd64, linux/arm64"
        );
        let whole = tempfile::tempdir().unwrap();
        let target = ImageTarget::Layout(OciLayout::new(whole.path()));
        copied(&source, Some("all"), &target, "all").await;
        let oci = format!("oci:{}:all", whole.path().display());
        skopeo().run(&["inspect", "--raw", &oci]).succeeded();
        assert_eq!(blobs(whole.path()).len(), 7);
    }
}

#[tokio::test]
async fn what_is_attached_goes_along() {
    let image = Image::saying("subject");
    let subject: oci::Digest = image.digest().parse().unwrap();
    let [two, three] = both();
    // Neither of them keeps lists of referrers itself: the client does, under a tag.
    for (from, to) in [(&two, &three), (&three, &two)] {
        let repository_from = repository(from, "app").await;
        push(&image.layout(), &repository_from, "1").await;
        let manifest = repository_from.manifest(&reference("1")).await.unwrap();
        let attached = attach(&repository_from, &manifest).await;
        let listed = repository_from.referrers(&subject, None).await.unwrap();
        assert_eq!(
            listed.iter().map(|r| r.digest).collect::<Vec<_>>(),
            [attached]
        );
        assert!(
            repository_from
                .referrers(&subject, Some("other/type"))
                .await
                .unwrap()
                .is_empty()
        );
        assert_eq!(
            repository_from
                .referrers(&subject, Some("test/note"))
                .await
                .unwrap()
                .len(),
            1
        );

        let repository_to = repository(to, "copied").await;
        let how = CopyOptions {
            referrers: true,
            ..CopyOptions::default()
        };
        let (source, target) = (
            ImageSource::Repository(repository_from),
            ImageTarget::Repository(repository_to.clone()),
        );
        let report = copy(
            &source,
            Some(&reference("1")),
            &target,
            Some(&tag("1")),
            &how,
        )
        .await
        .unwrap();
        assert_eq!(report.manifests, 2);
        assert_eq!(
            repository_to.referrers(&subject, None).await.unwrap()[0].digest,
            attached
        );
    }
}

#[tokio::test]
async fn tags_and_images_are_deleted() {
    let image = Image::saying("deleted");
    let [two, three] = both();
    for (registry, deletes_tags) in [(two, false), (three, true)] {
        let repository = repository(&registry, "gone").await;
        push(&image.layout(), &repository, "1").await;
        push(&image.layout(), &repository, "2").await;
        let untagged = repository.delete_manifest(&reference("2")).await;
        match untagged {
            Ok(()) => assert!(deletes_tags),
            Err(Error::Unsupported(what)) => {
                assert!(
                    !deletes_tags && what.contains("cannot delete the tag 2 alone"),
                    "{what}"
                );
            }
            Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
        }
        repository
            .delete_manifest(&reference(image.digest()))
            .await
            .unwrap();
        let gone = repository.manifest(&reference("1")).await.unwrap_err();
        assert_eq!(gone.kind(), client::ErrorKind::NotFound);
        let gone = repository
            .delete_manifest(&reference(image.digest()))
            .await
            .unwrap_err();
        assert_eq!(gone.kind(), client::ErrorKind::NotFound);
    }
}

#[tokio::test]
async fn lists_are_paged() {
    let image = Image::saying("listed");
    for registry in both() {
        let repository = repository(&registry, "listed").await;
        for name in ["c", "a", "b"] {
            push(&image.layout(), &repository, name).await;
        }
        assert_eq!(
            repository.tags(Some(2)).unwrap().all().await.unwrap(),
            ["a", "b", "c"]
        );
        let catalog = RegistryClient::new(repository.session().clone())
            .catalog(Some(1))
            .unwrap();
        assert_eq!(catalog.all().await.unwrap(), ["listed"]);
    }
}

/// A note, attached as an artifact.
async fn attach(repository: &RepositoryClient, subject: &client::FetchedManifest) -> oci::Digest {
    let files = [client::Attachment {
        media_type: "text/plain".into(),
        title: Some("note.txt".into()),
        content: "hi".into(),
    }];
    let artifact = client::Artifact {
        artifact_type: "test/note".into(),
        files: files.to_vec(),
        annotations: BTreeMap::new(),
    };
    let manifest = repository
        .attach(&artifact, &subject.descriptor())
        .await
        .unwrap();
    assert!(
        repository
            .has_blob(&manifest.parsed().unwrap().blobs().nth(1).unwrap().digest)
            .await
            .unwrap()
    );
    manifest.digest
}

/// A layout with an index of images, and their digests.
pub(crate) fn index_of(platforms: &[(&str, &str)]) -> (tempfile::TempDir, Vec<String>) {
    let directory = tempfile::tempdir().unwrap();
    let (mut members, mut digests) = (Vec::new(), Vec::new());
    fs::create_dir_all(directory.path().join("blobs/sha256")).unwrap();
    for (os, architecture) in platforms {
        let image = Image::saying(&format!("{os}/{architecture}"));
        for (name, content) in blobs(&image.layout()) {
            fs::write(directory.path().join("blobs/sha256").join(name), content).unwrap();
        }
        let size = blobs(&image.layout())[image.digest().trim_start_matches("sha256:")].len();
        members.push(serde_json::json!({
            "mediaType": oci::media_type::OCI_MANIFEST,
            "digest": image.digest(),
            "size": size,
            "platform": { "os": os, "architecture": architecture },
        }));
        digests.push(image.digest().to_owned());
    }
    let index = serde_json::json!({ "schemaVersion": 2, "mediaType": oci::media_type::OCI_INDEX, "manifests": members });
    let index = index.to_string();
    let descriptor = crate::redirects::blob(index.as_bytes());
    let hex = descriptor.digest.encoded();
    fs::write(directory.path().join("blobs/sha256").join(&hex), &index).unwrap();
    let top = serde_json::json!({ "schemaVersion": 2, "manifests": [{
        "mediaType": oci::media_type::OCI_INDEX, "digest": descriptor.digest, "size": index.len(),
    }]});
    fs::write(directory.path().join("index.json"), top.to_string()).unwrap();
    fs::write(
        directory.path().join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
    (directory, digests)
}
