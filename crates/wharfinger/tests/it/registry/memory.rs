//! What one transfer takes in memory, however large it is.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use oci::DigestAlgorithm;
use peers::{Server, program};
use storage::hash::ContentHasher;

/// What is moved, in MiB.
const MOVED: usize = 300;
/// How much the server may grow while it is, in KiB.
const BOUND: u64 = 32 << 10;

#[test]
fn a_large_blob_takes_little_over_either_http() {
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("content");
        let config = format!(
            "server: {{addr: \"@addr@\"}}\nregistry: {{auth: {{none: true}}, storage: {{filesystem: {{root: {root:?}}}}}}}\n"
        );
        let server = Server::start(Path::new(env!("CARGO_BIN_EXE_wharfinger")), &config);
        let before = resident(server.id());
        let (file, mut hasher) = (
            folder.path().join("blob"),
            ContentHasher::new(DigestAlgorithm::Sha256),
        );
        File::create(&file)
            .unwrap()
            .set_len((MOVED << 20) as u64)
            .unwrap();
        (0..MOVED).for_each(|_| hasher.update(&[0; 1 << 20]));
        let digest = hasher.finish();
        let begun = peers::http::request(&["-X", "POST", &server.url("/v2/a/blobs/uploads/")]);
        let upload = format!("{}?digest={digest}", begun.header("location").unwrap());
        assert_eq!(
            curl(&[version, "-T", file.to_str().unwrap(), &upload]),
            "201"
        );
        assert_eq!(
            curl(&[version, &server.url(&format!("/v2/a/blobs/{digest}"))]),
            "200"
        );
        let grown = peak(server.id()).saturating_sub(before);
        assert!(grown < BOUND, "{version}: the server grew by {grown} KiB");
    }
}

/// The status that curl gets; what comes with it is thrown away.
fn curl(arguments: &[&str]) -> String {
    let options = ["-sS", "-o", "/dev/null", "-w", "%{http_code}"];
    let output = Command::new(program("curl"))
        .args(options)
        .args(arguments)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// A process's resident memory in KiB.
pub(crate) fn resident(id: u32) -> u64 {
    status(id, "VmRSS:")
}

/// The most that it ever was.
pub(crate) fn peak(id: u32) -> u64 {
    status(id, "VmHWM:")
}

fn status(id: u32, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
