//! The commands that show accounts.

use api::UserView;
use clap::Args;
use common::{Clock, SystemClock, escape_line};
use policy::Labels;
use serde_json::json;

use super::Target;
use super::accounts::UserAdministration;
use crate::commands::managed_server::ManagedServerArguments;
use crate::commands::table::table;
use crate::failure::Failure;
use crate::output;
use crate::when::relative_date;

/// List the accounts, by name
#[derive(Debug, Args)]
pub(super) struct ListAccounts {
    #[command(flatten)]
    server: ManagedServerArguments,
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
        let all = UserAdministration::of(&self.server).await?.list().await?;
        if self.json {
            return Ok(output::json(&json!(all)));
        }
        let now = SystemClock.now();
        let rows = all.iter().map(|account| {
            [
                account.name.clone(),
                state(account).to_owned(),
                shown(&account.labels),
                relative_date(&account.created_at, now),
                relative_date(&account.changed_at, now),
            ]
        });
        let head = ["NAME", "STATE", "LABELS", "ADDED", "CHANGED"];
        Ok(table(head, rows.collect()))
    }
}

impl Show {
    pub(super) async fn run(self) -> Result<String, Failure> {
        let accounts = UserAdministration::of(&self.target.server).await?;
        let account = accounts.find(&self.target.name).await?;
        if self.target.json {
            return Ok(output::json(&json!(account)));
        }
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
            escape_line(&account.created_at),
            escape_line(&account.changed_at),
        ))
    }
}

fn state(account: &UserView) -> &'static str {
    match account.disabled {
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
