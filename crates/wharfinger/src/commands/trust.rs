//! `wharfinger trust`: what the section `trust` makes of a workload's token.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use client::{ApiClient, ApiRoute};
use common::{Clock, Secret, SystemClock, escape_line};
use http::StatusCode;
use serde_json::json;
use workload_identity::TrustCheckReport;

use super::managed_server::{ManagedServer, ManagedServerArguments};
use super::{configuration, runtime};
use crate::failure::{Failure, FailureKind};
use crate::files;
use crate::output;
use crate::serve::backends::trust_without_logins;

/// Try the tokens of CI jobs and pods against the section `trust`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Check(Check),
}

/// Say which issuer and rule take a token, or what is wrong with it
///
/// The issuer's keys are fetched as the server does it. The exit code is 0 if the token would log a
/// workload in.
#[derive(Debug, Args)]
struct Check {
    #[command(flatten)]
    server: ManagedServerArguments,
    /// The token; `-` reads standard input, and `@FILE` a file. Other users of this machine can see a
    /// token on the command line.
    #[arg(default_value = "-", hide_default_value = true)]
    token: String,
    /// Print a JSON object: {issuer, verified, problem, rules: [{rule, matches, difference}], account,
    /// labels, origin, max_ttl, refresh_token}.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        Command::Check(check) => runtime::block_on(check.run())?,
    }
}

impl Check {
    async fn run(self) -> Result<ExitCode, Failure> {
        let report = match self.server.managed().await? {
            ManagedServer::Configured(file) => self.report(file).await?,
            ManagedServer::Remote(api) => self.report_of(&api).await?,
        };
        output::print(&match self.json {
            true => output::json(&json!(report)),
            false => text(&report),
        })?;
        match report.is_accepted() {
            true => Ok(ExitCode::SUCCESS),
            false => Err(Failure::new(
                FailureKind::Login,
                "the token logs no workload in",
            )),
        }
    }

    /// What the configuration in `file` makes of the token.
    async fn report(&self, file: &Path) -> Result<TrustCheckReport, Failure> {
        let config = configuration::load(file)?.config;
        if config.trust.is_empty() {
            return Err(without_trust(&file.display().to_string()));
        }
        let token = read_token(&self.token)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let trust = trust_without_logins(&config, &clock)?;
        Ok(trust.report(token.expose()).await.into())
    }

    /// What the server behind an API makes of it.
    async fn report_of(&self, api: &ApiClient) -> Result<TrustCheckReport, Failure> {
        let token = read_token(&self.token)?;
        let check = ApiRoute::new(&["trust", "checks"], &[("trust", "read")]);
        let report = api.ask(check, &json!({"token": token.expose()})).await;
        report.map_err(|error| match error.refused() {
            Some(StatusCode::NOT_FOUND) => without_trust(&api.address().to_string()),
            _ => error.into(),
        })
    }
}

fn without_trust(server: &str) -> Failure {
    Failure::usage(format!("{server} has no section trust"))
        .hint("write which platforms are trusted")
}

/// The token that the argument names: itself, standard input, or a file.
fn read_token(argument: &str) -> Result<Secret, Failure> {
    let text = match argument.strip_prefix('@') {
        Some(file) => files::read(Path::new(file))?,
        None if argument == "-" => files::read_standard_input()?,
        None => return Ok(argument.into()),
    };
    match text.trim() {
        "" => Err(Failure::usage("there is no token: the input is empty")
            .hint("give the token, `@FILE`, or write it to standard input")),
        token => Ok(token.into()),
    }
}

fn text(report: &TrustCheckReport) -> String {
    let mut lines = vec![match &report.issuer {
        Some(issuer) => format!("issuer: {issuer}"),
        None => "issuer: not trusted".to_owned(),
    }];
    lines.push(match &report.problem {
        None => "token: signature, audience and times are right".to_owned(),
        Some(problem) => format!("token: {problem}"),
    });
    lines.extend(report.rules.iter().map(|rule| match &rule.difference {
        None => format!("{}: matches", rule.rule),
        Some(difference) => format!("{}: {difference}", rule.rule),
    }));
    if let Some(account) = &report.account {
        lines.push(format!("account: {account}"));
    }
    for (label, values) in report.labels.iter().flatten() {
        lines.push(format!("  {label}: {}", values.join(", ")));
    }
    if let Some(lifetime) = &report.max_ttl {
        lines.push(format!("access tokens: at most {lifetime}"));
    }
    if let Some(lifetime) = &report.refresh_token {
        lines.push(format!("refresh token: for {lifetime}"));
    }
    lines.push(String::new());
    // A job chooses the values of some claims, and a line end in one would forge a line.
    let lines: Vec<_> = lines.iter().map(|line| escape_line(line)).collect();
    lines.join("\n")
}
