//! What one large transfer adds to a server's memory.

use std::ffi::OsStr;
use std::fs::File;
use std::process::Command;

use oci::DigestAlgorithm;
use peers::program;
use storage::hash::ContentHasher;

use super::Process;
use super::content::with_digest;
use super::http::Connection;

/// The repository of the blob.
pub(crate) const REPOSITORY: &str = "bench/large";
/// The length of the blob, in MiB.
const MOVED: usize = 300;

/// How many MB more than at the beginning were in memory while a blob of 300 MiB went up and came
/// down. `version` is the option of curl for a version of HTTP.
pub(crate) fn megabytes(server: &Process, version: &str, bearer: &str) -> f64 {
    let idle = server.megabytes("VmRSS:");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("blob");
    let length = (MOVED << 20) as u64;
    File::create(&file).unwrap().set_len(length).unwrap();
    let mut hasher = ContentHasher::new(DigestAlgorithm::Sha256);
    (0..MOVED).for_each(|_| hasher.update(&[0; 1 << 20]));
    let digest = hasher.finish();
    let address = &server.address;
    let begin = format!("/v2/{REPOSITORY}/blobs/uploads/");
    let begun = Connection::open(address).ask("POST", &begin, bearer);
    let upload = with_digest(&format!("http://{address}{}", begun.location), &digest);
    let pushed = ["-T".as_ref(), file.as_os_str(), upload.as_ref()];
    curl(version, bearer, &pushed, "201");
    let blob = format!("http://{address}/v2/{REPOSITORY}/blobs/{digest}");
    curl(version, bearer, &[blob.as_ref()], "200");
    server.megabytes("VmHWM:") - idle
}

fn curl(version: &str, bearer: &str, arguments: &[&OsStr], expected: &str) {
    let mut command = Command::new(program("curl"));
    command.args([version, "-sS", "-o", "/dev/null", "-w", "%{http_code}"]);
    if !bearer.is_empty() {
        command.args(["-H", bearer.trim()]);
    }
    let output = command.args(arguments).output().unwrap();
    let status = String::from_utf8_lossy(&output.stdout);
    assert_eq!(status, expected, "{command:?}");
}
