//! `wharfinger robot`: accounts for machines.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use common::{Clock, SystemClock, escape_line};
use personal_tokens::{TokenKind, TokenName};
use serde_json::json;

use super::managed_server::ManagedServerArguments;
use super::runtime;
use super::stored_tokens::{
    CeilingArguments, NewHolder, NewTerms, RotationArguments, SecretArguments, TokenAdministration,
    TokenReference, TokenSelection, report, table,
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
    #[command(flatten)]
    server: ManagedServerArguments,
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
    #[command(flatten)]
    server: ManagedServerArguments,
    /// The robot's name, with or without robot+.
    name: TokenName,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    runtime::print_report(async {
        match arguments.command {
            Command::Add(add) => add.run().await,
            Command::List(list) => list.run().await,
            Command::Show(show) => show.run().await,
            Command::Rotate(rotate) => rotate.run().await,
            Command::Disable(named) => named.set_disabled(true).await,
            Command::Enable(named) => named.set_disabled(false).await,
            Command::Remove(named) => named.remove().await,
        }
    })
}

impl Add {
    async fn run(self) -> Result<String, Failure> {
        let terms = NewTerms {
            ceiling: self.ceiling.ceiling()?,
            networks: self.ceiling.networks,
            lifetime: self.secret.ttl,
        };
        let holder = NewHolder::Robot {
            name: self.named.name,
            owner: self.owner,
        };
        let tokens = TokenAdministration::of(&self.named.server).await?;
        let created = tokens.create(holder, terms).await?;
        Ok(report(&tokens, &created, &self.secret).await)
    }
}

impl List {
    async fn run(self) -> Result<String, Failure> {
        let selection = TokenSelection {
            kind: TokenKind::Robot,
            owner: self.owner,
        };
        let robots = TokenAdministration::of(&self.server)
            .await?
            .list(selection)
            .await?;
        Ok(match self.json {
            true => output::json(&json!(robots)),
            false => table(&robots, SystemClock.now()),
        })
    }
}

impl Show {
    async fn run(self) -> Result<String, Failure> {
        let tokens = TokenAdministration::of(&self.named.server).await?;
        match tokens.find_robot(&self.named.name).await? {
            Some(robot) => Ok(output::json(&json!([robot]))),
            None => Err(self.named.missing()),
        }
    }
}

impl Rotate {
    async fn run(self) -> Result<String, Failure> {
        let tokens = TokenAdministration::of(&self.named.server).await?;
        let (robot, rotation) = (self.named.reference(), self.rotation.rotation());
        let rotated = tokens.rotate(&robot, rotation).await?;
        Ok(report(&tokens, &rotated, &self.rotation.secret).await)
    }
}

impl Named {
    async fn set_disabled(self, is_disabled: bool) -> Result<String, Failure> {
        let tokens = TokenAdministration::of(&self.server).await?;
        let robot = tokens.set_disabled(&self.name, is_disabled).await?;
        let state = if is_disabled { "disabled" } else { "enabled" };
        Ok(format!("{} is {state}\n", escape_line(&robot.account)))
    }

    async fn remove(self) -> Result<String, Failure> {
        let tokens = TokenAdministration::of(&self.server).await?;
        match tokens.revoke(&self.reference()).await? {
            true => Ok(format!("{} is removed\n", self.name.robot_account())),
            false => Err(self.missing()),
        }
    }

    fn reference(&self) -> TokenReference {
        TokenReference::Robot(self.name.clone())
    }

    fn missing(&self) -> Failure {
        Failure::negative(format!("there is no robot {}", self.name.robot_account()))
            .hint(format!("`wharfinger robot list {}` shows all", self.server))
    }
}
