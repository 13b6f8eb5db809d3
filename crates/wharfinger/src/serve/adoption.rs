//! Replacing registry:2: the data directory that a server finds on its first start is adopted while
//! it serves.
//!
//! Repositories that clients request are adopted first, the others in turn. This file writes the
//! progress to the log.

use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::{Clock, SystemClock};
use storage::distribution::{
    AdoptError, AdoptionProblem, AdoptionReport, AdoptionTurn, Discovery, OngoingAdoption,
    RegistryData,
};
use storage::{ContentLocation, Storage};

use crate::failure::Failure;

/// The time between two lines about the progress.
const PAUSE: Duration = Duration::from_secs(10);
/// The time until the next try after the disk or the database failed.
const AGAIN: Duration = Duration::from_secs(30);
/// How often a server asks whether another one still reads.
const TURN: Duration = Duration::from_secs(5);
/// How many problems have a line each. The command lists them all.
const TOLD: usize = 100;

/// The data directory below `root`, if it is to be adopted.
pub(super) async fn discover(
    storage: &Storage,
    root: &Path,
) -> Result<Option<Arc<OngoingAdoption>>, Failure> {
    discover_data(storage, RegistryData::Directory(root), &root.display()).await
}

/// The data of another registry in the bucket of our own content, if they are to be adopted.
pub(super) async fn discover_bucket(
    storage: &Storage,
    url: &str,
) -> Result<Option<Arc<OngoingAdoption>>, Failure> {
    discover_data(storage, RegistryData::Bucket(url), &url).await
}

async fn discover_data(
    storage: &Storage,
    data: RegistryData<'_>,
    directory: &(dyn Display + Sync),
) -> Result<Option<Arc<OngoingAdoption>>, Failure> {
    match storage
        .discover(data)
        .await
        .map_err(|error| failure(&error))?
    {
        Discovery::Nothing => Ok(None),
        Discovery::Unread(reading) => {
            tracing::info!(
                %directory,
                "adopting the existing registry data in place; pulls and pushes work meanwhile"
            );
            Ok(Some(reading))
        }
        Discovery::Unrelated => {
            tracing::warn!(
                %directory,
                "another registry's data were never adopted, and are not now: this registry has images of its own; \
                 `wharfinger registry adopt FILE DATA` adopts them"
            );
            Ok(None)
        }
    }
}

/// Adopts all of it, or waits until another server has, and tries again after failures.
pub(super) async fn read_through(storage: &Storage, reading: &Arc<OngoingAdoption>) {
    let mut log = Log {
        told: 0,
        next: SystemClock.now() + PAUSE,
    };
    loop {
        match storage
            .complete_adoption_in_turn(reading, |report| log.hear(report))
            .await
        {
            Ok(AdoptionTurn::Complete(report)) => return log.end(&report),
            Ok(AdoptionTurn::CompleteElsewhere) => {
                return tracing::info!("another server has adopted the existing registry data");
            }
            Ok(AdoptionTurn::Elsewhere) => {
                tokio::time::sleep(TURN).await;
                continue;
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::error!(
                    error,
                    seconds = AGAIN.as_secs(),
                    "adoption failed; retrying"
                );
            }
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// What was told of an adoption.
struct Log {
    /// Problems.
    told: usize,
    /// When the progress is told next.
    next: SystemTime,
}

impl Log {
    fn hear(&mut self, report: &AdoptionReport) {
        self.tell(&report.problems);
        let now = SystemClock.now();
        if now >= self.next {
            self.next = now + PAUSE;
            tracing::info!(
                repositories = report.repositories,
                of = report.of,
                "adopting"
            );
        }
    }

    fn tell(&mut self, problems: &[AdoptionProblem]) {
        for AdoptionProblem { path, kind } in problems.iter().take(TOLD).skip(self.told) {
            tracing::warn!(path, problem = %kind, "not adopted");
        }
        self.told = problems.len();
    }

    fn end(&mut self, report: &AdoptionReport) {
        self.tell(&report.problems);
        if report.problems.len() > TOLD {
            let untold = report.problems.len() - TOLD;
            tracing::warn!(
                untold,
                "more was not adopted: `wharfinger registry adopt FILE DATA` lists all of it"
            );
        }
        tracing::info!(
            repositories = report.of,
            tags = report.tags,
            manifests = report.manifests,
            blobs = report.blobs,
            problems = report.problems.len(),
            "adopted; the files stay as they are until `wharfinger registry adopt FILE DATA --final`"
        );
    }
}

fn failure(error: &AdoptError) -> Failure {
    let failure = Failure::system("another registry's data cannot be adopted").caused_by(error);
    match error {
        AdoptError::Read {
            location: ContentLocation::Directory(_),
            ..
        } => failure.hint("the user that this server runs as must be able to read all of it"),
        AdoptError::Read { .. } => failure.hint(
            "the key of registry.storage.s3 must be allowed to list and read the bucket \
             (s3:ListBucket, s3:GetObject)",
        ),
        _ => failure,
    }
}
