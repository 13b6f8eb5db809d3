//! `wharfinger explain`: what an account is granted, and by which rule.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use auth::{AuthorizeExplanation, ExplainedAction, ExplainedDecision, ExplanationEnd, PassedRule};
use oci::RepositoryName;
use policy::{AclQuery, Labels, SkippedRule};
use serde::Serialize;
use token::Scope;

use crate::config::{self, Config, Location};
use crate::failure::Failure;
use crate::output;
use crate::serve::backends::authorizers;

/// Explain what an account is granted of each scope, and which rule of the configuration decided
///
/// For each rule before the one that decided, it shows the condition that did not match. It does not
/// ask ext_auth and ext_authz.
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
    /// A label of the account, in addition to those in the configuration; may be repeated
    #[arg(long = "label", value_name = "NAME=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// Print a JSON list with one object for each scope
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
    let labels = labels(arguments, &config);
    let authorizers = authorizers(&config, Location::to_string);
    let mut report = String::new();
    let mut reports = Vec::new();
    for scope in scopes {
        note_odd_name(&scope);
        let query = AclQuery {
            account: &arguments.account,
            labels: &labels,
            resource_type: &scope.resource_type,
            name: &scope.name,
            service: &arguments.service,
            ip: arguments.ip.map(|ip| ip.to_canonical()),
            actions: &scope.actions,
        };
        let explanation = auth::explain(&authorizers, &query);
        let scope_report = scope_report(&scope, &explanation);
        if arguments.json {
            reports.push(
                serde_json::to_value(&scope_report)
                    .map_err(|error| Failure::system("no JSON").caused_by(&error))?,
            );
        } else {
            write_text(&mut report, &scope_report, &arguments.account);
        }
    }
    if arguments.json {
        report = format!("{:#}\n", serde_json::Value::Array(reports));
    }
    output::print(&report)?;
    Ok(ExitCode::SUCCESS)
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

/// The labels that the configuration gives the account, and those of the command line.
fn labels(arguments: &Arguments, config: &Config) -> Labels {
    let account = config
        .users
        .as_ref()
        .and_then(|users| users.find(&arguments.account));
    if account.is_none() && config.ext_auth.is_none() && config.htpasswd.is_none() {
        output::note(format_args!(
            "note: no user of the configuration is called {:?}: it could not log in",
            arguments.account
        ));
    }
    let mut labels = account
        .map(|account| account.labels.clone())
        .unwrap_or_default();
    for (name, value) in &arguments.labels {
        labels.entry(name.clone()).or_default().push(value.clone());
    }
    labels
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

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a label is written NAME=VALUE".to_owned()),
    }
}
