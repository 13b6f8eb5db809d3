//! The users who sign in by a provider's page, for commands.

use std::path::Path;
use std::sync::Arc;

use common::{SystemClock, SystemEntropy};
use sign_in::SignInAccounts;

use super::configuration;
use crate::config::Config;
use crate::failure::Failure;
use crate::serve::sign_in_pages::accounts_of;

/// The configuration in `file`, and the accounts of each of its sections.
pub(super) fn open(file: &Path) -> Result<(Config, Vec<SignInAccounts>), Failure> {
    let config = configuration::load(file)?.config;
    if config.sign_in.is_empty() {
        return Err(Failure::usage(format!(
            "{} has none of google_auth, github_auth, oidc_auth and gitlab_auth",
            file.display()
        ))
        .hint("`wharfinger passwd` changes the passwords of `users`"));
    }
    let location = config.database.as_ref();
    let database = location.map(|location| configuration::open_database(location, "the passwords"));
    let database = database.transpose()?;
    let (clock, entropy) = (Arc::new(SystemClock) as _, Arc::new(SystemEntropy) as _);
    let accounts = accounts_of(&config, database.as_ref(), &clock, &entropy)?;
    Ok((config, accounts))
}
