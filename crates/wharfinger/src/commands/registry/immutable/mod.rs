//! `wharfinger registry immutable`: rules in the database that make tags immutable, and which rule
//! protects a tag.

mod check;
mod rules;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;
use tag_rules::{RepositoryPattern, TagPattern};

use self::rules::ImmutableTagAdministration;
use crate::commands::managed_server::ManagedServerArguments;
use crate::commands::table::table;
use crate::failure::Failure;
use crate::output;

/// Manage the rules that make tags immutable, and say which rule protects a tag
///
/// They count beside `registry.immutable_tags` in the configuration. An immutable tag neither moves nor
/// goes, and nothing that it needs can be deleted. Each change takes effect in a running server within a
/// second, and is written to the administration log.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(Add),
    List(List),
    Remove(Remove),
    Check(check::Arguments),
}

/// Add a rule
///
/// `*` stops at a slash, `**` does not, `?` is one character, and `[a-z]` is one of a class. Whole names
/// match. Tags that exist stay as they are from now on.
#[derive(Debug, Args)]
struct Add {
    #[command(flatten)]
    server: ManagedServerArguments,
    /// A pattern for the names of repositories, such as `prod/**`.
    #[arg(long, value_name = "PATTERN")]
    repository: RepositoryPattern,
    /// A pattern for the tags that become immutable, such as `v*`.
    #[arg(long, value_name = "PATTERN")]
    tag: TagPattern,
    /// A pattern for tags that the rule leaves alone; may be repeated.
    #[arg(long, value_name = "PATTERN")]
    except: Vec<TagPattern>,
    /// Print the rule as a JSON object: {number, repository, tag, except, created_at}.
    #[arg(long)]
    json: bool,
}

/// List the rules in the database
#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    server: ManagedServerArguments,
    /// Print a JSON array: [{number, repository, tag, except, created_at}].
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

impl Arguments {
    pub(super) async fn run(&self) -> Result<ExitCode, Failure> {
        let report = match &self.command {
            Command::Add(add) => add.run().await,
            Command::List(list) => list.run().await,
            Command::Remove(remove) => remove.run().await,
            Command::Check(check) => return check.run().await,
        }?;
        output::print(&report)?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Add {
    async fn run(&self) -> Result<String, Failure> {
        self.check()?;
        let rules = ImmutableTagAdministration::of(&self.server).await?;
        let added = rules.add(&self.repository, &self.tag, &self.except).await?;
        Ok(match self.json {
            true => output::json(&json!(added)),
            false => format!(
                "rule {} added; a running server obeys it within a second\n",
                added.number
            ),
        })
    }

    /// Refuses a rule that makes no tag immutable, and an exception that changes nothing.
    fn check(&self) -> Result<(), Failure> {
        let refusal = |message: String| {
            let hint = "whole names match; `**` is every name, and `*` every tag";
            Err(Failure::usage(message).hint(hint))
        };
        let (repository, tag) = (&self.repository, &self.tag);
        if !repository.can_match() {
            return refusal(format!("no repository can have a name like {repository}"));
        }
        if !tag.can_match() {
            return refusal(format!("no tag can have a name like {tag}"));
        }
        let mut exceptions = self.except.iter();
        if let Some(except) = exceptions.find(|except| !tag.overlaps(except)) {
            let message =
                format!("the exception {except} has no effect: no tag matches it and {tag}");
            return refusal(message);
        }
        if tag.is_covered_by(&self.except) {
            return refusal(format!(
                "the exceptions leave alone every tag that {tag} matches"
            ));
        }
        Ok(())
    }
}

impl List {
    async fn run(&self) -> Result<String, Failure> {
        let rules = ImmutableTagAdministration::of(&self.server).await?;
        let listed = rules.list().await?;
        if self.json {
            return Ok(output::json(&json!(listed)));
        }
        let rows = listed.into_iter().map(|rule| {
            [
                rule.number.to_string(),
                rule.repository,
                rule.tag,
                rule.except.join(" "),
            ]
        });
        Ok(table(
            ["NUMBER", "REPOSITORY", "TAG", "EXCEPT"],
            rows.collect(),
        ))
    }
}

impl Remove {
    async fn run(&self) -> Result<String, Failure> {
        let rules = ImmutableTagAdministration::of(&self.server).await?;
        rules.remove(self.number).await?;
        Ok(match self.json {
            true => output::json(&json!({ "removed": self.number })),
            false => format!("rule {} removed\n", self.number),
        })
    }
}
