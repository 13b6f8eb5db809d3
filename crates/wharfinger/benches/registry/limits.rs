//! What the machine can do, measured in the same run.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use oci::DigestAlgorithm;
use storage::hash;

use crate::common::load::next;
use crate::common::{CONNECTIONS, rate};
use crate::servers::directory;

/// How many MB aws-lc-rs hashes in a second of one core.
pub(crate) fn sha256() -> f64 {
    let bytes = vec![7; 1 << 20];
    rate(|| {
        std::hint::black_box(hash::digest(DigestAlgorithm::Sha256, &bytes));
    }) * 1.048_576
}

/// How many files of 1 KiB a second are created, synced, named and synced with their directory: one
/// after the other, and as many at once as there are connections.
pub(crate) fn disk() -> (f64, f64) {
    (files(1), files(CONNECTIONS))
}

fn files(threads: usize) -> f64 {
    let (directory, made) = (directory(), AtomicU64::new(0));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while began.elapsed() < Duration::from_secs(2) {
                    file(directory.path());
                    made.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    made.into_inner() as f64 / began.elapsed().as_secs_f64()
}

fn file(directory: &Path) {
    let name = next().to_string();
    let temporary = directory.join(format!("{name}.tmp"));
    let mut file = File::create(&temporary).unwrap();
    file.write_all(&[7; 1024]).unwrap();
    file.sync_all().unwrap();
    fs::rename(temporary, directory.join(name)).unwrap();
    File::open(directory).unwrap().sync_all().unwrap();
}
