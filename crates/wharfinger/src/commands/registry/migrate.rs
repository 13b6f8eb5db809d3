//! `wharfinger registry migrate`: creates or migrates the tables in PostgreSQL before a server does.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use database::{DatabaseLocation, MigrationReport};
use postgresql::PostgresPool;
use serde_json::json;

use super::print;
use crate::commands::configuration::load;
use crate::failure::Failure;

/// Create or migrate the tables of a database in PostgreSQL
///
/// The first server of a new version does the same when it starts. Servers of the version before go
/// on while it is done. A SQLite file is migrated by its server only.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The server's configuration.
    file: PathBuf,
    /// Change nothing, and exit with 1 if there is something to do.
    #[arg(long)]
    check: bool,
    /// Print one JSON object: {before, after}, the versions of the tables; before is null if there
    /// are none.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) async fn run(&self) -> Result<ExitCode, Failure> {
        let config = load(&self.file)?.config;
        let Some(DatabaseLocation::Postgres(server, settings)) = config.database else {
            let message = format!("the database of {} is not PostgreSQL", self.file.display());
            let hint = "its server migrates a SQLite file when it starts";
            return Err(Failure::usage(message).hint(hint));
        };
        let pool = PostgresPool::new(*server, settings);
        let report = match self.check {
            true => database::pending_migration(&pool).await,
            false => database::migrate(&pool).await,
        };
        let report = report.map_err(|error| {
            let failure = Failure::system("the tables were not migrated").caused_by(&error);
            match error {
                database::Error::Unavailable(_) => failure.hint(
                    "a lock that another session holds for more than two seconds stops it, too: \
                     try again",
                ),
                _ => failure,
            }
        })?;
        let json = json!({ "before": report.before, "after": report.after });
        print(self.json, &json, &self.text(report))?;
        let is_missing = self.check && report.before != Some(report.after);
        Ok(match is_missing {
            true => ExitCode::FAILURE,
            false => ExitCode::SUCCESS,
        })
    }

    fn text(&self, report: MigrationReport) -> String {
        let MigrationReport { before, after } = report;
        match (before, self.check) {
            (Some(before), _) if before == after => {
                format!("the tables have the version {after}: nothing to do\n")
            }
            (Some(before), true) => {
                format!("the tables have the version {before}, and {after} is needed\n")
            }
            (None, true) => format!("there are no tables, and the version {after} is needed\n"),
            (Some(before), false) => {
                format!("the tables were migrated from version {before} to {after}\n")
            }
            (None, false) => format!("the tables were created, in version {after}\n"),
        }
    }
}
