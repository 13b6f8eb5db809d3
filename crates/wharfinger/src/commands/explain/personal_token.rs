//! `explain --token`: what a robot or a personal token is granted, with both sides: the rules of its
//! owner, and its ceiling.

use std::num::NonZeroUsize;
use std::sync::Arc;

use auth::Explainer;
use common::{Clock, Entropy, SystemEntropy};
use identity::{Identity, WorkerPool};
use personal_tokens::{PersonalTokens, TokenFilter};
use serde_json::json;
use token::Scope;

use super::{Arguments, failed, load_rules, note_odd_names, request, text};
use crate::commands::configuration;
use crate::config::{Config, Location};
use crate::failure::Failure;
use crate::output;
use crate::serve::backends::{Backends, Revalidation, authorizers};
use crate::serve::managed_accounts::ManagedAccounts;
use crate::serve::sign_in_pages::accounts_of;
use crate::serve::stored_policies::StoredPolicies;

/// The report on the token that `reference` names: an id, or `robot+NAME`.
pub(super) async fn explain(
    arguments: &Arguments,
    reference: &str,
    config: &Config,
    clock: &Arc<dyn Clock>,
    scopes: &[Scope],
) -> Result<String, Failure> {
    let identity = find(reference, config, clock).await?;
    let stored = StoredPolicies::new(config, clock);
    let managed = ManagedAccounts::stored(config)?;
    let policies = authorizers(
        config,
        clock,
        &stored,
        managed.as_ref(),
        Location::to_string,
    )?;
    load_rules(&policies).await?;
    note_odd_names(scopes);
    let explainer = Explainer::new(&policies);
    let explanation = explainer.explain_token(&identity, request(arguments, scopes));
    let explanation = explanation.await.map_err(|error| failed(&error))?;
    Ok(match arguments.json {
        true => output::json(&json!(explanation)),
        false => text::token(&explanation),
    })
}

/// The account that the token stands for today.
async fn find(
    reference: &str,
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<Identity, Failure> {
    let (Some(policy), Some(location)) = (config.personal_tokens, &config.database) else {
        return Err(Failure::usage(
            "the configuration keeps no robots and no personal tokens",
        ));
    };
    let database = configuration::open_database(location, "the robots and personal tokens")?;
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let tokens = PersonalTokens::new(database.clone(), policy, Arc::clone(&entropy));
    let filter = TokenFilter::named_by(reference)
        .map_err(|error| Failure::usage("--token cannot be read").caused_by(&error))?;
    let found = tokens.list(filter).await;
    let found = found
        .map_err(|error| Failure::system("the token cannot be read").caused_by(&error))?
        .pop();
    let token = found.ok_or_else(|| {
        Failure::negative("there is no robot or personal token of this name or id")
            .hint("`wharfinger robot list` and `wharfinger personal-token list` show the ids")
    })?;
    let rejected = |fault| {
        Failure::negative(format!("the server rejects {}", token.log_name())).caused_by(&fault)
    };
    let opaque = token.newest(clock.now()).map_err(rejected)?;
    let workers = Arc::new(WorkerPool::new(NonZeroUsize::MIN));
    let accounts = accounts_of(config, Some(&database), clock, &entropy)?;
    let never = Revalidation::Never;
    let managed = ManagedAccounts::in_database(config, database.clone());
    let managed = managed.as_ref();
    let backends = Backends::of_token_server(config, &workers, clock, managed, &accounts, never)?;
    let identity = backends.chain.identify(opaque).await;
    let identity = identity
        .map_err(|error| Failure::system("the owner cannot be looked up").caused_by(&error))?;
    identity.map_err(rejected)
}
