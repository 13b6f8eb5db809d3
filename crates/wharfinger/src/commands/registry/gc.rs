//! `wharfinger registry gc`: one pass of garbage collection.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use audit::{AuditRecord, AuditStore, Pseudonyms};
use clap::Args;
use common::{Clock, SystemClock, print_duration, with_causes};
use event::{Actor, Event, EventKind};
use serde_json::{Value, json};
use storage::collection::{CollectionPolicy, CollectionReport, Garbage, GarbageManifest};

use super::open::Opened;
use super::progress::Progress;
use super::{count, interrupted, open, print, size};
use crate::failure::Failure;
use crate::output::note;

/// Remove unreferenced blobs, abandoned uploads and, if `registry.gc.untagged` says so, untagged
/// manifests
///
/// It keeps everything that was used within `registry.gc.grace`. A running server keeps serving, and
/// keeps blobs that clients push in the meantime.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The server's configuration.
    file: PathBuf,
    /// Only list what would be removed.
    #[arg(long)]
    dry_run: bool,
    /// Also remove manifests without a tag that are older than `registry.gc.grace`, if
    /// `registry.gc.untagged` keeps them.
    #[arg(long)]
    delete_untagged: bool,
    /// Print one JSON object: {dry_run, manifests, blobs, bytes, uploads, waiting}; with --dry-run
    /// manifests, blobs and uploads are lists, and waiting is left out.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) async fn run(&self) -> Result<ExitCode, Failure> {
        let mut opened = open::existing(&self.file).await?;
        if self.delete_untagged {
            // A manifest that was just pushed may be about to get its tag.
            let sweep = &mut opened.places.sweep;
            let age = *sweep.untagged.get_or_insert(sweep.grace);
            let age = print_duration(age);
            note(format_args!(
                "note: manifests without a tag are removed if they are older than {age}"
            ));
        }
        let failed = |error: storage::Error| {
            interrupted("garbage collection failed before it was complete", &error)
        };
        if self.dry_run {
            let garbage = opened
                .storage
                .plan(opened.places.sweep)
                .await
                .map_err(failed)?;
            print(self.json, &planned_json(&garbage), &planned(&garbage))?;
            if garbage.manifests.is_empty() && garbage.blobs.is_empty() {
                note(format_args!("{}", kept(&opened.places.sweep)));
            }
        } else {
            let progress = Progress::new("collecting");
            let collected = opened
                .storage
                .collect(opened.places.sweep)
                .await
                .map_err(failed)?;
            drop(progress);
            record(&opened, &collected).await;
            print(self.json, &done_json(&collected), &done(&collected))?;
            if collected.manifests == 0 && collected.blobs == 0 {
                note(format_args!("{}", kept(&opened.places.sweep)));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Records the pass in the audit table, as a server does. The pass is over whether or not it succeeds.
async fn record(opened: &Opened, collected: &CollectionReport) {
    let Some(audit) = opened.places.audit else {
        return;
    };
    let store = AuditStore::new(opened.database.clone());
    // The event has no names.
    let names = Pseudonyms::new(audit.personal, &[0; 32]);
    let event = Event {
        time: SystemClock.now(),
        actor: Actor::default(),
        kind: EventKind::Collection {
            manifests: collected.manifests,
            blobs: collected.blobs,
            bytes: collected.bytes,
            uploads: collected.uploads,
        },
    };
    let records: Arc<[AuditRecord]> = [AuditRecord::of(&event, &names)].into();
    if let Err(error) = store.insert(records).await {
        note(format_args!(
            "warning: the audit table has no record of this collection: {}",
            with_causes(&error)
        ));
    }
}

/// Why nothing was removed, for an operator who deleted something before.
fn kept(policy: &CollectionPolicy) -> String {
    let untagged = match policy.untagged {
        None => "all manifests without a tag".to_owned(),
        Some(age) => format!(
            "manifests without a tag that are younger than {}",
            print_duration(age)
        ),
    };
    format!(
        "note: what was used within {} (registry.gc.grace) is kept, and so are {untagged} (registry.gc.untagged)",
        print_duration(policy.grace)
    )
}

fn planned(garbage: &Garbage) -> String {
    let mut lines = String::new();
    for GarbageManifest { repository, digest } in &garbage.manifests {
        lines += &format!("manifest {repository}@{digest}\n");
    }
    for blob in &garbage.blobs {
        lines += &format!("blob {} {}\n", blob.digest, size(blob.size));
    }
    for upload in &garbage.uploads {
        lines += &format!("upload {upload}\n");
    }
    lines
        + &format!(
            "would remove {} ({}), {} without a tag and {}; nothing was changed\n",
            count(garbage.blobs.len() as u64, "blob"),
            size(bytes(garbage)),
            count(garbage.manifests.len() as u64, "manifest"),
            count(garbage.uploads.len() as u64, "unfinished upload"),
        )
}

fn planned_json(garbage: &Garbage) -> Value {
    let manifests = garbage.manifests.iter().map(|manifest| {
        json!({
            "repository": manifest.repository.as_str(),
            "digest": manifest.digest.to_string(),
        })
    });
    let blobs = garbage
        .blobs
        .iter()
        .map(|blob| json!({"digest": blob.digest.to_string(), "size": blob.size}));
    json!({
        "dry_run": true,
        "manifests": Value::from_iter(manifests),
        "blobs": Value::from_iter(blobs),
        "bytes": bytes(garbage),
        "uploads": garbage.uploads.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

fn bytes(garbage: &Garbage) -> u64 {
    garbage.blobs.iter().map(|blob| blob.size).sum()
}

fn done(collected: &CollectionReport) -> String {
    let waiting = match waiting(collected) {
        0 => String::new(),
        blobs => format!(
            "{} found that nothing refers to; a later pass removes what stays so\n",
            count(blobs, "blob")
        ),
    };
    format!(
        "removed {} ({}), {} without a tag and {}\n{waiting}",
        count(collected.blobs, "blob"),
        size(collected.bytes),
        count(collected.manifests, "manifest"),
        count(collected.uploads, "unfinished upload"),
    )
}

fn done_json(collected: &CollectionReport) -> Value {
    json!({
        "dry_run": false,
        "manifests": collected.manifests,
        "blobs": collected.blobs,
        "bytes": collected.bytes,
        "uploads": collected.uploads,
        "waiting": waiting(collected),
    })
}

/// Blobs that were marked and are still there: a backup holds them, or a client uses
/// them again.
fn waiting(collected: &CollectionReport) -> u64 {
    collected.marked.saturating_sub(collected.blobs)
}

#[cfg(test)]
mod tests {
    use storage::collection::GarbageBlob;

    use super::*;

    #[test]
    fn tells_what_it_did() {
        let collected = CollectionReport {
            manifests: 1,
            marked: 3,
            blobs: 2,
            bytes: 2048,
            uploads: 0,
        };
        assert_eq!(
            done(&collected),
            "removed 2 blobs (2.0 KiB), 1 manifest without a tag and 0 unfinished uploads\n\
             1 blob found that nothing refers to; a later pass removes what stays so\n"
        );
        assert_eq!(done_json(&collected)["waiting"], 1);
    }

    #[test]
    fn tells_why_it_did_nothing() {
        let hours = |hours: u64| std::time::Duration::from_secs(hours * 3600);
        let mut policy = CollectionPolicy {
            grace: hours(24),
            wait: hours(0),
            untagged: None,
        };
        assert_eq!(
            kept(&policy),
            "note: what was used within 1d (registry.gc.grace) is kept, and so are all manifests without a tag \
             (registry.gc.untagged)"
        );
        policy.untagged = Some(hours(48));
        assert!(kept(&policy).contains("manifests without a tag that are younger than 2d"));
    }

    #[test]
    fn lists_what_it_would_do() {
        let digest = storage::hash::digest(oci::DigestAlgorithm::Sha256, b"");
        let garbage = Garbage {
            manifests: vec![GarbageManifest {
                repository: "team/app".parse().unwrap(),
                digest,
            }],
            blobs: vec![GarbageBlob { digest, size: 1024 }],
            uploads: vec![storage::UploadId::from_random([0; 16])],
        };
        let lines: Vec<_> = planned(&garbage).lines().map(str::to_owned).collect();
        assert_eq!(lines[0], format!("manifest team/app@{digest}"));
        assert_eq!(lines[1], format!("blob {digest} 1.0 KiB"));
        assert_eq!(lines[2], "upload 00000000-0000-4000-8000-000000000000");
        assert!(lines[3].starts_with(
            "would remove 1 blob (1.0 KiB), 1 manifest without a tag and 1 unfinished upload;"
        ));
        let json = planned_json(&garbage);
        assert_eq!(
            (&json["bytes"], &json["manifests"][0]["repository"]),
            (&json!(1024), &json!("team/app"))
        );
    }
}
