//! The same operations, chosen at random, on an implementation and on the one in memory: every
//! result is the same.

mod operations;
mod questions;

use std::fmt::Debug;
use std::time::Duration;

use proptest::test_runner::{Config, TestRunner};
use storage::collection::CollectionPolicy;
use storage::{Blob, FinishedUpload, NewManifest, Quota, Quotas, Retention, UploadId};
use tag_rules::ImmutabilityRules;

use super::bench::{Bench, DAY, HOUR, MakeStores};
use super::concurrent::check;
use super::immutable::rule;
use super::memory;
use super::operation::{Operation, operation};
use super::quotas::{quota, quotas};
use crate::world::{descriptor, image, index, manifest, sha256};

/// An eighth of these times, and of an hour, is less than the shortest step of the clock. So it
/// makes no difference whether an implementation renews each lease.
const RETENTION: Retention = Retention {
    grace: DAY,
    upload_expiry: Duration::from_secs(8 * 3600),
    retain: Duration::ZERO,
};

/// The kind of the outbox's records.
const KIND: &str = "test";

const REPOSITORIES: [&str; 3] = ["a", "a-b", "a/b"];
const TAGS: [&str; 3] = ["x", "X", "x.y"];
const CONTENTS: [&[u8]; 5] = [b"{}", b"1", b"2", b"3", b""];
const CLIENTS: [&str; 2] = ["ann", "bob"];

/// An implementation, and what it has answered so far.
struct Side {
    bench: Bench,
    manifests: Vec<NewManifest>,
    reserved: Vec<(FinishedUpload, Blob)>,
    uploads: Vec<UploadId>,
    /// The quotas that count.
    limits: Quotas,
}

/// Manifests that need each other in every way.
fn manifests() -> Vec<NewManifest> {
    let one = image(&[b"1"], None);
    let two = image(&[b"2", b"3"], None);
    let signature = image(&[b""], Some(one.digest()));
    let list = index(&[one.digest(), two.digest()]);
    let outer = index(&[list.digest(), sha256(b"sparse")]);
    let about = descriptor(oci::media_type::OCI_MANIFEST, one.digest(), 7);
    let members = format!(r#""manifests":[],"subject":{about},"artifactType":"a/a""#);
    let attestation = manifest(oci::media_type::OCI_INDEX, &members);
    vec![one, two, signature, list, outer, attestation]
}

/// The prefixes that have quotas at times.
const PREFIXES: [&str; 5] = ["*", "a", "a-b", "a/b", "a/b/c"];

/// Without limits, with low ones, and with some that are only lower than what may be used already.
fn limits(at: usize) -> Quotas {
    let limit = |prefix: &str, bytes: u64, tags: u64| Quota {
        warn_at: Some(60),
        ..quota(prefix, Some(bytes), Some(tags))
    };
    match at % 4 {
        0 => Quotas::default(),
        1 => quotas(&[
            limit("*", 3000, 6),
            limit("a", 1200, 4),
            limit("a/b", 700, 1),
        ]),
        2 => quotas(&[limit("*", 1500, 9), limit("a-b", 800, 2)]),
        _ => quotas(&[
            limit("a", 4, 9),
            limit("a/b/c", 0, 0),
            limit("a/b", 9000, 9),
        ]),
    }
}

/// In one repository, a tag is immutable.
fn rules() -> ImmutabilityRules {
    [rule("a-*", "[x-z]*", &["x.?"])].into_iter().collect()
}

/// A result, as it is compared.
fn show(result: &impl Debug) -> String {
    format!("{result:?}")
}

impl Side {
    async fn new(make: MakeStores) -> Self {
        Self {
            bench: Bench::with(make, RETENTION).await,
            manifests: manifests(),
            reserved: Vec::new(),
            uploads: Vec::new(),
            limits: Quotas::default(),
        }
    }
}

fn policy(untagged: Option<Duration>, waits: bool) -> CollectionPolicy {
    CollectionPolicy {
        grace: DAY,
        wait: if waits { 4 * HOUR } else { Duration::ZERO },
        untagged,
    }
}

/// Operations between two comparisons of everything.
const INTERVAL: usize = 10;

async fn compare(make: MakeStores, operations: Vec<Operation>) {
    let mut sides = [Side::new(make).await, Side::new(memory).await];
    for (at, operation) in operations.iter().enumerate() {
        let [tested, reference] = &mut sides;
        let (one, two) = (
            tested.perform(operation).await,
            reference.perform(operation).await,
        );
        assert_eq!(one, two, "operation {at}: {operation:?}");
        if at % INTERVAL == 0 || at + 1 == operations.len() {
            let (one, two) = (tested.everything().await, reference.everything().await);
            assert_eq!(one, two, "after operation {at}: {operation:?}");
        }
    }
    // Pushes that may lack blobs are among the operations, so not all of it holds.
    let strict =
        |operation: &Operation| !matches!(operation, Operation::Push { lenient: true, .. });
    if operations.iter().all(strict) {
        check(&sides[0].bench).await;
    }
}

/// What the runner has shrunk is the shortest sequence that differs.
pub(crate) fn the_same_operations_have_the_same_results(make: MakeStores) {
    let mut runner = TestRunner::new(Config {
        failure_persistence: None,
        ..Config::with_cases(24)
    });
    let operations = proptest::collection::vec(operation(), 1..150);
    let outcome = runner.run(&operations, |operations| {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().build().unwrap();
        runtime.block_on(compare(make, operations));
        Ok(())
    });
    if let Err(difference) = outcome {
        panic!("{difference}");
    }
}
