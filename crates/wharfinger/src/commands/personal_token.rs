//! `wharfinger personal-token`: tokens that stand for a person.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use common::{Clock, SystemClock};
use personal_tokens::{TokenKind, TokenName};
use serde_json::json;

use super::managed_server::ManagedServerArguments;
use super::revocation::{RevocationArguments, RevocationSelection};
use super::runtime;
use super::stored_tokens::{
    CeilingArguments, NewHolder, NewTerms, RotationArguments, SecretArguments, TokenAdministration,
    TokenReference, TokenSelection, report, table,
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
    #[command(flatten)]
    server: ManagedServerArguments,
    /// The person's account. With --server, the default is the one that logs in.
    #[arg(long, value_name = "ACCOUNT", required_unless_present = "server")]
    user: Option<String>,
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
    #[command(flatten)]
    server: ManagedServerArguments,
    /// Only tokens of this person. Default: all that may be seen.
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
    #[command(flatten)]
    server: ManagedServerArguments,
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
    #[command(flatten)]
    server: ManagedServerArguments,
    #[command(flatten)]
    which: RevocationArguments,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    runtime::print_report(async {
        match arguments.command {
            Command::Create(create) => create.run().await,
            Command::List(list) => list.run().await,
            Command::Rotate(rotate) => rotate.run().await,
            Command::Revoke(revoke) => revoke.run().await,
        }
    })
}

impl Create {
    async fn run(self) -> Result<String, Failure> {
        let terms = NewTerms {
            ceiling: self.ceiling.ceiling()?,
            networks: self.ceiling.networks,
            lifetime: self.secret.ttl,
        };
        let holder = NewHolder::Person {
            account: self.user,
            name: self.name,
        };
        let tokens = TokenAdministration::of(&self.server).await?;
        let created = tokens.create(holder, terms).await?;
        Ok(report(&tokens, &created, &self.secret).await)
    }
}

impl List {
    async fn run(self) -> Result<String, Failure> {
        let tokens = TokenAdministration::of(&self.server).await?;
        let listed = tokens.list(personal(self.user)).await?;
        Ok(match self.json {
            true => output::json(&json!(listed)),
            false => table(&listed, SystemClock.now()),
        })
    }
}

impl Rotate {
    async fn run(self) -> Result<String, Failure> {
        let tokens = TokenAdministration::of(&self.server).await?;
        let (token, rotation) = (TokenReference::Personal(self.id), self.rotation.rotation());
        let rotated = tokens.rotate(&token, rotation).await?;
        Ok(report(&tokens, &rotated, &self.rotation.secret).await)
    }
}

impl Revoke {
    async fn run(self) -> Result<String, Failure> {
        let tokens = TokenAdministration::of(&self.server).await?;
        let selection = self.which.selection();
        let revoked = match selection.clone() {
            RevocationSelection::Id(id) => {
                let is_revoked = tokens.revoke(&TokenReference::Personal(id)).await?;
                usize::from(is_revoked)
            }
            RevocationSelection::OfUser(user) => tokens.revoke_all(personal(Some(user))).await?,
            RevocationSelection::All => tokens.revoke_all(personal(None)).await?,
        };
        match (revoked, selection) {
            // The id may be a secret, by mistake: it is not repeated.
            (0, RevocationSelection::Id(_)) => Err(Failure::negative(
                "there is no personal token of this id, or it was revoked already",
            )
            .hint(format!(
                "`wharfinger personal-token list {}` shows the ids",
                self.server
            ))),
            (1, _) => Ok("1 personal token revoked\n".to_owned()),
            (count, _) => Ok(format!("{count} personal tokens revoked\n")),
        }
    }
}

/// The personal tokens of this person, or of all.
fn personal(owner: Option<String>) -> TokenSelection {
    TokenSelection {
        kind: TokenKind::Personal,
        owner,
    }
}
