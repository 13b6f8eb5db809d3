//! Durability, as system calls show it: content, its name and its rows are synced before the client
//! gets a response.

use std::collections::HashMap;
use std::io::Write;
use std::process::Command;

use storage::{Storage, StorageSettings};

use super::world::{clock, name, new_upload, open_database, root, sha256};

const DIRECTORY: &str = "WHARFINGER_TEST_TRACED";
/// What the child writes after the acknowledgement.
const DONE: &str = "@ acknowledged";

#[tokio::test]
#[ignore = "another test starts it"]
async fn traced() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let directory = std::path::Path::new(&directory);
    let clock = clock(&std::sync::Arc::new(std::sync::atomic::AtomicU64::new(
        1_800_000_000,
    )));
    let database = open_database(directory);
    let storage = Storage::open(database, root(directory), StorageSettings::default(), clock)
        .await
        .unwrap();
    let new = new_upload("a", 1);
    let id = new.id;
    storage.begin(new).await.unwrap();
    let mut upload = storage.upload(&name("a"), id, None).await.unwrap();
    upload.write("hello".into()).await.unwrap();
    upload.finish(sha256(b"hello")).await.unwrap();
    std::io::stdout()
        .write_all(format!("\n{DONE}\n").as_bytes())
        .unwrap();
}

/// System calls, in the order of their returns.
fn completed(trace: &str) -> Vec<String> {
    let mut begun = HashMap::new();
    let mut calls = Vec::new();
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else {
            continue;
        };
        if let Some(beginning) = call.strip_suffix("<unfinished ...>") {
            begun.insert(thread, beginning);
        } else if call.trim_start().starts_with("<... ") {
            calls.push(begun.remove(thread).unwrap_or_default().trim().to_owned());
        } else {
            calls.push(call.trim().to_owned());
        }
    }
    calls
}

#[test]
fn a_blob_is_acknowledged_only_when_it_is_durable() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("trace");
    let traced = Command::new(peers::program("strace"))
        .args([
            "-f",
            "-y",
            "-s",
            "64",
            "-e",
            "trace=fsync,fdatasync,rename,renameat,renameat2,write",
            "-o",
        ])
        .arg(&log)
        .arg(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "durable::traced", "--nocapture"])
        .env(DIRECTORY, directory.path())
        .output()
        .unwrap();
    assert!(
        traced.status.success(),
        "{}",
        String::from_utf8_lossy(&traced.stderr)
    );
    let calls = completed(&std::fs::read_to_string(log).unwrap());
    let mut after = 0;
    let mut next = |what: &str, is: &dyn Fn(&str) -> bool| {
        let found = calls[after..].iter().position(|call| is(call));
        after += 1 + found
            .unwrap_or_else(|| panic!("no {what} after {:#?} in {calls:#?}", &calls[..after]));
    };
    let sync = |call: &str| call.starts_with("fsync(") || call.starts_with("fdatasync(");
    next("sync of the content", &|call| {
        sync(call) && call.contains("/uploads/")
    });
    next("sync of the pending row", &|call| {
        sync(call) && call.contains("w.db-wal")
    });
    next("rename", &|call| {
        call.starts_with("rename") && call.contains("/uploads/") && call.contains("/blobs/sha256/")
    });
    next("sync of the directory", &|call| {
        sync(call) && call.contains("/blobs/sha256/")
    });
    next("sync of the row", &|call| {
        sync(call) && call.contains("w.db-wal")
    });
    next("acknowledgement", &|call| {
        call.starts_with("write(1") && call.contains(DONE)
    });
}
