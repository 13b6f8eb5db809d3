//! `wharfinger notifications list`.

use clap::Args;
use client::ApiRoute;
use common::escape_json;
use notifications::{DeliveryEntry, DeliveryFilter, DeliveryState};
use serde_json::{Value, json};

use super::{deliveries, refused};
use crate::commands::managed_database::ManagedDatabase;
use crate::commands::managed_server::{ManagedServer, ManagedServerArguments};
use crate::commands::table::table;
use crate::failure::Failure;
use crate::output::note;

/// List the last notifications of pushes and deletions, the latest last
///
/// STATE is `pending`, `delivered` or `failed`. A failed one was set aside, and is not tried any more.
#[derive(Debug, Args)]
pub(super) struct ListDeliveries {
    #[command(flatten)]
    server: ManagedServerArguments,
    /// Only those for this endpoint.
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,
    /// Only those that were set aside.
    #[arg(long, conflicts_with = "pending")]
    failed: bool,
    /// Only those that wait.
    #[arg(long)]
    pending: bool,
    /// How many are listed.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    /// Print a JSON object on each line: {id, endpoint, state, queued_at, changed_at, attempts, status, error, event}.
    #[arg(long)]
    json: bool,
}

impl ListDeliveries {
    pub(super) async fn run(self) -> Result<String, Failure> {
        let filter = DeliveryFilter {
            endpoint: self.endpoint,
            state: match (self.failed, self.pending) {
                (true, _) => Some(DeliveryState::Failed),
                (_, true) => Some(DeliveryState::Pending),
                (false, false) => None,
            },
            ids: Vec::new(),
        };
        let mut entries: Vec<DeliveryEntry> = match self.server.managed().await? {
            ManagedServer::Configured(file) => {
                let ManagedDatabase { config, database } = ManagedDatabase::open(file)?;
                let deliveries = deliveries(&config, database);
                let list = deliveries.list(filter, None, self.limit);
                list.await.map_err(|error| refused(&error))?
            }
            ManagedServer::Remote(api) => {
                let most = usize::try_from(self.limit).unwrap_or(usize::MAX);
                let route = ApiRoute::new(&["notifications"], &[("notifications", "read")])
                    .with_some("endpoint", filter.endpoint.as_deref())
                    .with_some("state", filter.state.map(DeliveryState::word));
                api.list(route, "after", most).await?
            }
        };
        if entries.len() == self.limit as usize {
            note("note: there may be more: see --limit");
        }
        entries.reverse();
        Ok(match self.json {
            true => entries.iter().map(line).collect(),
            false => {
                let head = [
                    "ID", "QUEUED", "ENDPOINT", "STATE", "ATTEMPTS", "EVENT", "ERROR",
                ];
                table(head, entries.iter().map(row).collect())
            }
        })
    }
}

fn line(entry: &DeliveryEntry) -> String {
    escape_json(&format!("{}\n", json!(entry))).into_owned()
}

fn row(entry: &DeliveryEntry) -> [String; 7] {
    [
        entry.id.to_string(),
        entry.queued_at.clone(),
        entry.endpoint.clone(),
        entry.state.to_string(),
        entry.attempts.to_string(),
        what(&entry.event),
        entry.error.clone().unwrap_or_default(),
    ]
}

/// The action and the image: `push library/app:1`.
fn what(event: &Value) -> String {
    let text = |pointer: &str| {
        let text = event.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let (action, repository) = (text("/action"), text("/target/repository"));
    match (text("/target/tag"), text("/target/digest")) {
        (tag, _) if !tag.is_empty() => format!("{action} {repository}:{tag}"),
        (_, digest) => format!("{action} {repository}@{digest}"),
    }
}
