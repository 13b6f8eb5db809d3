//! Disks that are full, or cannot be written to: small file systems, mounted for the test (which
//! only root may do).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use peers::{program, run};
use serde_json::json;
use tempfile::TempDir;

use super::{MIB, Open, content, digest, head};
use crate::wire::Answer;

/// A file system of some megabytes, until it is dropped: an ext4 in a file, or a tmpfs where there
/// are no loop devices.
pub(crate) struct Disk {
    folder: TempDir,
}

impl Disk {
    pub(crate) fn new(megabytes: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let image = folder.path().join("image");
        fs::File::create(&image)
            .unwrap()
            .set_len((megabytes * MIB) as u64)
            .unwrap();
        run(Command::new(program("mkfs.ext4"))
            .args(["-q", "-F", "-m", "0"])
            .arg(&image))
        .succeeded();
        let disk = Self { folder };
        fs::create_dir(disk.path()).unwrap();
        let mount = |arguments: &[&str], what: &Path| {
            Command::new("mount")
                .args(arguments)
                .arg(what)
                .arg(disk.path())
                .output()
                .unwrap()
        };
        if !mount(&["-o", "loop"], &image).status.success() {
            let size = format!("size={megabytes}m");
            let mounted = mount(&["-t", "tmpfs", "-o", &size], Path::new("none"));
            assert!(
                mounted.status.success(),
                "only root may mount, and the tests must: {mounted:?}"
            );
        }
        disk
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    fn remount(&self, option: &str) {
        let options = format!("remount,{option}");
        run(Command::new("mount")
            .args(["-o", &options])
            .arg(self.path()))
        .succeeded();
    }

    /// Takes all the room that is left.
    pub(crate) fn fill(&self) -> PathBuf {
        let file = self.path().join("filler");
        for size in ["64K", "1K"] {
            let script = format!(
                "head -c 1G /dev/zero | dd bs={size} oflag=append conv=notrunc of=\"$0\" 2>&1"
            );
            let _ = Command::new("sh")
                .arg("-c")
                .arg(script)
                .arg(&file)
                .output()
                .unwrap();
        }
        file
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // What is still open must not keep the folder from going.
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.path())
            .status();
    }
}

/// Sends a body and reads the answer; a server that has seen enough may hang up before all is sent.
fn send(open: &Open, method: &str, url: &str, body: &[u8]) -> Answer {
    let mut connection = open.connect();
    connection
        .send(head(method, url, body.len()).as_bytes())
        .unwrap();
    let _ = connection.send(body);
    connection.answer(false).unwrap()
}

fn post(open: &Open, body: &[u8]) -> Answer {
    send(
        open,
        "POST",
        &format!("/v2/a/blobs/uploads/?digest={}", digest(body)),
        body,
    )
}

fn tag(open: &Open, tag: &str, layer: &[u8]) -> Answer {
    let manifest = json!({"schemaVersion": 2, "mediaType": oci::media_type::OCI_MANIFEST,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(layer), "size": layer.len()},
        "layers": []})
    .to_string();
    let mut connection = open.connect();
    let line = format!(
        "PUT /v2/a/manifests/{tag} HTTP/1.1\r\nHost: test\r\nContent-Type: {}",
        oci::media_type::OCI_MANIFEST
    );
    connection
        .send(
            format!(
                "{line}\r\nContent-Length: {}\r\n\r\n{manifest}",
                manifest.len()
            )
            .as_bytes(),
        )
        .unwrap();
    connection.answer(false).unwrap()
}

fn problem(answer: &Answer) -> (u16, String, String) {
    let error = &answer.json()["errors"][0];
    let text = |name: &str| error[name].as_str().unwrap().to_owned();
    (answer.status, text("code"), text("message"))
}

/// That what lies there is whole, as the command sees it beside the server.
fn is_whole(open: &Open) {
    let mut verify = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
    run(verify
        .args(["registry", "verify"])
        .arg(open.server.config()))
    .succeeded();
}

fn no_room() -> (u16, String, String) {
    (507, "UNAVAILABLE".to_owned(), "the disk is full".to_owned())
}

#[test]
fn a_full_disk_is_said_and_gets_over() {
    let disk = Disk::new(24);
    let open = full_disk(&disk, tempfile::tempdir_in(disk.path()).unwrap());
    assert!(
        !open.server.log().contains("panicked"),
        "{}",
        open.server.log()
    );
    assert!(open.server.log().contains("the disk is full"));
}

/// Content and database on `disk`.
fn full_disk(disk: &Disk, folder: TempDir) -> Open {
    let open = Open::at(&disk.path().join("content"), folder, "");
    let (small, large, upload) = (content(MIB), content(30 * MIB), open.begin());
    assert_eq!(
        (post(&open, &small).status, tag(&open, "1", &small).status),
        (201, 201)
    );
    // Too large for the disk, in one go and as a chunk.
    assert_eq!(problem(&post(&open, &large)), no_room());
    assert_eq!(problem(&send(&open, "PATCH", &upload, &large)), no_room());
    assert_eq!(
        open.ask("HEAD", &format!("/v2/a/blobs/{}", digest(&large)), &[])
            .status,
        404
    );
    assert_eq!(
        open.ask("GET", &upload, &[]).header("range"),
        Some("0-0"),
        "what was not acknowledged is given back"
    );
    is_whole(&open);
    assert_eq!(
        post(&open, &content(2 * MIB)).status,
        201,
        "the room is there again"
    );

    // No room for anything, rows included.
    let filler = disk.fill();
    let mut refused = 0;
    for number in 0..100 {
        let other = format!("{number}").repeat(5000).into_bytes();
        match post(&open, &other) {
            answer if answer.status == 201 => {}
            answer => {
                assert_eq!(problem(&answer), no_room());
                refused += 1;
            }
        }
        assert_eq!(
            open.ask("GET", "/v2/a/manifests/1", &[]).status,
            200,
            "what is there can be pulled"
        );
    }
    assert!(refused > 0);
    fs::remove_file(filler).unwrap();
    assert_eq!(tag(&open, "2", &small).status, 201);
    open.go_on(&upload, &content(3 * MIB));
    is_whole(&open);
    open
}

#[test]
fn a_disk_that_may_only_be_read_is_said_and_gets_over() {
    let disk = Disk::new(24);
    let open = Open::at(
        &disk.path().join("content"),
        tempfile::tempdir().unwrap(),
        "",
    );
    let (small, upload) = (content(MIB), open.begin());
    assert_eq!(
        (post(&open, &small).status, tag(&open, "1", &small).status),
        (201, 201)
    );
    disk.remount("ro");
    for answer in [
        post(&open, &content(2 * MIB)),
        send(&open, "PATCH", &upload, &small),
    ] {
        assert_eq!(answer.header("retry-after"), Some("5"));
        assert_eq!(
            problem(&answer),
            (
                503,
                "UNAVAILABLE".to_owned(),
                "nothing can be stored now: the disk cannot be written to, or the registry is being moved"
                    .to_owned()
            )
        );
    }
    let blob = format!("/v2/a/blobs/{}", digest(&small));
    assert_eq!(
        (
            open.ask("HEAD", &blob, &[]).status,
            open.ask("GET", "/v2/a/manifests/1", &[]).status
        ),
        (200, 200)
    );
    disk.remount("rw");
    assert_eq!(post(&open, &content(2 * MIB)).status, 201);
    open.go_on(&upload, &content(3 * MIB));
    is_whole(&open);
    let log = open.server.log();
    assert!(
        !log.contains("panicked") && log.contains("the disk cannot be written to"),
        "{log}"
    );
}
