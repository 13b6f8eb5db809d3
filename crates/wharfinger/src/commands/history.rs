//! `wharfinger history`: what became of a tag.

use std::process::ExitCode;

use clap::Args;
use client::{ImageName, TagHistoryEntry};
use oci::{Digest, Reference};
use serde_json::json;

use super::table::table;
use crate::failure::Failure;
use crate::output::{print, print_json};
use crate::remote::{ConnectionArguments, run as run_async};

/// Show when a tag was made, moved and removed, and by whom, the latest change first
///
/// The registry must be a wharfinger server. `wharfinger restore` goes back to an earlier manifest.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The tag: HOST/NAME[:TAG].
    #[arg(value_name = "IMAGE")]
    name: ImageName,
    /// How many changes are shown at most.
    #[arg(long, default_value_t = 100, value_name = "NUMBER")]
    limit: usize,
    /// Print JSON: {name, tag, history: [{time, from, to, account, request_id}]}.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    run_async(async {
        let Reference::Tag(tag) = arguments.name.reference() else {
            return Err(Failure::usage("a digest has no history: it never changes")
                .hint("write HOST/NAME:TAG"));
        };
        let repository = arguments.connection.repository(&arguments.name).await?;
        let changes = repository.tag_history(&tag, arguments.limit).await?;
        if arguments.json {
            let history: Vec<_> = changes.iter().map(document).collect();
            let name = repository.name().as_str();
            return print_json(&json!({"name": name, "tag": tag.as_str(), "history": history}));
        }
        let rows = changes.into_iter().map(|change| {
            [
                change.time,
                change.account.unwrap_or_else(|| "-".to_owned()),
                shown(change.from, "new"),
                shown(change.to, "removed"),
            ]
        });
        print(&table(["TIME", "ACCOUNT", "FROM", "TO"], rows.collect()))
    })
}

fn shown(digest: Option<Digest>, otherwise: &str) -> String {
    digest.map_or_else(|| otherwise.to_owned(), |digest| digest.to_string())
}

fn document(change: &TagHistoryEntry) -> serde_json::Value {
    let TagHistoryEntry {
        time,
        from,
        to,
        account,
        request_id,
    } = change;
    json!({
        "time": time, "from": from, "to": to, "account": account, "request_id": request_id,
    })
}
