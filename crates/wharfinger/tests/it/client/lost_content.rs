//! Pushing an image again after the server lost a part of its content.

use std::fs;
use std::path::{Path, PathBuf};

use peers::{Image, Server};

use super::runner::User;

/// All files below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| match path.is_dir() {
            true => files(&path),
            false => vec![path],
        })
        .collect()
}

#[test]
fn a_push_to_the_same_repository_sends_what_the_server_lost() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("content");
    let config = format!(
        "server: {{addr: \"@addr@\"}}\n\
         registry: {{auth: {{none: true}}, storage: {{filesystem: {{root: {root:?}}}}}}}\n"
    );
    let server = Server::start(Path::new(env!("CARGO_BIN_EXE_wharfinger")), &config);
    let (user, image) = (User::new(), Image::saying("lost and sent again"));
    let name = format!("{}/team/app:1", server.host_port());
    let layout = format!("oci:{}", image.layout().display());
    let push = || user.run(&["push", &layout, &name]);
    let pull = || user.run(&["pull", &name, "oci:back"]);
    push().succeeded();
    let blobs = files(&root.join("blobs"));
    assert!(blobs.len() >= 2, "{blobs:?}");
    for blob in &blobs {
        fs::remove_file(blob).unwrap();
        assert!(!pull().status.success(), "{blob:?}");
        let _ = fs::remove_dir_all(user.path("back"));
        push().succeeded();
        pull().succeeded();
        fs::remove_dir_all(user.path("back")).unwrap();
    }
    for blob in files(&root.join("blobs")) {
        fs::write(blob, "").unwrap();
    }
    push().succeeded();
    pull().succeeded();
}
