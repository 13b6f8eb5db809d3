//! `wharfinger audit export`: events as JSON lines, for other programs.

use std::path::PathBuf;

use audit::{AuditFilter, known_kind};
use clap::Args;
use common::{Clock, SystemClock, escape_json};

use super::events::{milliseconds, reader};
use crate::commands::managed_database::{ManagedDatabase, failed};
use crate::failure::Failure;
use crate::output;
use crate::when::TimeArgument;

/// How many records are read at once.
const PAGE: u32 = 1000;

/// Write events as JSON lines, in the order in which they were recorded
///
/// Each line has the number of its event as `id`. To go on later, give the last one with --after.
#[derive(Debug, Args)]
pub(super) struct Export {
    /// The server's configuration.
    file: PathBuf,
    /// Only events after the one of this number.
    #[arg(long, value_name = "ID", default_value_t = 0)]
    after: i64,
    /// Only events of this account.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Only events about this repository.
    #[arg(long, value_name = "REPOSITORY")]
    repository: Option<String>,
    /// Only events of this kind, as in manifest_pulled.
    #[arg(long, value_name = "KIND", value_parser = known_kind)]
    event: Option<String>,
    /// Only events since then: 2026-01-31, 2026-01-31T12:00:00Z or now-1h.
    #[arg(long, value_name = "TIME", value_parser = TimeArgument::parse)]
    since: Option<TimeArgument>,
    /// Only events before then.
    #[arg(long, value_name = "TIME", value_parser = TimeArgument::parse)]
    until: Option<TimeArgument>,
}

impl Export {
    pub(super) async fn run(self) -> Result<(), Failure> {
        let now = SystemClock.now();
        let filter = AuditFilter {
            account: self.account,
            repository: self.repository,
            kind: self.event,
            since: self.since.map(|when| milliseconds(when, now)).transpose()?,
            until: self.until.map(|when| milliseconds(when, now)).transpose()?,
            ..AuditFilter::default()
        };
        let managed = ManagedDatabase::open(&self.file)?;
        let reader = reader(&managed, &filter).await?;
        let mut after = self.after;
        loop {
            let records = reader.export(filter.clone(), after, PAGE).await;
            let records = records.map_err(|error| failed(&error))?;
            let Some(last) = records.last() else {
                return Ok(());
            };
            after = last.id;
            let lines = records.iter().map(|record| record.line() + "\n");
            output::print(&escape_json(&lines.collect::<String>()))?;
        }
    }
}
