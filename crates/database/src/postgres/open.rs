//! Reaching the database of a server, and migrating its tables, until that has succeeded.

use std::error::Error as _;
use std::time::Duration;

use common::{Entropy, SystemEntropy};
use postgresql::PostgresPool;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::migrations;
use crate::{Error, SchemaError};

/// How long until another attempt.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a server looks whether a newer program has changed the tables.
const INTERVAL: Duration = Duration::from_secs(10);

/// How far the opening of a database is.
#[derive(Clone, Debug)]
pub(crate) enum OpeningProgress {
    /// It was not reached yet.
    Waiting,
    /// Its tables can be used.
    Ready,
    /// This program cannot use its tables.
    Refused(SchemaError),
}

impl OpeningProgress {
    pub(super) fn require(&self) -> Result<(), Error> {
        match self {
            Self::Ready => Ok(()),
            Self::Waiting => Err(Error::NotReached),
            Self::Refused(error) => Err(Error::Schema(error.clone())),
        }
    }
}

/// Begins to open the database, in a task of its own.
pub(super) fn start(pool: PostgresPool) -> (watch::Receiver<OpeningProgress>, AbortHandle) {
    let (sender, opening) = watch::channel(OpeningProgress::Waiting);
    let task = tokio::spawn(open(pool, sender)).abort_handle();
    (opening, task)
}

/// Returns when the database can be used, or never will.
pub(super) async fn ready(mut opening: watch::Receiver<OpeningProgress>) -> Result<(), Error> {
    let settled = opening.wait_for(|opening| !matches!(opening, OpeningProgress::Waiting));
    match settled.await {
        Ok(opening) => opening.require(),
        Err(_) => Err(Error::Closed),
    }
}

async fn open(pool: PostgresPool, opening: watch::Sender<OpeningProgress>) {
    let mut told = String::new();
    loop {
        match migrations::migrate(&pool).await {
            Ok(report) => {
                if report.before != Some(report.after) {
                    tracing::info!(
                        version = report.after,
                        "the database's tables were migrated"
                    );
                } else if !told.is_empty() {
                    tracing::info!("the database can be used now");
                }
                opening.send_replace(OpeningProgress::Ready);
                break;
            }
            Err(Error::Schema(error)) => {
                opening.send_replace(OpeningProgress::Refused(error));
                return;
            }
            // The pool has logged that no server can be reached.
            Err(_) if pool.is_away() => {}
            Err(error) => tell_once(&error, &mut told),
        }
        tokio::time::sleep(PAUSE.mul_f64(0.5 + fraction())).await;
    }
    let error = newer_tables(&pool).await;
    let log = &error as &dyn std::error::Error;
    tracing::error!(
        error = log,
        "a newer program has changed the database's tables; this server answers 503 from now on"
    );
    // The statements of this program could damage what they do not know.
    pool.close();
    opening.send_replace(OpeningProgress::Refused(error));
}

/// Returns when this program must not use the tables any more.
async fn newer_tables(pool: &PostgresPool) -> SchemaError {
    loop {
        tokio::time::sleep(INTERVAL.mul_f64(0.5 + fraction())).await;
        if let Err(Error::Schema(error @ SchemaError::Newer { .. })) = migrations::check(pool).await
        {
            return error;
        }
    }
}

/// Logs an error, unless it is the one of the last attempt.
fn tell_once(error: &Error, told: &mut String) {
    let source = error.source().map(ToString::to_string);
    let text = format!("{error}: {}", source.unwrap_or_default());
    if *told != text {
        let error = error as &dyn std::error::Error;
        tracing::error!(
            error,
            "the database cannot be opened; the server tries again, and answers 503 until then"
        );
        *told = text;
    }
}

/// A number from 0 to 1, so that replicas do not do the same at the same time. It decides nothing.
pub(super) fn fraction() -> f64 {
    let mut bytes = [0; 2];
    match SystemEntropy.fill(&mut bytes) {
        Ok(()) => f64::from(u16::from_be_bytes(bytes)) / f64::from(u16::MAX),
        Err(_) => 1.0,
    }
}
