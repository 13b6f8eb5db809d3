//! `explain --password-stdin`: which backend accepts a login, and what it says of the account.

use std::error::Error;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use common::{Clock, Entropy, Secret, SystemEntropy, with_causes};
use identity::{
    AskedBackend, AuthenticationError, BackendAnswer, Credentials, Identity, LoginSource, Proof,
    WorkerPool, is_unambiguous_name,
};
use serde::Serialize;

use super::label::ShownLabel;
use crate::config::Config;
use crate::failure::{Failure, FailureKind};
use crate::serve::backends::{Backends, Revalidation};
use crate::serve::managed_accounts::ManagedAccounts;
use crate::serve::sign_in_pages::{stored_accounts, stored_database};

/// A login that was tried.
pub(super) struct TriedLogin {
    asked: Vec<AskedBackend>,
}

/// A login that was tried, for JSON.
#[derive(Serialize)]
pub(super) struct LoginReport<'a> {
    account: &'a str,
    accepted: bool,
    /// The backend that decided, if one did.
    backend: Option<&'a str>,
    asked: Vec<AskedReport<'a>>,
    labels: &'a [ShownLabel],
    /// What the proof says of its origin, if it says more than the account.
    #[serde(skip_serializing_if = "str::is_empty")]
    origin: &'a str,
}

#[derive(Serialize)]
struct AskedReport<'a> {
    backend: &'a str,
    answer: &'static str,
}

impl TriedLogin {
    /// Asks the backends of `config` in their order, as the server does.
    pub(super) async fn of(
        config: &Config,
        clock: &Arc<dyn Clock>,
        managed: Option<&ManagedAccounts>,
        account: &str,
        password: Secret,
        ip: Option<IpAddr>,
    ) -> Result<Self, Failure> {
        if !is_unambiguous_name(account) {
            return Err(Failure::new(
                FailureKind::Login,
                "the server refuses every account with a control character in its name",
            ));
        }
        let workers = Arc::new(WorkerPool::new(NonZeroUsize::MIN));
        let accounts = stored_accounts(config, clock)?;
        let never = Revalidation::Never;
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let database = stored_database(config)?;
        let backends =
            Backends::of_token_server(config, &workers, clock, managed, &accounts, never)?;
        let chain = backends
            .with_personal_tokens(config, database.as_ref(), clock, &entropy)
            .chain;
        let proof = Proof::Password(Credentials {
            account: account.to_owned(),
            password,
        });
        let asked = chain.explain(&proof, &LoginSource::new(ip, account)).await;
        Ok(Self { asked })
    }

    /// The account that was proved, and the backend that accepted it.
    pub(super) fn accepted(&self) -> Option<(&Identity, &'static str)> {
        match self.asked.last() {
            Some(AskedBackend {
                name,
                answer: BackendAnswer::Accepted(identity),
            }) => Some((identity, name)),
            _ => None,
        }
    }

    fn origin(&self) -> &str {
        self.accepted()
            .map_or("", |(identity, _)| identity.terms.origin.as_str())
    }

    /// Why the login is not accepted.
    pub(super) fn failure(&self, account: &str) -> Failure {
        match self.asked.last() {
            Some(AskedBackend {
                name,
                answer: BackendAnswer::Failed(error),
            }) => {
                let failure = Failure::system(format!("{name} has no answer, so the login fails"));
                failure.caused_by(cause(error))
            }
            Some(AskedBackend {
                name,
                answer: BackendAnswer::Rejected,
            }) => Failure::new(
                FailureKind::Login,
                format!("{name} rejects the password of {account:?}"),
            ),
            Some(AskedBackend {
                answer: BackendAnswer::TokenRejected(fault),
                ..
            }) => Failure::new(FailureKind::Login, "the token is rejected").caused_by(fault),
            _ => Failure::new(
                FailureKind::Login,
                format!("no backend knows the account {account:?}"),
            ),
        }
    }

    pub(super) fn report<'a>(
        &'a self,
        account: &'a str,
        labels: &'a [ShownLabel],
    ) -> LoginReport<'a> {
        let decided = self
            .asked
            .last()
            .filter(|asked| !matches!(asked.answer, BackendAnswer::NoMatch));
        let asked = self.asked.iter().map(|asked| AskedReport {
            backend: asked.name,
            answer: word(&asked.answer),
        });
        LoginReport {
            account,
            accepted: self.accepted().is_some(),
            backend: decided.map(|asked| asked.name),
            asked: asked.collect(),
            labels,
            origin: self.origin(),
        }
    }

    /// `ann is accepted by http_auth`, and a line for each backend before it and for each label.
    pub(super) fn text(&self, account: &str, labels: &[ShownLabel]) -> String {
        let title = match self.accepted() {
            Some((_, backend)) => format!("{account} is accepted by {backend}"),
            None => format!("{account} is not accepted"),
        };
        let asked = self.asked.iter().map(|asked| match &asked.answer {
            BackendAnswer::Failed(error) => {
                format!("{}: {}", asked.name, with_causes(cause(error)))
            }
            answer => format!("{}: {}", asked.name, word(answer)),
        });
        let origin = Some(self.origin()).filter(|origin| !origin.is_empty());
        let lines = asked
            .chain(origin.map(|origin| format!("by {origin}")))
            .chain(labels.iter().map(ToString::to_string));
        let lines: Vec<String> = lines.map(|line| format!("  {line}\n")).collect();
        format!("{title}\n{}", lines.concat())
    }
}

fn word(answer: &BackendAnswer) -> &'static str {
    match answer {
        BackendAnswer::NoMatch => "does not know the account",
        BackendAnswer::Accepted(_) => "accepts",
        BackendAnswer::Rejected | BackendAnswer::TokenRejected(_) => "rejects",
        BackendAnswer::Failed(_) => "has no answer",
    }
}

/// The error itself, if it only passes on another.
fn cause(error: &AuthenticationError) -> &dyn Error {
    match error {
        AuthenticationError::Busy(_) => error,
        AuthenticationError::Backend(error) => error,
    }
}
