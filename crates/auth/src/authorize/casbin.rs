//! `docker_auth`'s `casbin_authz`: a Casbin policy decides each action by itself.
//!
//! It is asked last and has an answer to every query but those about the API. A line of the policy that cannot be evaluated
//! for a query denies the action, as there, but the log says so.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use common::BoxFuture;
use identity::LoginSource;
use policy::AclQuery;
use policy::casbin::{EnforceError, Enforcement, Enforcer};

use super::explain::{ExplainedAction, ExplainedDecision, RuleSetExplanation};
use super::go_json::go_json;
use super::{AuthorizeError, Authorizer, DecidedBy, Decision, RuleSet};

const NAME: &str = "casbin_authz";

/// How many values a request has: account, type, name, service, address, action, labels.
pub const CASBIN_VALUES: usize = 7;

/// The policy of `casbin_authz`.
pub struct CasbinAuthorizer(Arc<CasbinRules>);

struct CasbinRules {
    enforcer: Arc<Enforcer>,
    /// How a line of the policy is shown.
    place: Box<dyn Fn(usize) -> String + Send + Sync>,
    /// The lines whose errors are in the log.
    logged: Mutex<BTreeSet<Option<usize>>>,
}

impl CasbinAuthorizer {
    /// The policy of `enforcer`, whose requests have [`CASBIN_VALUES`] values. `place` is how a line
    /// of it is shown (`policy.csv:3`).
    #[must_use]
    pub fn new(
        enforcer: Arc<Enforcer>,
        place: impl Fn(usize) -> String + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(CasbinRules {
            enforcer,
            place: Box::new(place),
            logged: Mutex::default(),
        }))
    }
}

impl Authorizer for CasbinAuthorizer {
    fn name(&self) -> &'static str {
        NAME
    }

    fn decides_api(&self) -> bool {
        false
    }

    fn decide<'a>(
        &'a self,
        query: &'a AclQuery<'a>,
        _: &'a LoginSource,
    ) -> BoxFuture<'a, Result<Option<Decision>, AuthorizeError>> {
        Box::pin(std::future::ready(Ok(self.0.decide(query))))
    }

    fn rules(&self) -> Option<Arc<dyn RuleSet>> {
        Some(Arc::clone(&self.0) as Arc<dyn RuleSet>)
    }
}

impl RuleSet for CasbinRules {
    fn decide(&self, query: &AclQuery<'_>) -> Option<Decision> {
        let results = self.results(query);
        for (action, result) in &results {
            if let Err(error) = result {
                self.log(error, query, action);
            }
        }
        Some(Decision {
            granted: granted(&results),
            by: self.by(&results),
        })
    }

    fn explain(&self, query: &AclQuery<'_>) -> RuleSetExplanation {
        let results = self.results(query);
        let refused = results.iter().filter(|(_, result)| !is_allowed(result));
        let decision = ExplainedDecision {
            by: self.by(&results),
            granted: granted(&results),
            refused: refused.map(|(action, _)| (*action).to_owned()).collect(),
            comment: None,
            actions: results
                .iter()
                .map(|(action, result)| self.explained(action, result))
                .collect(),
        };
        RuleSetExplanation {
            passed: Vec::new(),
            decided: Some(decision),
        }
    }
}

/// What became of an action.
type ActionResult<'a> = (&'a str, Result<Enforcement, EnforceError>);

impl CasbinRules {
    /// What becomes of each action.
    fn results<'a>(&self, query: &AclQuery<'a>) -> Vec<ActionResult<'a>> {
        let ip = query
            .ip
            .map(|ip| ip.to_canonical().to_string())
            .unwrap_or_default();
        let labels = go_json(&(!query.labels.is_empty()).then_some(query.labels));
        let result = |action: &'a String| {
            let request: [&str; CASBIN_VALUES] = [
                query.account,
                query.resource_type,
                query.name,
                query.service,
                &ip,
                action,
                &labels,
            ];
            (action.as_str(), self.enforcer.enforce(&request))
        };
        query.actions.iter().map(result).collect()
    }

    /// The lines that decided, or the policy as a whole if no line did.
    fn by(&self, results: &[ActionResult<'_>]) -> DecidedBy {
        let enforcements = results
            .iter()
            .filter_map(|(_, result)| result.as_ref().ok());
        let lines: BTreeSet<usize> = enforcements.filter_map(|found| found.line).collect();
        let mut rule = String::new();
        for line in lines {
            let separator = if rule.is_empty() { "" } else { "," };
            // Writing to a String cannot fail.
            let _ = write!(rule, "{separator}{}", (self.place)(line));
        }
        DecidedBy {
            policy: Some(NAME),
            rule: Some(rule.into()).filter(|rule: &Arc<str>| !rule.is_empty()),
        }
    }

    fn explained(
        &self,
        action: &str,
        result: &Result<Enforcement, EnforceError>,
    ) -> ExplainedAction {
        let line = match result {
            Ok(enforcement) => enforcement.line,
            Err(error) => error.line,
        };
        ExplainedAction {
            action: action.to_owned(),
            granted: is_allowed(result),
            rule: line.map(&self.place),
            error: result.as_ref().err().map(ToString::to_string),
        }
    }

    /// Logs an error; once for each line, because a filtered catalog may meet it for every
    /// repository.
    fn log(&self, error: &EnforceError, query: &AclQuery<'_>, action: &str) {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if !logged.insert(error.line) {
            return;
        }
        let line = error.line.map(&self.place).unwrap_or_default();
        let (account, name) = (query.account, query.name);
        tracing::warn!(
            line, account, name, action, %error,
            "casbin_authz cannot be evaluated, so the action is denied; further errors of this line \
             are not logged, but explain shows them"
        );
    }
}

fn is_allowed(result: &Result<Enforcement, EnforceError>) -> bool {
    result.as_ref().is_ok_and(|enforcement| enforcement.allowed)
}

fn granted(results: &[ActionResult<'_>]) -> Vec<String> {
    let allowed = results.iter().filter(|(_, result)| is_allowed(result));
    allowed.map(|(action, _)| (*action).to_owned()).collect()
}
