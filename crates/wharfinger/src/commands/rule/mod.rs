//! `wharfinger rule`: the rules in the database, with or without a running server.

mod entry;

use std::path::PathBuf;
use std::process::ExitCode;

use accounts::{ListedRule, RuleDoubt, RuleListError, RulePlace, rule_document};
use clap::{Args, Subcommand};
use common::{rfc3339, unix_seconds};
use database::Precondition;
use serde_json::{Value, json};

use self::entry::RuleArguments;
use super::administrator::administrator;
use super::managed_database::{ManagedDatabase, failed};
use super::runtime;
use super::table::table;
use crate::failure::{Failure, FailureKind};
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
    /// The server's configuration.
    file: PathBuf,
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
    /// The server's configuration.
    file: PathBuf,
    /// Print a JSON array: [{number, match, actions, comment, created_at}].
    #[arg(long)]
    json: bool,
}

/// Move a rule
#[derive(Debug, Args)]
struct Move {
    /// The server's configuration.
    file: PathBuf,
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
    /// The server's configuration.
    file: PathBuf,
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
    let report = runtime::block_on(async {
        match arguments.command {
            Command::Add(add) => add.run().await,
            Command::List(list) => list.run().await,
            Command::Move(r#move) => r#move.run().await,
            Command::Remove(remove) => remove.run().await,
        }
    })??;
    output::print(&report)?;
    Ok(ExitCode::SUCCESS)
}

impl Add {
    async fn run(self) -> Result<String, Failure> {
        let managed = ManagedDatabase::with_accounts(&self.file)?;
        let (rules, entry) = (managed.rules(), self.entry.read());
        let place = self.place.read().unwrap_or(RulePlace::Last);
        let added = rules
            .add(&administrator(), entry, place, Precondition::Unconditional)
            .await;
        let added = added.map_err(|error| refused(&error))?;
        let all = rules.list().await.map_err(|error| refused(&error))?;
        note_doubts(&managed, &all, Some(added.number))?;
        note_shadowed(&managed);
        Ok(match self.json {
            true => output::json(&rule_json(&added)),
            false => format!(
                "rule {} added; a running server asks it within a second\n",
                added.number
            ),
        })
    }
}

impl List {
    async fn run(self) -> Result<String, Failure> {
        let managed = ManagedDatabase::with_accounts(&self.file)?;
        let listed = managed.rules().list().await;
        let listed = listed.map_err(|error| refused(&error))?;
        note_doubts(&managed, &listed, None)?;
        if !listed.is_empty() {
            note_shadowed(&managed);
        }
        if self.json {
            let rules = listed.iter().map(rule_json);
            return Ok(output::json(&Value::from_iter(rules)));
        }
        let rows = listed.iter().map(|rule| {
            let document = rule_document(&rule.entry);
            [
                rule.number.to_string(),
                document["match"].to_string(),
                document["actions"].to_string(),
                rule.entry.comment.clone().unwrap_or_default(),
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
        let managed = ManagedDatabase::with_accounts(&self.file)?;
        let moved = managed
            .rules()
            .move_to(
                &administrator(),
                self.number,
                place,
                Precondition::Unconditional,
            )
            .await;
        let moved = moved.map_err(|error| refused(&error))?;
        Ok(match self.json {
            true => output::json(&rule_json(&moved)),
            false => format!("rule {} moved\n", self.number),
        })
    }
}

impl Remove {
    async fn run(self) -> Result<String, Failure> {
        let managed = ManagedDatabase::with_accounts(&self.file)?;
        let unconditional = Precondition::Unconditional;
        let removed = managed
            .rules()
            .remove(&administrator(), self.number, unconditional)
            .await;
        removed.map_err(|error| refused(&error))?;
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

/// Notes what is valid but probably not intended: in the rule `only`, or in all.
fn note_doubts(
    managed: &ManagedDatabase,
    rules: &[ListedRule],
    only: Option<i64>,
) -> Result<(), Failure> {
    let options = managed.config.accounts.map(|section| section.options);
    let doubts = RuleDoubt::all(rules, options.unwrap_or_default());
    let doubts = doubts.map_err(|error| refused(&error))?;
    for RuleDoubt { number, text } in doubts {
        if only.is_none_or(|only| only == number) {
            output::note(format_args!("warning: rule {number}: {text}"));
        }
    }
    Ok(())
}

/// Notes that the configuration decides everything before the database is asked.
fn note_shadowed(managed: &ManagedDatabase) {
    let rules = managed.config.acl.as_ref();
    if let Some(rules) = rules
        && let Some(rule) = rules.acl.catch_all()
    {
        output::note(format_args!(
            "warning: no request reaches the rules in the database: the rule at {} has no \
             conditions, and decides",
            rules.locations[rule]
        ));
    }
}

fn rule_json(rule: &ListedRule) -> Value {
    let mut document = rule_document(&rule.entry);
    document["created_at"] = json!(rfc3339(unix_seconds(rule.created_at)));
    let mut all = json!({ "number": rule.number });
    if let (Some(all), Value::Object(document)) = (all.as_object_mut(), document) {
        all.extend(document);
    }
    all
}

/// What to do when an operation failed.
fn refused(error: &RuleListError) -> Failure {
    match error {
        RuleListError::Database(error) => failed(error),
        RuleListError::Unknown(_) => Failure::new(FailureKind::NotFound, error.to_string())
            .hint("`wharfinger rule list FILE` shows the numbers"),
        RuleListError::Unreadable { number, .. } => Failure::system("the rules cannot be listed")
            .caused_by(error)
            .hint(format!(
                "a newer wharfinger may have written it; `wharfinger rule remove FILE {number}` \
                 removes it"
            )),
        _ => Failure::usage("the rule is refused").caused_by(error),
    }
}
