//! `wharfinger registry copy`: moving a registry to another database and other content, while it serves.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use common::SystemEntropy;
use data_encoding::HEXLOWER;
use database::{CopyState, Database, SmallTablesError};
use serde_json::json;
use storage::{RelocationError, RelocationReport};

use super::hold::{random_id, while_held};
use super::open::{self, Opened};
use super::progress::Progress;
use super::{count, half_read, print, size};
use crate::failure::Failure;
use crate::output::note;

/// Passes before the cut over, at most: a registry that gets more than a pass can copy never ends.
const PASSES: usize = 10;
/// With at most so many differences in a pass, the next one is short.
const FEW: u64 = 100;
/// Passes after the cut over, at most: what the first finds, the second confirms.
const LAST_PASSES: usize = 3;

/// Move the registry to another database and other content, while its server runs
///
/// Everything is copied: images, accounts, rules, robots and tokens, sign-ins, sessions and the
/// administration log. Passes are repeated until little changes. Then the old registry is made
/// read-only: pulls and logins continue, pushes get 503 and are tried again by their clients. After a
/// last pass, both are compared. If it is interrupted, run it again to continue.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The configuration of the server that runs.
    file: PathBuf,
    /// The configuration of the new server, which must not run yet. Its database and its content must be
    /// empty, or an unfinished copy of this registry.
    to: Option<PathBuf>,
    /// Only copy: the old registry is not made read-only, and the copy is not finished.
    #[arg(long, conflicts_with = "release", requires = "to")]
    prepare: bool,
    /// Let the old registry store again what clients push, after a cut over that is given up.
    #[arg(long, conflicts_with = "to")]
    release: bool,
    /// Print one JSON object: {complete, repositories, manifests, tags, blobs, copied_blobs,
    /// copied_bytes, damaged}, or with --release {released}.
    #[arg(long)]
    json: bool,
}

/// The two registries.
struct RegistryPair {
    from: Opened,
    to: Opened,
}

/// What all passes have done.
#[derive(Default)]
struct CopyTotal {
    last: RelocationReport,
    copied_blobs: u64,
    copied_bytes: u64,
}

impl Arguments {
    pub(super) async fn run(&self) -> Result<ExitCode, Failure> {
        let from = open::existing(&self.file).await?;
        if self.release {
            return self.release(&from.database).await;
        }
        let Some(to) = &self.to else {
            return Err(Failure::usage("no new registry is named").hint(
                "wharfinger registry copy FILE TO: TO is the configuration of the new server",
            ));
        };
        let id = from.database.copy_id(&HEXLOWER.encode(&random_id()?)).await;
        let id = id.map_err(|error| read_failed(&error))?;
        let copy = RegistryPair {
            from,
            to: open::target(to).await?,
        };
        if copy.begin(&id).await? == CopyBeginning::Complete {
            let message = format!("{} is a complete copy already", to.display());
            return Err(Failure::negative(message).hint(
                "start the new server with it; to copy again, remove its database and its content",
            ));
        }
        let work = self.copy(&copy, id);
        let total = while_held(&copy.from.storage, work).await??;
        self.report(&total)?;
        Ok(match total.last.damaged {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::from(1),
        })
    }

    async fn release(&self, database: &Database) -> Result<ExitCode, Failure> {
        let written = database.make_writable().await;
        written.map_err(|error| read_failed(&error))?;
        let human = "the registry stores what clients push again\n";
        print(self.json, &json!({"released": true}), human)?;
        Ok(ExitCode::SUCCESS)
    }

    async fn copy(&self, copy: &RegistryPair, id: String) -> Result<CopyTotal, Failure> {
        let mut total = CopyTotal::default();
        for number in 1..=PASSES {
            let differences = copy.pass(&mut total, &self.file).await?;
            note(format_args!("pass {number}: {differences} differences"));
            if differences <= FEW {
                break;
            }
        }
        if self.prepare {
            return Ok(total);
        }
        let stopped = copy.from.database.make_read_only().await;
        stopped.map_err(|error| {
            Failure::system("the old registry cannot be made read-only").caused_by(&error)
        })?;
        note(format_args!("the old registry is read-only now"));
        for _ in 0..LAST_PASSES {
            let finished = copy.pass(&mut total, &self.file).await;
            let differences = finished.map_err(|failure| {
                failure.hint(format!(
                    "the old registry is read-only: run the command again, or give it up with `wharfinger registry copy {} --release`",
                    self.file.display()
                ))
            })?;
            if differences == 0 {
                let state = CopyState::Complete(id);
                let set = copy.to.database.set_copy_state(state).await;
                set.map_err(|error| write_failed(&error))?;
                return Ok(total);
            }
        }
        Err(Failure::system("both registries still differ after the cut over").hint(format!(
            "stop the old server and run the command again, or give it up with `wharfinger registry copy {} --release`",
            self.file.display()
        )))
    }

    fn report(&self, total: &CopyTotal) -> Result<(), Failure> {
        let CopyTotal {
            last,
            copied_blobs,
            copied_bytes,
        } = total;
        let json = json!({
            "complete": !self.prepare,
            "repositories": last.repositories,
            "manifests": last.manifests,
            "tags": last.tags,
            "blobs": last.blobs,
            "copied_blobs": copied_blobs,
            "copied_bytes": copied_bytes,
            "damaged": last.damaged,
        });
        let mut human = format!(
            "{}, {}, {} and {} are in the new registry; content of {} ({}) was copied\n",
            count(last.repositories, "repository"),
            count(last.manifests, "manifest"),
            count(last.tags, "tag"),
            count(last.blobs, "blob"),
            count(*copied_blobs, "blob"),
            size(*copied_bytes),
        );
        if last.damaged > 0 {
            human += &format!(
                "{} could not be copied: `wharfinger registry verify {}` says which images to push again\n",
                count(last.damaged, "damaged blob"),
                self.file.display(),
            );
        }
        let to = self.to.as_deref().unwrap_or(&self.file).display();
        human += &if self.prepare {
            "run the command again without --prepare to finish\n".to_owned()
        } else {
            format!(
                "next: start the new server with {to}, send clients to it, and stop the old one; until then, the old one serves pulls\n\
                 to give up: wharfinger registry copy {} --release\n",
                self.file.display()
            )
        };
        print(self.json, &json, &human)
    }
}

/// How a copy begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CopyBeginning {
    /// For the first time, or again.
    Unfinished,
    Complete,
}

impl RegistryPair {
    /// Requires that the target is empty, or an unfinished copy of the same registry.
    async fn begin(&self, id: &str) -> Result<CopyBeginning, Failure> {
        let database = &self.to.database;
        let state = database.copy_state().await;
        match state.map_err(|error| write_failed(&error))? {
            CopyState::Unfinished(known) if known == id => return Ok(CopyBeginning::Unfinished),
            CopyState::Complete(known) if known == id => return Ok(CopyBeginning::Complete),
            CopyState::Unfinished(_) | CopyState::Complete(_) => {
                return Err(not_empty("the new registry is a copy of another one"));
            }
            CopyState::None => {}
        }
        let has_images = self.to.storage.has_images().await;
        if has_images.map_err(|error| write_failed(&error))? {
            return Err(not_empty("the new registry has images of its own"));
        }
        let has_none = database.has_no_accounts().await;
        if !has_none.map_err(|error| write_failed(&error))? {
            return Err(not_empty(
                "the new registry has accounts or rules of its own",
            ));
        }
        let state = CopyState::Unfinished(id.to_owned());
        let set = database.set_copy_state(state).await;
        set.map_err(|error| write_failed(&error))?;
        Ok(CopyBeginning::Unfinished)
    }

    /// Returns how much was different.
    async fn pass(&self, total: &mut CopyTotal, file: &std::path::Path) -> Result<u64, Failure> {
        let mut progress = Progress::new("copying");
        let told = |report: &RelocationReport| {
            progress.so_far(|| {
                format!(
                    "{}, {} of content",
                    count(report.repositories, "repository"),
                    size(report.copied_bytes)
                )
            });
        };
        let entropy = Arc::new(SystemEntropy);
        let passed = self
            .from
            .storage
            .relocate_to(&self.to.storage, entropy, told);
        let report = passed.await.map_err(|error| match &error {
            RelocationError::HalfRead(location) => {
                half_read(Failure::system("nothing was copied"), file, location).caused_by(&error)
            }
            _ => not_complete(&error),
        })?;
        total.copied_blobs += report.copied_blobs;
        total.copied_bytes += report.copied_bytes;
        total.last = report;
        let tables = self
            .from
            .database
            .copy_small_tables(&self.to.database)
            .await;
        let tables = tables.map_err(|error: SmallTablesError| not_complete(&error))?;
        // Pulls are recorded all the time: what is new there is no difference.
        let recorded = self.from.database.copy_audit(&self.to.database).await;
        recorded.map_err(|error: SmallTablesError| not_complete(&error))?;
        let history = self.from.database.copy_tag_history(&self.to.database).await;
        history.map_err(|error: SmallTablesError| not_complete(&error))?;
        Ok(report.differences() + tables as u64)
    }
}

fn not_complete(error: &dyn std::error::Error) -> Failure {
    let failure = Failure::system("the copy is not complete").caused_by(error);
    failure.hint("run the command again to continue")
}

fn not_empty(message: &str) -> Failure {
    Failure::usage(message).hint("name a configuration with an empty database and empty content")
}

fn read_failed(error: &dyn std::error::Error) -> Failure {
    Failure::system("the old registry's database failed").caused_by(error)
}

fn write_failed(error: &dyn std::error::Error) -> Failure {
    Failure::system("the new registry's database failed").caused_by(error)
}
