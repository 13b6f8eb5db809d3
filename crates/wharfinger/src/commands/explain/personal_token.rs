//! `explain --token`: what a robot or a personal token is granted, with both sides: the rules of its
//! owner, and its ceiling.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::sync::Arc;

use auth::{AuthorizeExplanation, Authorizer, ExplanationEnd, explain_by_asking};
use common::{Clock, Entropy, SystemEntropy};
use identity::{Identity, LoginSource, OpaqueToken, ROBOT_PREFIX, WorkerPool};
use personal_tokens::{PersonalToken, PersonalTokens, TokenFilter, TokenKind};
use policy::{AclQuery, CeilingEntry, ScopeCeiling};
use serde::Serialize;
use token::Scope;

use super::{Arguments, load_rules, note_odd_name, query, scope_report, write_text};
use crate::commands::configuration;
use crate::config::{Config, Location};
use crate::failure::Failure;
use crate::output;
use crate::serve::backends::{Backends, Revalidation, authorizers};
use crate::serve::managed_accounts::ManagedAccounts;
use crate::serve::sign_in_pages::accounts_of;
use crate::serve::stored_policies::StoredPolicies;

/// What a ceiling says of one scope.
#[derive(Serialize)]
struct CeilingReport {
    /// Which of the actions asked for it allows.
    allows: Vec<String>,
    /// The entries that match the resource; `None` if there is no ceiling.
    entries: Option<Vec<CeilingEntry>>,
}

/// The report on the token that `text` names: an id, or `robot+NAME`.
pub(super) async fn explain(
    arguments: &Arguments,
    text: &str,
    config: &Config,
    clock: &Arc<dyn Clock>,
    scopes: &[Scope],
) -> Result<String, Failure> {
    let (token, identity) = find(text, config, clock).await?;
    let stored = StoredPolicies::new(config, clock);
    let managed = ManagedAccounts::stored(config)?;
    let managed = managed.as_ref();
    let policies = authorizers(config, clock, &stored, managed, Location::to_string)?;
    load_rules(&policies).await?;
    let account = token.account();
    let owner = token.owner().unwrap_or("the system");
    let mut report = format!("{account} (id {}) is owned by {owner}\n", token.id);
    let mut reports = Vec::new();
    for scope in scopes {
        note_odd_name(scope);
        let ruled = identity.ruled_subject();
        let subject = ruled.unwrap_or(&identity.subject);
        let query = query(arguments, &subject.account, &subject.labels, scope);
        let ceiling = CeilingReport::of(&identity.ceiling, &query);
        let (rules, granted) = match ruled {
            Some(_) => {
                let rules = ask(&policies, &query).await?;
                let granted = match &rules.end {
                    ExplanationEnd::Decided(decision) => decision.granted.clone(),
                    ExplanationEnd::Denied | ExplanationEnd::Unasked(_) => Vec::new(),
                };
                (Some(rules), identity.ceiling.limit(&query, granted))
            }
            None => (None, ceiling.allows.clone()),
        };
        let list = |actions: &[String]| match actions {
            [] => "nothing".to_owned(),
            actions => actions.join(", "),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            report,
            "{scope} for {account}\n  granted: {}\n  the ceiling allows: {}{}",
            list(&granted),
            list(&ceiling.allows),
            ceiling.matching(),
        );
        let of_owner = rules.as_ref().map(|rules| scope_report(scope, rules));
        match &of_owner {
            Some(of_owner) => {
                report += "what the rules allow the owner:\n";
                write_text(&mut report, of_owner, owner);
            }
            None => report += "  no rule is asked, because the robot is the system's\n",
        }
        reports.push(serde_json::json!({
            "scope": scope.to_string(),
            "granted": granted,
            "ceiling": ceiling,
            "owner": of_owner,
        }));
    }
    let json = serde_json::json!({
        "token": {"id": token.id, "account": account, "owner": token.owner()},
        "scopes": reports,
    });
    Ok(match arguments.json {
        true => output::json(&json),
        false => report,
    })
}

/// The token, and the account that it stands for today.
async fn find(
    text: &str,
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<(PersonalToken, Identity), Failure> {
    let (Some(policy), Some(location)) = (config.personal_tokens, &config.database) else {
        return Err(Failure::usage(
            "the configuration keeps no robots and no personal tokens",
        ));
    };
    let database = configuration::open_database(location, "the robots and personal tokens")?;
    let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
    let tokens = PersonalTokens::new(database.clone(), policy, Arc::clone(&entropy));
    let failed = |error| Failure::system("the token cannot be read").caused_by(&error);
    let filter = match text.strip_prefix(ROBOT_PREFIX) {
        Some(name) => TokenFilter {
            kind: Some(TokenKind::Robot),
            name: Some(
                name.parse()
                    .map_err(|error| Failure::usage("--token cannot be read").caused_by(&error))?,
            ),
            ..TokenFilter::default()
        },
        None => TokenFilter {
            id: Some(text.to_owned()),
            ..TokenFilter::default()
        },
    };
    let token = tokens.list(filter).await.map_err(failed)?.pop();
    let token = token.ok_or_else(|| {
        Failure::negative("there is no robot or personal token of this name or id")
            .hint("`wharfinger robot list` and `wharfinger personal-token list` show the ids")
    })?;
    let rejected = |fault| {
        Failure::negative(format!("the server rejects {}", token.log_name())).caused_by(&fault)
    };
    let secrets = token.secrets.iter();
    let mut valid = secrets.map(|secret| token.opaque(&secret.fingerprint, clock.now()));
    let opaque: OpaqueToken = match valid.next() {
        Some(opaque) => opaque.map_err(rejected)?,
        None => return Err(rejected(identity::OpaqueTokenFault::Expired)),
    };
    let workers = Arc::new(WorkerPool::new(NonZeroUsize::MIN));
    let accounts = accounts_of(config, Some(&database), clock, &entropy)?;
    let never = Revalidation::Never;
    let managed = ManagedAccounts::in_database(config, database.clone());
    let managed = managed.as_ref();
    let backends = Backends::of_token_server(config, &workers, clock, managed, &accounts, never)?;
    let identity = backends.chain.identify(opaque).await;
    let identity = identity
        .map_err(|error| Failure::system("the owner cannot be looked up").caused_by(&error))?;
    let identity = identity.map_err(rejected)?;
    Ok((token, identity))
}

async fn ask(
    policies: &[Box<dyn Authorizer>],
    query: &AclQuery<'_>,
) -> Result<AuthorizeExplanation, Failure> {
    let source = LoginSource::new(query.ip, query.account);
    let explanation = explain_by_asking(policies, query, &source).await;
    explanation.map_err(|error| Failure::system("the server would fail").caused_by(&error))
}

impl CeilingReport {
    fn of(ceiling: &ScopeCeiling, query: &AclQuery<'_>) -> Self {
        match ceiling {
            ScopeCeiling::Unlimited => Self {
                allows: query.actions.to_vec(),
                entries: None,
            },
            ScopeCeiling::Limited(rules) => Self {
                allows: rules.allowed(query, query.actions),
                entries: Some(rules.matching_entries(query).cloned().collect()),
            },
        }
    }

    /// ` (repository:team/*:pull)`: the entries that match.
    fn matching(&self) -> String {
        match self.entries.as_deref() {
            None => " (there is none)".to_owned(),
            Some([]) => " (no entry matches)".to_owned(),
            Some(entries) => {
                let shown = entries.iter().map(|entry| {
                    let actions = entry.actions.join(",");
                    format!("{}:{}:{actions}", entry.resource_type, entry.name)
                });
                format!(" ({})", shown.collect::<Vec<_>>().join(", "))
            }
        }
    }
}
