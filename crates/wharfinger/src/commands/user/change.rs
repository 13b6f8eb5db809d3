//! The commands that change accounts. Each prints its result when it is on the disk.

use std::io;

use accounts::{AccountName, AccountNameError, LabelChange};
use api::UserView;
use clap::Args;
use common::{Secret, escape_line};
use policy::Labels;
use serde_json::json;

use super::Target;
use super::accounts::UserAdministration;
use crate::commands::password;
use crate::failure::Failure;
use crate::output;

/// Add an account
///
/// The password is asked for, or read from standard input. Rules say what the account may do: those of
/// the configuration, and those of `wharfinger rule`.
#[derive(Debug, Args)]
pub(super) struct Add {
    #[command(flatten)]
    target: Target,
    /// A label, which rules can match; may be repeated, also for several values of one label.
    #[arg(long = "label", value_name = "LABEL=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Read the password from standard input, one line.
    #[arg(long)]
    password_stdin: bool,
}

/// Set the password of an account. The sessions of the old password end
#[derive(Debug, Args)]
pub(super) struct Passwd {
    #[command(flatten)]
    target: Target,
    /// Read the password from standard input, one line.
    #[arg(long)]
    password_stdin: bool,
}

/// Change the labels of an account
///
/// A label gets the values of this command instead of those that it has. Labels that are not named
/// stay as they are.
#[derive(Debug, Args)]
pub(super) struct Label {
    #[command(flatten)]
    target: Target,
    /// A label and a value; repeat the label for several values.
    #[arg(value_name = "LABEL=VALUE", value_parser = label, required_unless_present = "remove")]
    labels: Vec<(String, String)>,
    /// A label to remove; may be repeated.
    #[arg(long, value_name = "LABEL")]
    remove: Vec<String>,
}

/// Reject logins of an account from now on, and end its sessions
///
/// Access tokens that were issued before stay valid until they expire, a few minutes later. The
/// sessions have ended for good, also if the account is enabled again.
#[derive(Debug, Args)]
pub(super) struct Disable {
    #[command(flatten)]
    target: Target,
}

/// Accept logins of a disabled account again
#[derive(Debug, Args)]
pub(super) struct Enable {
    #[command(flatten)]
    target: Target,
}

/// Remove an account. Its sessions and its tokens end
#[derive(Debug, Args)]
pub(super) struct Remove {
    #[command(flatten)]
    target: Target,
}

impl Add {
    pub(super) async fn run(self) -> Result<String, Failure> {
        let name = &self.target.name;
        let name: AccountName = name.parse().map_err(|error: AccountNameError| {
            Failure::usage(format!("{name:?} cannot be an account's name")).caused_by(&error)
        })?;
        let accounts = UserAdministration::of(&self.target.server).await?;
        accounts.require_free(&name).await?;
        let password = read_password(self.password_stdin)?;
        let labels = grouped(self.labels);
        let added = accounts.add(&name, &password, labels).await?;
        Ok(self.target.report(
            &added,
            "added; a running server accepts its login within a second",
        ))
    }
}

impl Passwd {
    pub(super) async fn run(self) -> Result<String, Failure> {
        let accounts = self.target.existing().await?;
        let password = read_password(self.password_stdin)?;
        let name = &self.target.name;
        let changed = accounts.set_password(name, &password).await?;
        Ok(self.target.report(
            &changed,
            "has another password; sessions of the old one end at their next use",
        ))
    }
}

impl Label {
    pub(super) async fn run(self) -> Result<String, Failure> {
        let accounts = UserAdministration::of(&self.target.server).await?;
        let change = LabelChange {
            set: grouped(self.labels),
            remove: self.remove,
            allows_absent: false,
        };
        let changed = accounts.set_labels(&self.target.name, change).await?;
        Ok(match self.target.json {
            true => output::json(&json!(changed)),
            false => format!("the labels of {} are changed\n", escape_line(&changed.name)),
        })
    }
}

impl Disable {
    pub(super) async fn run(self) -> Result<String, Failure> {
        let accounts = UserAdministration::of(&self.target.server).await?;
        let changed = accounts.set_disabled(&self.target.name, true).await?;
        Ok(self
            .target
            .report(&changed, "is disabled, and its sessions have ended"))
    }
}

impl Enable {
    pub(super) async fn run(self) -> Result<String, Failure> {
        let accounts = UserAdministration::of(&self.target.server).await?;
        let changed = accounts.set_disabled(&self.target.name, false).await?;
        Ok(self.target.report(&changed, "is enabled"))
    }
}

impl Remove {
    pub(super) async fn run(self) -> Result<String, Failure> {
        let accounts = UserAdministration::of(&self.target.server).await?;
        let removed = accounts.remove(&self.target.name).await?;
        Ok(self
            .target
            .report(&removed, "is removed, and its sessions have ended"))
    }
}

impl Target {
    /// The accounts, if this one is among them, so that a password is only asked for if it can be
    /// set.
    async fn existing(&self) -> Result<UserAdministration, Failure> {
        let accounts = UserAdministration::of(&self.server).await?;
        accounts.find(&self.name).await?;
        Ok(accounts)
    }

    fn report(&self, account: &UserView, done: &str) -> String {
        match self.json {
            true => output::json(&json!(account)),
            false => format!("account {} {done}\n", escape_line(&account.name)),
        }
    }
}

fn read_password(from_stdin: bool) -> Result<Secret, Failure> {
    match from_stdin {
        true => password::piped(io::stdin().lock()),
        false => password::prompted(),
    }
}

/// Each label with all of its values.
fn grouped(labels: Vec<(String, String)>) -> Labels {
    let mut all = Labels::new();
    for (name, value) in labels {
        all.entry(name).or_default().push(value);
    }
    all
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a label is written LABEL=VALUE".to_owned()),
    }
}
