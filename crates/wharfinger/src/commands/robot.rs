//! `wharfinger robot`: accounts for machines, with or without a running server.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use database::Precondition;
use personal_tokens::{NewToken, NewTokenHolder, TokenFilter, TokenKind, TokenName};

use super::runtime;
use super::stored_tokens::{
    CeilingArguments, OpenedTokens, RotationArguments, SecretArguments, failed, json_list, table,
};
use crate::failure::Failure;
use crate::output;

/// Add, list, change or remove robots: accounts for machines, named robot+NAME
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(Add),
    List(List),
    Show(Show),
    Rotate(Rotate),
    /// Refuse a robot's secrets, until it is enabled again
    Disable(Named),
    /// Accept a disabled robot's secrets again
    Enable(Named),
    /// Remove a robot, and revoke its secrets
    Remove(Named),
}

/// Add a robot, and print its secret once
///
/// A robot of a person may do what its owner may do at that moment, within its scopes, and ends with
/// the owner's account. A robot of the system may do what its scopes say, whatever the rules say.
#[derive(Debug, Args)]
struct Add {
    #[command(flatten)]
    named: Named,
    /// The account of the person that owns it. Default: the system.
    #[arg(long, value_name = "ACCOUNT")]
    owner: Option<String>,
    #[command(flatten)]
    ceiling: CeilingArguments,
    #[command(flatten)]
    secret: SecretArguments,
}

/// List the robots, by owner
#[derive(Debug, Args)]
struct List {
    /// The server's configuration.
    file: PathBuf,
    /// Only robots of this person.
    #[arg(long, value_name = "ACCOUNT")]
    owner: Option<String>,
    /// Print a JSON array: [{id, account, name, owner, ceiling, networks, created_at, created_by,
    /// disabled, secrets: [{sha256, created_at, expires_at, last_used_at, last_used_from,
    /// last_used_for}]}].
    #[arg(long)]
    json: bool,
}

/// Show all that is known of a robot, as JSON
#[derive(Debug, Args)]
struct Show {
    #[command(flatten)]
    named: Named,
}

/// Replace a robot's secret, and print the new one once
#[derive(Debug, Args)]
struct Rotate {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    rotation: RotationArguments,
}

#[derive(Debug, Args)]
struct Named {
    /// The server's configuration.
    file: PathBuf,
    /// The robot's name, with or without robot+.
    name: TokenName,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let report = runtime::block_on(async {
        match arguments.command {
            Command::Add(add) => add.run().await,
            Command::List(list) => list.run().await,
            Command::Show(show) => show.run().await,
            Command::Rotate(rotate) => rotate.run().await,
            Command::Disable(named) => named.set_disabled(true).await,
            Command::Enable(named) => named.set_disabled(false).await,
            Command::Remove(named) => named.remove().await,
        }
    })??;
    output::print(&report)?;
    Ok(ExitCode::SUCCESS)
}

impl Add {
    async fn run(self) -> Result<String, Failure> {
        let ceiling = self.ceiling.ceiling()?;
        let opened = OpenedTokens::open(&self.named.file)?;
        let owners = opened.owners()?;
        let new = NewToken {
            holder: NewTokenHolder::Robot {
                name: self.named.name,
                owner: self.owner,
            },
            ceiling,
            networks: self.ceiling.networks,
            lifetime: self.secret.ttl,
        };
        let created = opened
            .tokens
            .create(new, &owners, &opened.by, opened.now)
            .await;
        let created = created.map_err(|error| failed(&error))?;
        Ok(opened.report(&created, &self.secret).await)
    }
}

impl List {
    async fn run(self) -> Result<String, Failure> {
        let opened = OpenedTokens::open(&self.file)?;
        let filter = TokenFilter {
            kind: Some(TokenKind::Robot),
            owner: self.owner,
            ..TokenFilter::default()
        };
        let robots = opened
            .tokens
            .list(filter)
            .await
            .map_err(|error| failed(&error))?;
        Ok(match self.json {
            true => json_list(&robots),
            false => table(&robots, opened.now),
        })
    }
}

impl Show {
    async fn run(self) -> Result<String, Failure> {
        let opened = OpenedTokens::open(&self.named.file)?;
        let robots = opened.tokens.list(self.named.filter()).await;
        let robots = robots.map_err(|error| failed(&error))?;
        match robots.is_empty() {
            true => Err(self.named.missing()),
            false => Ok(json_list(&robots)),
        }
    }
}

impl Rotate {
    async fn run(self) -> Result<String, Failure> {
        let opened = OpenedTokens::open(&self.named.file)?;
        let (filter, rotation) = (self.named.filter(), self.rotation.rotation());
        let created = opened
            .tokens
            .rotate(
                filter,
                rotation,
                Precondition::Unconditional,
                &opened.by,
                opened.now,
            )
            .await;
        let created = created.map_err(|error| failed(&error))?;
        Ok(opened.report(&created, &self.rotation.secret).await)
    }
}

impl Named {
    async fn set_disabled(self, is_disabled: bool) -> Result<String, Failure> {
        let opened = OpenedTokens::open(&self.file)?;
        let (tokens, name) = (&opened.tokens, self.name.clone());
        let robot = tokens
            .set_disabled(
                name,
                is_disabled,
                Precondition::Unconditional,
                &opened.by,
                opened.now,
            )
            .await;
        let robot = robot.map_err(|error| failed(&error))?;
        opened.noticed().await;
        let state = if is_disabled { "disabled" } else { "enabled" };
        Ok(format!("{} is {state}\n", robot.account()))
    }

    async fn remove(self) -> Result<String, Failure> {
        let opened = OpenedTokens::open(&self.file)?;
        let removed = opened
            .tokens
            .revoke(self.filter(), &opened.by, opened.now)
            .await;
        let removed = removed.map_err(|error| failed(&error))?;
        if removed.is_empty() {
            return Err(self.missing());
        }
        opened.noticed().await;
        Ok(format!("{} is removed\n", self.name.robot_account()))
    }

    fn filter(&self) -> TokenFilter {
        TokenFilter {
            kind: Some(TokenKind::Robot),
            name: Some(self.name.clone()),
            ..TokenFilter::default()
        }
    }

    fn missing(&self) -> Failure {
        Failure::negative(format!("there is no robot {}", self.name.robot_account())).hint(format!(
            "`wharfinger robot list {}` shows all",
            self.file.display()
        ))
    }
}
