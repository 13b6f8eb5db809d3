//! `wharfinger replicas`: the servers that share a database.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use common::print_duration;
use data_encoding::HEXLOWER;
use database::{Database, DatabaseLocation};
use serde_json::json;

use super::configuration::{load, open_database};
use super::runtime;
use super::table::table;
use crate::failure::Failure;
use crate::output;
use crate::replicas::{self, ListedReplica};

/// List the servers that share a database in PostgreSQL
///
/// Servers with the same configuration, and the same files that it names, have the same CONFIG. A server
/// notes itself every ten seconds. One that was killed is listed as away for a day.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The configuration of one of them.
    file: PathBuf,
    /// Print a JSON array: [{name, version, schema, config, started_seconds_ago, seen_seconds_ago, present}].
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let listed = runtime::block_on(servers(&arguments.file))??;
    if arguments.json {
        let list: Vec<_> = listed.iter().map(json).collect();
        output::print_json(&json!(list))?;
    } else {
        let head = ["NAME", "VERSION", "SCHEMA", "CONFIG", "STARTED", "SEEN"];
        output::print(&table(head, listed.iter().map(row).collect()))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn servers(file: &std::path::Path) -> Result<Vec<ListedReplica>, Failure> {
    let config = load(file)?.config;
    let only_one = || {
        let message = format!(
            "the database of {} is a file, which has one server",
            file.display()
        );
        Failure::usage(message).hint("servers share a database in PostgreSQL: `database.url`")
    };
    let location = config.database.as_ref().ok_or_else(only_one)?;
    if !matches!(location, DatabaseLocation::Postgres(..)) {
        return Err(only_one());
    }
    let database = open_database(location, "the list of servers")?;
    let pool = database.postgres().ok_or_else(only_one)?;
    let ready = Database::ready(&database).await;
    ready.map_err(|error| not_listed(&error))?;
    let listed = replicas::list(pool).await;
    listed.map_err(|error| not_listed(&error))
}

fn not_listed(error: &dyn std::error::Error) -> Failure {
    Failure::system("the servers cannot be listed").caused_by(error)
}

/// So much of a configuration's hash is shown.
fn config(replica: &ListedReplica) -> String {
    let hash = replica.config_hash.get(..6).unwrap_or_default();
    HEXLOWER.encode(hash)
}

fn json(replica: &ListedReplica) -> serde_json::Value {
    json!({
        "name": replica.name,
        "version": replica.version,
        "schema": replica.schema,
        "config": config(replica),
        "started_seconds_ago": replica.started.as_secs(),
        "seen_seconds_ago": replica.seen.as_secs(),
        "present": replica.is_present,
    })
}

fn row(replica: &ListedReplica) -> [String; 6] {
    let ago = |time: Duration| {
        format!(
            "{} ago",
            print_duration(Duration::from_secs(time.as_secs()))
        )
    };
    let away = if replica.is_present { "" } else { " (away)" };
    [
        replica.name.clone(),
        replica.version.clone(),
        replica.schema.to_string(),
        config(replica),
        ago(replica.started),
        format!("{}{away}", ago(replica.seen)),
    ]
}
