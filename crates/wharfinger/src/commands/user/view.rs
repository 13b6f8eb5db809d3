//! The commands that show accounts.

use std::path::PathBuf;

use accounts::{AccountRecord, MAX_ACCOUNTS_LISTED};
use clap::Args;
use common::{Clock, SystemClock, escape_line, rfc3339, unix_seconds};
use policy::Labels;
use serde_json::{Value, json};

use super::{Target, refused};
use crate::commands::managed_database::ManagedDatabase;
use crate::commands::table::table;
use crate::failure::Failure;
use crate::output;
use crate::when::relative;

/// List the accounts, by name
#[derive(Debug, Args)]
pub(super) struct ListAccounts {
    /// The server's configuration.
    file: PathBuf,
    /// Print a JSON array: [{name, disabled, labels, created_at, changed_at}].
    #[arg(long)]
    json: bool,
}

/// Show an account
#[derive(Debug, Args)]
pub(super) struct Show {
    #[command(flatten)]
    target: Target,
}

impl ListAccounts {
    pub(super) async fn run(self) -> Result<String, Failure> {
        let store = ManagedDatabase::with_accounts(&self.file)?.accounts();
        let mut all: Vec<AccountRecord> = Vec::new();
        loop {
            let after = all.last().map_or("", |account| &account.name);
            let page = store.list(after, MAX_ACCOUNTS_LISTED).await;
            let page = page.map_err(|error| refused(&error))?;
            let is_last = page.len() < MAX_ACCOUNTS_LISTED as usize;
            all.extend(page);
            if is_last {
                break;
            }
        }
        if self.json {
            let accounts = all.iter().map(account_json);
            return Ok(output::json(&Value::from_iter(accounts)));
        }
        let now = unix_seconds(SystemClock.now());
        let rows = all.iter().map(|account| {
            [
                account.name.clone(),
                state(account).to_owned(),
                shown(&account.labels),
                relative(unix_seconds(account.created_at), now),
                relative(unix_seconds(account.changed_at), now),
            ]
        });
        let head = ["NAME", "STATE", "LABELS", "ADDED", "CHANGED"];
        Ok(table(head, rows.collect()))
    }
}

impl Show {
    pub(super) async fn run(self) -> Result<String, Failure> {
        let name = &self.target.name;
        let store = ManagedDatabase::with_accounts(&self.target.file)?.accounts();
        let found = store.find(name).await.map_err(|error| refused(&error))?;
        let account =
            found.ok_or_else(|| refused(&accounts::AccountError::Unknown(name.clone())))?;
        if self.target.json {
            return Ok(output::json(&account_json(&account)));
        }
        let date = |time| rfc3339(unix_seconds(time));
        let labels = account.labels.iter().map(|(name, values)| {
            format!(
                "  label {}: {}\n",
                escape_line(name),
                escape_line(&values.join(", "))
            )
        });
        Ok(format!(
            "account {}\n  state: {}\n{}  added: {}\n  changed: {}\n",
            escape_line(&account.name),
            state(&account),
            labels.collect::<String>(),
            date(account.created_at),
            date(account.changed_at),
        ))
    }
}

/// An account as every command with `--json` prints it.
pub(super) fn account_json(account: &AccountRecord) -> Value {
    json!({
        "name": account.name,
        "disabled": account.is_disabled,
        "labels": account.labels,
        "created_at": rfc3339(unix_seconds(account.created_at)),
        "changed_at": rfc3339(unix_seconds(account.changed_at)),
    })
}

fn state(account: &AccountRecord) -> &'static str {
    match account.is_disabled {
        true => "disabled",
        false => "enabled",
    }
}

/// `team=red,blue vip=`, or `-`.
fn shown(labels: &Labels) -> String {
    if labels.is_empty() {
        return "-".to_owned();
    }
    let labels = labels.iter();
    let labels: Vec<_> = labels
        .map(|(name, values)| format!("{name}={}", values.join(",")))
        .collect();
    labels.join(" ")
}
