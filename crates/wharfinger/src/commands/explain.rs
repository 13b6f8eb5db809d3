//! `wharfinger explain`: what an account is granted, and by which rule.

mod label;
mod login;
mod personal_token;
mod remote;
mod text;

use std::net::IpAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use auth::{AskedPolicies, AuthorizeError, Authorizer, ExplainedRequest, Explainer};
use common::{Clock, SystemClock};
use identity::{Identity, PermissionSource};
use oci::RepositoryName;
use policy::{Labels, Subject};
use serde_json::json;
use token::Scope;

use self::login::TriedLogin;
use super::managed_server::{ManagedServer, ManagedServerArguments};
use super::runtime;
use crate::config::{self, Config, Location};
use crate::failure::Failure;
use crate::output;
use crate::remote::password;
use crate::serve::backends::authorizers;
use crate::serve::managed_accounts::ManagedAccounts;
use crate::serve::stored_policies::StoredPolicies;

/// Explain what an account is granted of each scope, and which rule of the configuration decided
///
/// For each rule before the one that decided, it shows the condition that did not match. Rules in a
/// database are loaded from there. Without --password-stdin, it asks no program and no server.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: ManagedServerArguments,
    /// The account; default: anonymous
    #[arg(long, default_value = "", hide_default_value = true)]
    account: String,
    /// The client's address
    #[arg(long)]
    ip: Option<IpAddr>,
    /// The registry's service
    #[arg(long, default_value = "", hide_default_value = true)]
    service: String,
    /// A label of the account, in addition to those that its backend gives; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label::parse)]
    labels: Vec<(String, String)>,
    /// Log in with the password on standard input: ask the backends of the configuration as the
    /// server does, and then its policies, programs and servers among them
    #[arg(long, requires = "account", conflicts_with = "server")]
    password_stdin: bool,
    /// A robot, as robot+NAME, or a personal token or robot by its id: what its ceiling and the rules
    /// of its owner allow, asking as --password-stdin does
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["account", "labels", "password_stdin"])]
    token: Option<String>,
    /// Print a JSON list with one object for each scope; with --password-stdin an object {login,
    /// scopes}, and with --token an object {token, scopes}
    #[arg(long)]
    json: bool,
    /// The scope, as repository:NAME:pull,push or registry:catalog:*
    #[arg(required = true, value_name = "SCOPE")]
    scopes: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let scopes: Vec<Scope> = arguments
        .scopes
        .iter()
        .flat_map(|text| text.split(' '))
        .map(parse)
        .collect::<Result<_, _>>()?;
    let file = match runtime::block_on(arguments.server.managed())?? {
        ManagedServer::Configured(file) => file,
        ManagedServer::Remote(api) => {
            let explanation = remote::explain(&api, arguments, &scopes);
            output::print(&runtime::block_on(explanation)??)?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    let config = load(file)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let report = if let Some(token) = &arguments.token {
        let explanation = personal_token::explain(arguments, token, &config, &clock, &scopes);
        runtime::block_on(explanation)??
    } else if arguments.password_stdin {
        runtime::block_on(explain_login(arguments, &config, &clock, &scopes))??
    } else {
        explain_account(arguments, &config, &clock, &scopes)?
    };
    output::print(&report)?;
    Ok(ExitCode::SUCCESS)
}

/// What the account is granted by the rules, whatever its password.
fn explain_account(
    arguments: &Arguments,
    config: &Config,
    clock: &Arc<dyn Clock>,
    scopes: &[Scope],
) -> Result<String, Failure> {
    let managed = ManagedAccounts::stored(config)?;
    let stored = StoredPolicies::new(config, clock);
    let managed = managed.as_ref();
    let authorizers = authorizers(config, clock, &stored, managed, Location::to_string)?;
    let labels = runtime::block_on(async {
        load_rules(&authorizers).await?;
        labels(arguments, config, managed).await
    })??;
    note_odd_names(scopes);
    let identity = Identity::new(Subject {
        account: arguments.account.clone(),
        labels,
    });
    let request = request(arguments, scopes);
    let explainer = Explainer::new(&authorizers);
    let explanation = explainer.explain(&identity, request, AskedPolicies::Rules);
    let reports = runtime::block_on(explanation)?.map_err(|error| failed(&error))?;
    Ok(match arguments.json {
        true => output::json(&json!(reports)),
        false => text::scopes(&reports, &arguments.account),
    })
}

/// What a client with this password is granted. The backends and the policies are asked.
async fn explain_login(
    arguments: &Arguments,
    config: &Config,
    clock: &Arc<dyn Clock>,
    scopes: &[Scope],
) -> Result<String, Failure> {
    let password = password(true, "")?;
    let typed = arguments.account.as_str();
    let managed = ManagedAccounts::stored(config)?;
    let managed = managed.as_ref();
    let login = TriedLogin::of(config, clock, managed, typed, password, arguments.ip).await?;
    let Some((identity, backend)) = login.accepted() else {
        output::print(&match arguments.json {
            true => output::json(&json!({"login": login.report(typed, &[])})),
            false => login.text(typed, &[]),
        })?;
        return Err(login.failure(typed));
    };
    let account = identity.subject.account.as_str();
    let own = Labels::new();
    let mut shown = label::shown(&identity.subject.labels, backend);
    shown.extend(label::shown(
        &label::with_arguments(own, &arguments.labels),
        "--label",
    ));
    let stored = StoredPolicies::new(config, clock);
    let authorizers = authorizers(config, clock, &stored, managed, Location::to_string)?;
    load_rules(&authorizers).await?;
    note_odd_names(scopes);
    let identity = with_labels(identity.clone(), &arguments.labels);
    let request = request(arguments, scopes);
    let explainer = Explainer::new(&authorizers);
    let explanation = explainer.explain(&identity, request, AskedPolicies::All);
    let reports = explanation.await.map_err(|error| failed(&error))?;
    Ok(match arguments.json {
        true => output::json(&json!({"login": login.report(account, &shown), "scopes": reports})),
        false => login.text(account, &shown) + &text::scopes(&reports, account),
    })
}

/// `identity` with the labels of the command line, which a robot of a person adds to those of the
/// person.
fn with_labels(mut identity: Identity, labels: &[(String, String)]) -> Identity {
    let subject = match &mut identity.permissions {
        PermissionSource::Owner(owner) => owner,
        PermissionSource::Account | PermissionSource::Ceiling => &mut identity.subject,
    };
    let own = std::mem::take(&mut subject.labels);
    subject.labels = label::with_arguments(own, labels);
    identity
}

fn request<'a>(arguments: &'a Arguments, scopes: &'a [Scope]) -> ExplainedRequest<'a> {
    ExplainedRequest {
        service: &arguments.service,
        ip: arguments.ip,
        scopes,
    }
}

fn failed(error: &AuthorizeError) -> Failure {
    Failure::system("the server would fail").caused_by(error)
}

fn parse(text: &str) -> Result<Scope, Failure> {
    text.parse().map_err(|error| {
        Failure::usage("a scope cannot be read")
            .caused_by(&error)
            .hint("write what the registry's challenge says, as repository:library/ubuntu:pull")
    })
}

fn load(file: &Path) -> Result<Config, Failure> {
    let loaded = config::load(file).map_err(|diagnostics| {
        Failure::usage(format!("the configuration is wrong\n{diagnostics}"))
            .hint("correct it, then ask again")
    })?;
    Ok(loaded.config)
}

/// Loads the rules that are in a database.
pub(super) async fn load_rules(authorizers: &[Box<dyn Authorizer>]) -> Result<(), Failure> {
    for authorizer in authorizers {
        authorizer.load().await.map_err(|error| {
            Failure::system("the rules cannot be loaded from their database").caused_by(&error)
        })?;
    }
    Ok(())
}

/// The labels that the configuration or the database gives the account, and those of the command
/// line.
async fn labels(
    arguments: &Arguments,
    config: &Config,
    managed: Option<&ManagedAccounts>,
) -> Result<Labels, Failure> {
    let users = config.users.as_ref();
    let account = users.and_then(|users| users.find(&arguments.account));
    let labels = match (account, managed) {
        (Some(account), _) => Some(account.labels.clone()),
        (None, Some(managed)) => managed.labels(&arguments.account).await?,
        (None, None) => None,
    };
    let has_others = config.ext_auth.is_some()
        || config.htpasswd.is_some()
        || config.http_auth.is_some()
        || config.ldap_auth.is_some()
        || config.mongo_users.is_some()
        || config.sql_users.is_some()
        || !config.trust.is_empty();
    if labels.is_none() && !has_others {
        output::note(format_args!(
            "note: no user of the configuration is called {:?}: it could not log in",
            arguments.account
        ));
    }
    Ok(label::with_arguments(
        labels.unwrap_or_default(),
        &arguments.labels,
    ))
}

/// Notes that no registry can have a repository: a capital letter in a name is a common mistake.
fn note_odd_names(scopes: &[Scope]) {
    for Scope { name, .. } in scopes
        .iter()
        .filter(|scope| scope.resource_type == "repository")
    {
        if let Err(error) = name.parse::<RepositoryName>() {
            output::note(format_args!(
                "note: no registry has a repository {name:?}: {error}"
            ));
        }
    }
}
