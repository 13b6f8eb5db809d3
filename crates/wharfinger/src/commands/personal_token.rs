//! `wharfinger personal-token`: tokens that stand for a person, with or without a running server.

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

/// Create, list, rotate or revoke personal tokens, which a person uses instead of the password
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(Create),
    List(List),
    Rotate(Rotate),
    Revoke(Revoke),
}

/// Create a personal token, and print its secret once
///
/// It may do what the person may do at that moment, within its scopes, and ends with the account.
#[derive(Debug, Args)]
struct Create {
    /// The server's configuration.
    file: PathBuf,
    /// The person's account.
    #[arg(long, value_name = "ACCOUNT")]
    user: String,
    /// What the person calls it, as laptop.
    #[arg(long, value_name = "NAME")]
    name: TokenName,
    #[command(flatten)]
    ceiling: CeilingArguments,
    #[command(flatten)]
    secret: SecretArguments,
}

/// List the personal tokens, by person
#[derive(Debug, Args)]
struct List {
    /// The server's configuration.
    file: PathBuf,
    /// Only tokens of this person.
    #[arg(long, value_name = "ACCOUNT")]
    user: Option<String>,
    /// Print a JSON array: [{id, account, name, owner, ceiling, networks, created_at, created_by,
    /// disabled, secrets: [{sha256, created_at, expires_at, last_used_at, last_used_from,
    /// last_used_for}]}].
    #[arg(long)]
    json: bool,
}

/// Replace the secret of a personal token, and print the new one once
#[derive(Debug, Args)]
struct Rotate {
    /// The server's configuration.
    file: PathBuf,
    /// The token's id, which `list` shows.
    id: String,
    #[command(flatten)]
    rotation: RotationArguments,
}

/// Revoke personal tokens
///
/// A running server refuses them at once, and ends the sessions that they opened. Access tokens that
/// were issued for them stay valid until they expire, a few minutes later.
#[derive(Debug, Args)]
struct Revoke {
    /// The server's configuration.
    file: PathBuf,
    #[command(flatten)]
    which: Which,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The token with this ID, which `list` shows.
    #[arg(long)]
    id: Option<String>,
    /// All personal tokens of this person.
    #[arg(long, value_name = "ACCOUNT")]
    user: Option<String>,
    /// All personal tokens.
    #[arg(long)]
    all: bool,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let report = runtime::block_on(async {
        match arguments.command {
            Command::Create(create) => create.run().await,
            Command::List(list) => list.run().await,
            Command::Rotate(rotate) => rotate.run().await,
            Command::Revoke(revoke) => revoke.run().await,
        }
    })??;
    output::print(&report)?;
    Ok(ExitCode::SUCCESS)
}

impl Create {
    async fn run(self) -> Result<String, Failure> {
        let ceiling = self.ceiling.ceiling()?;
        let opened = OpenedTokens::open(&self.file)?;
        let owners = opened.owners()?;
        let new = NewToken {
            holder: NewTokenHolder::Person {
                account: self.user,
                name: self.name,
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
            owner: self.user,
            ..every_personal_token()
        };
        let tokens = opened
            .tokens
            .list(filter)
            .await
            .map_err(|error| failed(&error))?;
        Ok(match self.json {
            true => json_list(&tokens),
            false => table(&tokens, opened.now),
        })
    }
}

impl Rotate {
    async fn run(self) -> Result<String, Failure> {
        let opened = OpenedTokens::open(&self.file)?;
        let filter = TokenFilter {
            id: Some(self.id),
            ..every_personal_token()
        };
        let rotation = self.rotation.rotation();
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

impl Revoke {
    async fn run(self) -> Result<String, Failure> {
        let opened = OpenedTokens::open(&self.file)?;
        let Which { id, user, all: _ } = self.which;
        let filter = TokenFilter {
            id: id.clone(),
            owner: user,
            ..every_personal_token()
        };
        let revoked = opened.tokens.revoke(filter, &opened.by, opened.now).await;
        let revoked = revoked.map_err(|error| failed(&error))?;
        opened.noticed().await;
        match (revoked.len(), id) {
            // The id may be a secret, by mistake: it is not repeated.
            (0, Some(_)) => Err(Failure::negative(
                "there is no personal token of this id, or it was revoked already",
            )
            .hint(format!(
                "`wharfinger personal-token list {}` shows the ids",
                self.file.display()
            ))),
            (1, _) => Ok("1 personal token revoked\n".to_owned()),
            (count, _) => Ok(format!("{count} personal tokens revoked\n")),
        }
    }
}

fn every_personal_token() -> TokenFilter {
    TokenFilter {
        kind: Some(TokenKind::Personal),
        ..TokenFilter::default()
    }
}
