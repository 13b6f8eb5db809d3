//! Replacing registry:2: the data directory that a server finds on its first start is adopted while
//! it serves.
//!
//! Repositories that clients request are adopted first, the others in turn. This file writes the
//! progress to the log.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::{Clock, SystemClock};
use storage::Storage;
use storage::distribution::{
    AdoptError, AdoptionProblem, AdoptionReport, Discovery, OngoingAdoption,
};

use crate::failure::Failure;

/// The time between two lines about the progress.
const PAUSE: Duration = Duration::from_secs(10);
/// The time until the next try after the disk or the database failed.
const AGAIN: Duration = Duration::from_secs(30);
/// How many problems have a line each. The command lists them all.
const TOLD: usize = 100;

/// The data directory below `root`, if it is to be adopted.
pub(super) async fn discover(
    storage: &Storage,
    root: &Path,
) -> Result<Option<Arc<OngoingAdoption>>, Failure> {
    let directory = root.display();
    match storage
        .discover(root)
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
                "another registry's data directory was never adopted, and is not now: this registry has images of its own; \
                 `wharfinger registry adopt FILE DIR` adopts it"
            );
            Ok(None)
        }
    }
}

/// Adopts all of it, and tries again after failures.
pub(super) async fn read_through(storage: &Storage, reading: &Arc<OngoingAdoption>) {
    let mut log = Log {
        told: 0,
        next: SystemClock.now() + PAUSE,
    };
    loop {
        match storage
            .complete_adoption(reading, |report| log.hear(report))
            .await
        {
            Ok(report) => return log.end(&report),
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
                "more was not adopted: `wharfinger registry adopt FILE DIR` lists all of it"
            );
        }
        tracing::info!(
            repositories = report.of,
            tags = report.tags,
            manifests = report.manifests,
            blobs = report.blobs,
            problems = report.problems.len(),
            "adopted; the files stay as they are until `wharfinger registry adopt FILE DIR --final`"
        );
    }
}

fn failure(error: &AdoptError) -> Failure {
    let failure =
        Failure::system("another registry's data directory cannot be adopted").caused_by(error);
    match error {
        AdoptError::Read { .. } => {
            failure.hint("the user that this server runs as must be able to read all of it")
        }
        _ => failure,
    }
}
