//! `wharfinger policy diff`: who would gain and who would lose what.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use audit::{AuditStore, Recording};
use auth::{Authorizer, ExplanationEnd, explain};
use clap::Args;
use common::{Clock, SystemClock, escape_line};
use identity::{AuthenticatorChain, WorkerPool};
use policy::{AclQuery, Labels};
use serde::Serialize;

use super::requests::{self, RecordedRequest};
use crate::commands::explain::load_rules;
use crate::commands::managed_database::ManagedDatabase;
use crate::commands::{configuration, runtime};
use crate::config::{Config, Location};
use crate::failure::Failure;
use crate::output;
use crate::serve::backends::{Backends, Revalidation, authorizers};
use crate::serve::managed_accounts::ManagedAccounts;
use crate::serve::sign_in_pages::stored_accounts;
use crate::serve::stored_policies::StoredPolicies;

/// Compare the rules of two configurations over requests that clients have made
///
/// For each request of the log or of the audit table, the rules of OLD and of NEW are asked: those of the file, of the
/// database, of acl_xorm and of casbin_authz. The labels of an account are those that the backends of
/// FILE know today, or else those in the log. The exit code is 0 if nothing differs, and 1 if someone
/// gains or loses something.
#[derive(Debug, Args)]
pub(super) struct Diff {
    /// The server's configuration, whose backends know the accounts.
    file: PathBuf,
    /// The configuration with the rules as they are.
    old: PathBuf,
    /// The configuration with other rules.
    new: PathBuf,
    /// The server's log in JSON (server.log.format: json), - for standard input, or `database` for the
    /// audit table of FILE.
    #[arg(long, value_name = "LOG|database")]
    requests: PathBuf,
    /// Print a JSON object: {compared, not_compared, changes: [{account, service, address, scope,
    /// gains, loses, old, new, requests}]}.
    #[arg(long)]
    json: bool,
}

/// A request that is decided otherwise.
#[derive(Debug, Serialize)]
struct Change<'a> {
    account: &'a str,
    service: &'a str,
    address: Option<std::net::IpAddr>,
    scope: String,
    gains: Vec<String>,
    loses: Vec<String>,
    /// What decides before and after.
    old: String,
    new: String,
    /// How often it was made.
    requests: u64,
}

#[derive(Debug, Default, Serialize)]
struct Report<'a> {
    compared: u64,
    /// Requests that a server or a program decides, by its section.
    not_compared: BTreeMap<&'static str, u64>,
    changes: Vec<Change<'a>>,
}

/// What rules grant, and what decided.
struct Granted {
    actions: Vec<String>,
    by: String,
}

impl Diff {
    pub(super) fn run(self) -> Result<ExitCode, Failure> {
        let recorded = self.read_requests()?;
        if recorded.is_empty() {
            let log = self.requests.display();
            let hint = match self.is_of_database() {
                true => "requests are recorded if the configuration has a section `audit`",
                false => "the log must be in JSON: write server.log.format: json",
            };
            let failure = Failure::usage(format!("{log} has no decision about a scope"));
            return Err(failure.hint(hint));
        }
        let report = runtime::block_on(self.compare(&recorded))??;
        match self.json {
            true => output::print_json(
                &serde_json::to_value(&report)
                    .map_err(|error| Failure::system("no JSON").caused_by(&error))?,
            )?,
            false => output::print(&format!("{}\n", text(&report)))?,
        }
        Ok(match report.changes.is_empty() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }

    fn is_of_database(&self) -> bool {
        self.requests == Path::new("database")
    }

    fn read_requests(&self) -> Result<Vec<(RecordedRequest, u64)>, Failure> {
        if self.is_of_database() {
            let managed = ManagedDatabase::open(&self.file)?;
            let accounts = managed.config.audit.map(|audit| audit.personal.accounts);
            if accounts.is_some_and(|accounts| accounts != Recording::Keep) {
                return Err(Failure::usage(
                    "the names of accounts are not recorded, so no rule can be asked",
                )
                .hint("give a log, or write audit.accounts: keep for a while"));
            }
            let store = AuditStore::new(managed.database);
            return runtime::block_on(requests::read_table(&store))?;
        }
        if self.requests == Path::new("-") {
            return requests::read(io::stdin().lock());
        }
        let file = File::open(&self.requests).map_err(|error| {
            let log = self.requests.display();
            Failure::usage(format!("cannot read {log}")).caused_by(&error)
        })?;
        requests::read(BufReader::new(file))
    }

    async fn compare<'a>(
        &self,
        recorded: &'a [(RecordedRequest, u64)],
    ) -> Result<Report<'a>, Failure> {
        let accounts = KnownAccounts::of(&configuration::load(&self.file)?.config)?;
        let old = policies(&configuration::load(&self.old)?.config).await?;
        let new = policies(&configuration::load(&self.new)?.config).await?;
        let (mut report, mut known) = (Report::default(), BTreeMap::new());
        for (request, count) in recorded {
            let labels = match known.get(&request.account) {
                Some(labels) => labels,
                None => {
                    let labels = accounts.labels(&request.account).await?;
                    known.entry(&request.account).or_insert(labels)
                }
            };
            let shown = || requests::shown_labels(&request.labels);
            let labels: Labels = labels.clone().unwrap_or_else(shown);
            let query = query(request, &labels);
            match (granted(&old, &query), granted(&new, &query)) {
                (Ok(before), Ok(after)) => {
                    report.compared += *count;
                    report
                        .changes
                        .extend(change(request, *count, &before, &after));
                }
                (Err(policy), _) | (_, Err(policy)) => {
                    *report.not_compared.entry(policy).or_default() += count;
                }
            }
        }
        Ok(report)
    }
}

/// The accounts that the backends of a configuration know today.
struct KnownAccounts(AuthenticatorChain);

impl KnownAccounts {
    fn of(config: &Config) -> Result<Self, Failure> {
        let workers = Arc::new(WorkerPool::new(NonZeroUsize::MIN));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (managed, never) = (ManagedAccounts::stored(config)?, Revalidation::Never);
        let accounts = stored_accounts(config, &clock)?;
        let managed = managed.as_ref();
        let backends =
            Backends::of_token_server(config, &workers, &clock, managed, &accounts, never)?;
        Ok(Self(backends.chain))
    }

    /// The labels of an account; `None` if no backend can tell.
    async fn labels(&self, account: &str) -> Result<Option<Labels>, Failure> {
        let found = self.0.look_up(account).await.map_err(|error| {
            Failure::system(format!("the labels of {account:?} cannot be looked up"))
                .caused_by(&error)
        })?;
        Ok(found.map(|identity| identity.subject.labels))
    }
}

/// The policies of a configuration, with the rules that are in databases.
async fn policies(config: &Config) -> Result<Vec<Box<dyn Authorizer>>, Failure> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (managed, stored) = (
        ManagedAccounts::stored(config)?,
        StoredPolicies::new(config, &clock),
    );
    let policies = authorizers(
        config,
        &clock,
        &stored,
        managed.as_ref(),
        Location::to_string,
    )?;
    load_rules(&policies).await?;
    Ok(policies)
}

/// What the policies grant; or the section of a server or a program that would be asked.
fn granted(
    policies: &[Box<dyn Authorizer>],
    query: &AclQuery<'_>,
) -> Result<Granted, &'static str> {
    match explain(policies, query).end {
        ExplanationEnd::Decided(decision) => Ok(Granted {
            by: decision.by.to_string(),
            actions: decision.granted,
        }),
        ExplanationEnd::Denied => Ok(Granted {
            by: "no rule".to_owned(),
            actions: Vec::new(),
        }),
        ExplanationEnd::Unasked(policy) => Err(policy),
    }
}

fn query<'a>(request: &'a RecordedRequest, labels: &'a Labels) -> AclQuery<'a> {
    AclQuery {
        account: &request.account,
        labels,
        resource_type: &request.scope.resource_type,
        name: &request.scope.name,
        service: &request.service,
        ip: request.ip.map(|ip| ip.to_canonical()),
        actions: &request.scope.actions,
    }
}

/// What the account gains and loses, if that is anything.
fn change<'a>(
    request: &'a RecordedRequest,
    requests: u64,
    before: &Granted,
    after: &Granted,
) -> Option<Change<'a>> {
    let without = |all: &[String], others: &[String]| -> Vec<String> {
        let left = all.iter().filter(|action| !others.contains(action));
        left.cloned().collect()
    };
    let change = Change {
        account: &request.account,
        service: &request.service,
        address: request.ip,
        scope: request.scope.to_string(),
        gains: without(&after.actions, &before.actions),
        loses: without(&before.actions, &after.actions),
        old: before.by.clone(),
        new: after.by.clone(),
        requests,
    };
    let differs = !(change.gains.is_empty() && change.loses.is_empty());
    differs.then_some(change)
}

/// A line for each change, and one for all.
fn text(report: &Report<'_>) -> String {
    let mut lines: Vec<String> = report.changes.iter().map(line).collect();
    lines.push(format!(
        "{} requests compared, {} of them decided otherwise",
        report.compared,
        report
            .changes
            .iter()
            .map(|change| change.requests)
            .sum::<u64>()
    ));
    let not_compared = report.not_compared.iter();
    lines.extend(not_compared.map(|(policy, count)| {
        format!("{count} requests not compared: {policy} would decide them")
    }));
    lines.join("\n")
}

fn line(change: &Change<'_>) -> String {
    let account = match change.account {
        "" => "the anonymous account".to_owned(),
        account => escape_line(account).to_string(),
    };
    let mut parts = Vec::new();
    for (verb, actions) in [("gains", &change.gains), ("loses", &change.loses)] {
        if !actions.is_empty() {
            parts.push(format!("{verb} {}", actions.join(",")));
        }
    }
    format!(
        "{account} {} of {} ({} requests; before: {}, after: {})",
        parts.join(" and "),
        escape_line(&change.scope),
        change.requests,
        change.old,
        change.new
    )
}
