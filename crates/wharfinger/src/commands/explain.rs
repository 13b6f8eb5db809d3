//! `wharfinger explain`: what an account is granted, and by which rule.

mod label;
mod login;
mod personal_token;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use auth::{
    AuthorizeExplanation, Authorizer, ExplainedAction, ExplainedDecision, ExplanationEnd,
    PassedRule, explain_by_asking,
};
use common::{Clock, SystemClock};
use identity::{Identity, LoginSource};
use oci::RepositoryName;
use policy::{AclQuery, Labels, SkippedRule};
use serde::Serialize;
use token::Scope;

use self::login::TriedLogin;
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
    /// The configuration's file
    file: PathBuf,
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
    #[arg(long, requires = "account")]
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

/// What became of one scope.
#[derive(Serialize)]
struct ScopeReport<'a> {
    scope: String,
    granted: &'a [String],
    refused: &'a [String],
    /// `FILE:LINE` of the rule that decided, if one did.
    rule: Option<String>,
    comment: Option<&'a str>,
    /// How each action was decided, if it was decided by itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    actions: Vec<ActionReport<'a>>,
    /// Whether `ext_authz` would be asked, because no rule decided.
    ext_authz: bool,
    passed: Vec<PassedRuleReport<'a>>,
    /// The policies without rules that were asked and had no answer.
    unanswered: &'a [&'static str],
    /// The policy that would be asked, because no rule decided.
    #[serde(skip)]
    unasked: Option<&'static str>,
}

/// What became of one action. `rule` is that which decided, or could not be evaluated.
#[derive(Serialize)]
struct ActionReport<'a> {
    action: &'a str,
    granted: bool,
    rule: Option<&'a str>,
    error: Option<&'a str>,
}

/// A rule that did not decide. `rule` is written as that of the one that did.
#[derive(Serialize)]
struct PassedRuleReport<'a> {
    rule: &'a str,
    comment: Option<&'a str>,
    field: String,
    pattern: &'a str,
    expanded: &'a [String],
    values: &'a [String],
    reason: String,
    #[serde(skip)]
    skipped: &'a SkippedRule,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let scopes: Vec<Scope> = arguments
        .scopes
        .iter()
        .flat_map(|text| text.split(' '))
        .map(parse)
        .collect::<Result<_, _>>()?;
    let config = load(arguments)?;
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
    let (mut report, mut reports) = (String::new(), Vec::new());
    for scope in scopes {
        note_odd_name(scope);
        let query = query(arguments, &arguments.account, &labels, scope);
        let explanation = auth::explain(&authorizers, &query);
        let scope_report = scope_report(scope, &explanation);
        reports.push(json(&scope_report)?);
        write_text(&mut report, &scope_report, &arguments.account);
    }
    Ok(match arguments.json {
        true => output::json(&serde_json::Value::Array(reports)),
        false => report,
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
            true => output::json(&serde_json::json!({"login": login.report(typed, &[])})),
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
    // A robot of a person has the person's rights.
    let ruled = identity.ruled_subject().unwrap_or(&identity.subject);
    let labels = label::with_arguments(ruled.labels.clone(), &arguments.labels);
    let stored = StoredPolicies::new(config, clock);
    let authorizers = authorizers(config, clock, &stored, managed, Location::to_string)?;
    load_rules(&authorizers).await?;
    let (mut report, mut reports) = (login.text(account, &shown), Vec::new());
    for scope in scopes {
        note_odd_name(scope);
        let query = query(arguments, &ruled.account, &labels, scope);
        let explanation = ask(&authorizers, &query, identity).await?;
        let scope_report = scope_report(scope, &explanation);
        reports.push(json(&scope_report)?);
        write_text(&mut report, &scope_report, account);
    }
    let login = login.report(account, &shown);
    Ok(match arguments.json {
        true => output::json(&serde_json::json!({"login": login, "scopes": reports})),
        false => report,
    })
}

/// How the policies decide, within the login's ceiling.
async fn ask(
    authorizers: &[Box<dyn Authorizer>],
    query: &AclQuery<'_>,
    identity: &Identity,
) -> Result<AuthorizeExplanation, Failure> {
    if identity.ruled_subject().is_none() {
        return Ok(auth::explain_ceiling(&identity.ceiling, query));
    }
    let source = LoginSource::new(query.ip, query.account);
    let explanation = explain_by_asking(authorizers, query, &source).await;
    let mut explanation =
        explanation.map_err(|error| Failure::system("the server would fail").caused_by(&error))?;
    if let ExplanationEnd::Decided(decision) = &mut explanation.end {
        let granted = identity
            .ceiling
            .limit(query, std::mem::take(&mut decision.granted));
        let asked = query.actions.iter();
        let refused = asked.filter(|action| !granted.contains(action));
        decision.refused = refused.cloned().collect();
        decision.granted = granted;
    }
    Ok(explanation)
}

fn query<'a>(
    arguments: &'a Arguments,
    account: &'a str,
    labels: &'a Labels,
    scope: &'a Scope,
) -> AclQuery<'a> {
    AclQuery {
        account,
        labels,
        resource_type: &scope.resource_type,
        name: &scope.name,
        service: &arguments.service,
        ip: arguments.ip.map(|ip| ip.to_canonical()),
        actions: &scope.actions,
    }
}

fn json(report: &ScopeReport<'_>) -> Result<serde_json::Value, Failure> {
    serde_json::to_value(report).map_err(|error| Failure::system("no JSON").caused_by(&error))
}

fn parse(text: &str) -> Result<Scope, Failure> {
    text.parse().map_err(|error| {
        Failure::usage("a scope cannot be read")
            .caused_by(&error)
            .hint("write what the registry's challenge says, as repository:library/ubuntu:pull")
    })
}

fn load(arguments: &Arguments) -> Result<Config, Failure> {
    let loaded = config::load(&arguments.file).map_err(|diagnostics| {
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

/// Notes that no registry can have the repository: a capital letter in a name is a common mistake.
fn note_odd_name(scope: &Scope) {
    if scope.resource_type == "repository"
        && let Err(error) = scope.name.parse::<RepositoryName>()
    {
        output::note(format_args!(
            "note: no registry has a repository {:?}: {error}",
            scope.name
        ));
    }
}

fn scope_report<'a>(scope: &'a Scope, explanation: &'a AuthorizeExplanation) -> ScopeReport<'a> {
    let (decided, unasked) = match &explanation.end {
        ExplanationEnd::Decided(decision) => (Some(decision), None),
        ExplanationEnd::Unasked(policy) => (None, Some(*policy)),
        ExplanationEnd::Denied => (None, None),
    };
    let passed = explanation.passed.iter().map(passed_rule).collect();
    ScopeReport {
        scope: scope.to_string(),
        granted: decided.map_or(&[], |decided| &decided.granted),
        refused: decided.map_or(&scope.actions, |decided| &decided.refused),
        rule: decided.map(|ExplainedDecision { by, .. }| by.to_string()),
        comment: decided.and_then(|decided| decided.comment.as_deref()),
        actions: decided.map_or_else(Vec::new, |decided| {
            decided.actions.iter().map(action_report).collect()
        }),
        ext_authz: unasked == Some("ext_authz"),
        passed,
        unanswered: &explanation.unanswered,
        unasked,
    }
}

fn action_report(explained: &ExplainedAction) -> ActionReport<'_> {
    ActionReport {
        action: &explained.action,
        granted: explained.granted,
        rule: explained.rule.as_deref(),
        error: explained.error.as_deref(),
    }
}

fn passed_rule(rule: &PassedRule) -> PassedRuleReport<'_> {
    let PassedRule { place, skipped } = rule;
    PassedRuleReport {
        rule: place,
        comment: skipped.comment.as_deref(),
        field: skipped.field.to_string(),
        pattern: &skipped.pattern,
        expanded: &skipped.expanded,
        values: &skipped.values,
        reason: skipped.reason.to_string(),
        skipped,
    }
}

fn write_text(report: &mut String, answer: &ScopeReport<'_>, account: &str) {
    let account = if account.is_empty() {
        "the anonymous"
    } else {
        account
    };
    let list = |actions: &[String]| {
        if actions.is_empty() {
            "nothing".to_owned()
        } else {
            actions.join(", ")
        }
    };
    let mut lines = vec![format!("{} for {account}", answer.scope)];
    lines.push(format!("  granted: {}", list(answer.granted)));
    lines.push(format!("  refused: {}", list(answer.refused)));
    lines.push(match (&answer.rule, answer.comment, answer.unasked) {
        (Some(rule), Some(comment), _) => format!("  decided by {rule}: {comment}"),
        (Some(rule), None, _) => format!("  decided by {rule}"),
        (None, _, Some("ext_authz")) => {
            "  no rule matches: the program of ext_authz would be asked".to_owned()
        }
        (None, _, Some(policy)) => format!("  no rule matches: {policy} would be asked"),
        (None, _, None) => "  no rule matches: access is denied by default".to_owned(),
    });
    lines.extend(answer.actions.iter().map(action_line));
    lines.extend(
        answer
            .passed
            .iter()
            .map(|passed| format!("  not by {}: {}", passed.rule, reason(passed.skipped))),
    );
    let unanswered = answer.unanswered.iter();
    lines.extend(unanswered.map(|policy| format!("  not by {policy}: it has no answer")));
    // Writing to a String cannot fail.
    let _ = writeln!(report, "{}", lines.join("\n"));
}

/// `  pull: granted by policy.csv:3`.
fn action_line(report: &ActionReport<'_>) -> String {
    let verdict = if report.granted { "granted" } else { "refused" };
    let reason = match (report.rule, report.error) {
        (Some(rule), Some(error)) => format!(" by an error in {rule}: {error}"),
        (None, Some(error)) => format!(" by an error: {error}"),
        (Some(rule), None) => format!(" by {rule}"),
        (None, None) if report.granted => ", because no line denies it".to_owned(),
        (None, None) => ", because no line allows it".to_owned(),
    };
    format!("  {}: {verdict}{reason}", report.action)
}

/// `name: ${account}/* (bob/*) and library/ubuntu: it does not match`.
fn reason(passed: &SkippedRule) -> String {
    let mut text = format!("{}: {:?}", passed.field, passed.pattern);
    if passed
        .expanded
        .iter()
        .any(|expanded| *expanded != passed.pattern)
    {
        let expanded: Vec<String> = passed
            .expanded
            .iter()
            .map(|expanded| format!("{expanded:?}"))
            .collect();
        let _ = write!(text, " (here {})", expanded.join(", "));
    }
    if !passed.values.is_empty() {
        let values: Vec<String> = passed
            .values
            .iter()
            .map(|value| format!("{value:?}"))
            .collect();
        let _ = write!(text, " against {}", values.join(", "));
    }
    format!("{text}: {}", passed.reason)
}
