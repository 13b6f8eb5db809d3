//! What `wharfinger robot` and `wharfinger personal-token` share: the tokens of a server, the arguments
//! of a new secret, and what is printed.

mod arguments;
mod database;
mod instructions;
mod listing;
mod tokens;

use api::CreatedTokenView;
use common::{Clock, SystemClock};

pub(super) use self::arguments::{CeilingArguments, RotationArguments, SecretArguments};
pub(super) use self::listing::table;
pub(super) use self::tokens::{
    NewHolder, NewTerms, TokenAdministration, TokenReference, TokenSelection,
};

/// What is printed of a new secret.
pub(super) async fn report(
    tokens: &TokenAdministration,
    created: &CreatedTokenView,
    arguments: &SecretArguments,
) -> String {
    if arguments.json {
        return instructions::json(created);
    }
    let registry = match &arguments.registry {
        Some(registry) => Some(registry.clone()),
        None => tokens.registry().await,
    };
    let registry = registry.unwrap_or_else(|| "registry.example.com".to_owned());
    instructions::created(created, &registry, SystemClock.now())
}
