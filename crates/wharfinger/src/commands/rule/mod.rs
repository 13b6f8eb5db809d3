//! `wharfinger rule`: the rules in the database of a server.

mod entry;
mod rules;

use std::process::ExitCode;

use accounts::RulePlace;
use api::RuleWarningView;
use clap::{Args, Subcommand};
use common::escape_line;
use serde_json::{Value, json};

use self::entry::RuleArguments;
use self::rules::RuleAdministration;
use super::managed_server::ManagedServerArguments;
use super::runtime;
use super::table::table;
use crate::failure::Failure;
use crate::output;

/// Manage the rules in the database
///
/// They have the shape and the pattern language of `acl` in the configuration, and are asked after it,
/// in their order: the first that matches decides. Each change takes effect in a running server within
/// a second, and is written to the administration log, which `wharfinger audit list` shows.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(Add),
    List(List),
    Move(Move),
    Remove(Remove),
}

/// Add a rule, after all others unless a place is given
///
/// A condition that is not given is not checked. Patterns are globs (`team/*`, in which `*` stops at a
/// slash), or regular expressions between slashes (`/^team\/.+$/`), with variables such as
/// `${account}`.
#[derive(Debug, Args)]
struct Add {
    #[command(flatten)]
    server: ManagedServerArguments,
    #[command(flatten)]
    entry: RuleArguments,
    #[command(flatten)]
    place: Place,
    /// Print the rule as a JSON object: {number, match, actions, comment, created_at}.
    #[arg(long)]
    json: bool,
}

/// List the rules in their order
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    server: ManagedServerArguments,
    /// Print a JSON array: [{number, match, actions, comment, created_at}].
    #[arg(long)]
    json: bool,
}

/// Move a rule
#[derive(Debug, Args)]
struct Move {
    #[command(flatten)]
    server: ManagedServerArguments,
    /// The rule's number, which `list` shows.
    number: i64,
    #[command(flatten)]
    place: Place,
    /// Print the rule as a JSON object: {number, match, actions, comment, created_at}.
    #[arg(long)]
    json: bool,
}

/// Remove a rule
#[derive(Debug, Args)]
struct Remove {
    #[command(flatten)]
    server: ManagedServerArguments,
    /// The rule's number, which `list` shows.
    number: i64,
    /// Print a JSON object: {removed}, with the number.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
#[group(multiple = false)]
struct Place {
    /// Before all others.
    #[arg(long)]
    first: bool,
    /// After all others.
    #[arg(long)]
    last: bool,
    /// Before the rule with this number.
    #[arg(long, value_name = "NUMBER")]
    before: Option<i64>,
    /// After the rule with this number.
    #[arg(long, value_name = "NUMBER")]
    after: Option<i64>,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    runtime::print_report(async {
        match arguments.command {
            Command::Add(add) => add.run().await,
            Command::List(list) => list.run().await,
            Command::Move(r#move) => r#move.run().await,
            Command::Remove(remove) => remove.run().await,
        }
    })
}

impl Add {
    async fn run(self) -> Result<String, Failure> {
        let rules = RuleAdministration::of(&self.server).await?;
        let place = self.place.read().unwrap_or(RulePlace::Last);
        let added = rules.add(self.entry.read(), place).await?;
        let warnings = rules.list().await?.warnings.into_iter();
        note(warnings.filter(|warning| warning.number.is_none_or(|it| it == added.number)));
        Ok(match self.json {
            true => output::json(&json!(added)),
            false => format!(
                "rule {} added; a running server asks it within a second\n",
                added.number
            ),
        })
    }
}

impl List {
    async fn run(self) -> Result<String, Failure> {
        let listed = RuleAdministration::of(&self.server).await?.list().await?;
        note(listed.warnings);
        if self.json {
            return Ok(output::json(&json!(listed.items)));
        }
        let rows = listed.items.into_iter().map(|rule| {
            [
                rule.number.to_string(),
                Value::Object(rule.conditions).to_string(),
                json!(rule.actions).to_string(),
                rule.comment.unwrap_or_default(),
            ]
        });
        Ok(table(
            ["NUMBER", "MATCH", "ACTIONS", "COMMENT"],
            rows.collect(),
        ))
    }
}

impl Move {
    async fn run(self) -> Result<String, Failure> {
        let Some(place) = self.place.read() else {
            return Err(Failure::usage("the rule is moved nowhere")
                .hint("add --first, --last, --before NUMBER or --after NUMBER"));
        };
        let rules = RuleAdministration::of(&self.server).await?;
        let moved = rules.move_to(self.number, place).await?;
        Ok(match self.json {
            true => output::json(&json!(moved)),
            false => format!("rule {} moved\n", self.number),
        })
    }
}

impl Remove {
    async fn run(self) -> Result<String, Failure> {
        let rules = RuleAdministration::of(&self.server).await?;
        rules.remove(self.number).await?;
        Ok(match self.json {
            true => output::json(&json!({ "removed": self.number })),
            false => format!("rule {} removed\n", self.number),
        })
    }
}

impl Place {
    fn read(&self) -> Option<RulePlace> {
        match (self.before, self.after) {
            (Some(number), _) => Some(RulePlace::Before(number)),
            (_, Some(number)) => Some(RulePlace::After(number)),
            _ if self.first => Some(RulePlace::First),
            _ if self.last => Some(RulePlace::Last),
            _ => None,
        }
    }
}

/// Notes what is valid but probably not intended.
fn note(warnings: impl IntoIterator<Item = RuleWarningView>) {
    for RuleWarningView { number, text } in warnings {
        let rule = number.map_or_else(String::new, |number| format!("rule {number}: "));
        output::note(escape_line(&format!("warning: {rule}{text}")));
    }
}
