//! `wharfinger audit changes`: the administration log.

use clap::Args;
use client::ApiRoute;
use common::escape_json;
use database::{AdministrationFilter, AdministrationRecord, logged_changes};
use serde_json::json;

use crate::commands::managed_database::{ManagedDatabase, failed};
use crate::commands::managed_server::{ManagedServer, ManagedServerArguments};
use crate::commands::table::table;
use crate::failure::Failure;

/// List the last changes of accounts, rules, tokens and sessions, the latest last
#[derive(Debug, Args)]
pub(super) struct Changes {
    #[command(flatten)]
    server: ManagedServerArguments,
    /// Only changes of this user or account, as the list shows it.
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// Only changes of this object: an account, or "rule NUMBER".
    #[arg(long, value_name = "NAME")]
    object: Option<String>,
    /// How many changes are listed.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    /// Print a JSON object on each line: {id, time, origin, actor, action, object, details}.
    #[arg(long)]
    json: bool,
}

impl Changes {
    pub(super) async fn run(self) -> Result<String, Failure> {
        let mut records = self.records().await?;
        records.reverse();
        Ok(match self.json {
            true => records.iter().map(line).collect(),
            false => {
                let head = ["TIME", "ACTOR", "ACTION", "OBJECT", "DETAILS"];
                table(head, records.iter().map(row).collect())
            }
        })
    }

    /// The last changes, the latest first.
    async fn records(&self) -> Result<Vec<AdministrationRecord>, Failure> {
        let (actor, object) = (self.actor.as_deref(), self.object.as_deref());
        match self.server.managed().await? {
            ManagedServer::Configured(file) => {
                let database = ManagedDatabase::open(file)?.database;
                let filter = AdministrationFilter {
                    actor: actor.map(str::to_owned),
                    object: object.map(str::to_owned),
                    before: None,
                };
                let limit = self.limit;
                let read =
                    database.read(move |connection| logged_changes(connection, &filter, limit));
                let entries = read.await.map_err(|error| failed(&error))?.into_iter();
                Ok(entries.map(AdministrationRecord::from).collect())
            }
            ManagedServer::Remote(api) => {
                let list = ApiRoute::new(&["audit"], &[("audit", "read")]);
                let list = list.with_some("actor", actor).with_some("object", object);
                let most = usize::try_from(self.limit).unwrap_or(usize::MAX);
                Ok(api.list(list, "before", most).await?)
            }
        }
    }
}

fn line(record: &AdministrationRecord) -> String {
    escape_json(&format!("{}\n", json!(record))).into_owned()
}

fn row(record: &AdministrationRecord) -> [String; 5] {
    let details = match record.details.as_object() {
        Some(details) if details.is_empty() => String::new(),
        _ => record.details.to_string(),
    };
    [
        record.time.clone(),
        record.actor.clone(),
        record.action.clone(),
        record.object.clone(),
        details,
    ]
}
