//! Authorization: what an account may do, decided by a chain of policies.
//!
//! The first policy that has an answer decides. A policy that fails ends the request with an error,
//! because the next one might grant what the first would have denied.

mod acl;
mod casbin;
mod decision_cache;
mod explain;
mod explainer;
mod ext_authz;
mod external_policy;
mod go_json;
mod http_authz;
mod own_rights;
mod question;
mod report;
mod stored_rules;

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use common::BoxFuture;
use identity::{Identity, LoginSource};
use policy::{AclQuery, ScopeCeiling};

use self::own_rights::{joined, other_actions, own_rights};

pub use acl::AclAuthorizer;
pub use casbin::{CASBIN_VALUES, CasbinAuthorizer};
pub use explain::{
    AuthorizeExplanation, ExplainedAction, ExplainedDecision, ExplanationEnd, PassedRule,
    RuleSetExplanation, explain, explain_by_asking, explain_ceiling,
};
pub use explainer::{
    AskedPolicies, CeilingReport, CeilingScopeReport, ExplainedRequest, ExplainedToken, Explainer,
    TokenExplanation,
};
pub use external_policy::ExternalPolicy;
pub use own_rights::OWN_NAME;
pub use report::{ActionReport, PassedRuleReport, ScopeReport};
pub use stored_rules::{
    MAX_STORED_RULES, MaxStale, ProbedRules, RuleDocumentError, RuleStore, RuleStoreError,
    StoredRule, StoredRules, StoredRulesSettings, read_rule,
};

/// A policy: rules of the configuration, a program, a database.
///
/// # Contract
/// - `Ok(None)` means that the policy has no answer, and the next one is asked. A policy that denies
///   answers with nothing granted.
/// - What is granted is a part of what was asked.
/// - `decide` and `rules` agree.
/// - About the API ([`API_TYPE`](policy::API_TYPE)) only policies are asked that
///   [`decide_api`](Self::decides_api): those with rules that name this type.
pub trait Authorizer: Send + Sync {
    /// The policy's section in the configuration, for logs and errors.
    fn name(&self) -> &'static str;

    /// Whether it is asked about the API, too. A program, a server or a Casbin policy is written for
    /// repositories, and might make an administrator of an account that may pull.
    fn decides_api(&self) -> bool {
        true
    }

    /// What of `query` is granted. A slow policy waits for the turn of `source`.
    ///
    /// # Errors
    /// [`AuthorizeError::Busy`] when too many requests are waiting,
    /// [`AuthorizeError::Unavailable`] when the policy cannot be reached, and
    /// [`AuthorizeError::Policy`] when it is broken.
    fn decide<'a>(
        &'a self,
        query: &'a AclQuery<'a>,
        source: &'a LoginSource,
    ) -> BoxFuture<'a, Result<Option<Decision>, AuthorizeError>>;

    /// The policy as rules that are evaluated in memory, if it is one. A filtered catalog needs that,
    /// because it asks about each repository. [`explain`] needs it, too.
    fn rules(&self) -> Option<Arc<dyn RuleSet>> {
        None
    }

    /// Reads the rules from where they are kept, if that is a database, so that `rules` has them. The
    /// server does it by itself; `explain` asks for it.
    ///
    /// # Errors
    /// When they cannot be read, or one of them is wrong.
    fn load(&self) -> BoxFuture<'_, Result<(), AuthorizeError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Connects to what the policy needs, as a decision would, and says in a few words what it
    /// found: `12 rules in acl_entries`. `None` if there is nothing to connect to. For
    /// `check --connect`.
    ///
    /// # Errors
    /// When a decision would fail.
    fn probe(&self) -> BoxFuture<'_, Result<Option<String>, AuthorizeError>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// A policy that outlives one configuration.
impl<A: Authorizer + ?Sized> Authorizer for Arc<A> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn decides_api(&self) -> bool {
        (**self).decides_api()
    }

    fn decide<'a>(
        &'a self,
        query: &'a AclQuery<'a>,
        source: &'a LoginSource,
    ) -> BoxFuture<'a, Result<Option<Decision>, AuthorizeError>> {
        (**self).decide(query, source)
    }

    fn rules(&self) -> Option<Arc<dyn RuleSet>> {
        (**self).rules()
    }

    fn load(&self) -> BoxFuture<'_, Result<(), AuthorizeError>> {
        (**self).load()
    }

    fn probe(&self) -> BoxFuture<'_, Result<Option<String>, AuthorizeError>> {
        (**self).probe()
    }
}

/// Rules that are evaluated in memory, at once.
pub trait RuleSet: Send + Sync {
    /// What of `query` is granted; `None` if no rule matches.
    fn decide(&self, query: &AclQuery<'_>) -> Option<Decision>;

    /// The same answer, with the rules that do not match.
    fn explain(&self, query: &AclQuery<'_>) -> RuleSetExplanation;
}

/// What became of one scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The granted actions, sorted; a part of those asked for.
    pub granted: Vec<String>,
    /// What decided.
    pub by: DecidedBy,
}

/// What decided: a policy and, if it has several, one of its rules. It prints as the log shows it:
/// the rule's place (`auth.yml:31`), the policy's section, or `none`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DecidedBy {
    /// The policy's section in the configuration; `None` if no policy had an answer, so that access
    /// is denied.
    pub policy: Option<&'static str>,
    /// Where the rule stands.
    pub rule: Option<Arc<str>>,
}

impl DecidedBy {
    /// This one, or `other` if no policy had an answer.
    fn or(self, other: Self) -> Self {
        match self.policy {
            Some(_) => self,
            None => other,
        }
    }

    /// What the log shows.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match (&self.rule, self.policy) {
            (Some(rule), _) => rule,
            (None, Some(policy)) => policy,
            (None, None) => "none",
        }
    }
}

impl fmt::Display for DecidedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a policy has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AuthorizeError {
    /// Too many requests are waiting for the policy.
    #[error("too many requests are waiting for {policy}")]
    Busy {
        /// The policy's section in the configuration.
        policy: &'static str,
    },
    /// The policy failed, and the operator must act. The client gets 500.
    #[error("{policy} failed")]
    Policy {
        /// The policy's section in the configuration.
        policy: &'static str,
        /// What went wrong.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The policy cannot be reached, or does not answer in time. The client gets 503 with
    /// `Retry-After`.
    #[error("{policy} cannot be asked")]
    Unavailable {
        /// The policy's section in the configuration.
        policy: &'static str,
        /// What went wrong.
        source: Box<dyn Error + Send + Sync>,
    },
}

/// The policies that are asked about `query`, in their order.
fn asked<'a>(
    authorizers: &'a [Box<dyn Authorizer>],
    query: &AclQuery<'_>,
) -> impl Iterator<Item = &'a Box<dyn Authorizer>> + use<'a> {
    let is_about_api = query.is_about_api();
    let authorizers = authorizers.iter();
    authorizers.filter(move |authorizer| !is_about_api || authorizer.decides_api())
}

/// The configured policies, asked in order.
pub(crate) struct AuthorizerChain(Vec<Box<dyn Authorizer>>);

impl AuthorizerChain {
    pub(crate) fn new(authorizers: Vec<Box<dyn Authorizer>>) -> Self {
        Self(authorizers)
    }

    /// What every account may do, and for the other actions the decision of the first policy that has
    /// one. If no policy has one, nothing is granted.
    pub(crate) async fn decide(
        &self,
        query: &AclQuery<'_>,
        source: &LoginSource,
    ) -> Result<Decision, AuthorizeError> {
        let Some(own) = own_rights(query) else {
            return self.ask(query, source).await;
        };
        let others = other_actions(query, &own);
        if others.is_empty() {
            return Ok(own);
        }
        let others = AclQuery {
            actions: &others,
            ..*query
        };
        let decision = self.ask(&others, source).await?;
        Ok(Decision {
            granted: joined(own.granted, decision.granted),
            by: decision.by.or(own.by),
        })
    }

    /// The decision of the first policy that has one.
    async fn ask(
        &self,
        query: &AclQuery<'_>,
        source: &LoginSource,
    ) -> Result<Decision, AuthorizeError> {
        for authorizer in asked(&self.0, query) {
            // Rules in memory need no future.
            let decision = match authorizer.rules() {
                Some(rules) => rules.decide(query),
                None => authorizer.decide(query, source).await?,
            };
            if let Some(decision) = decision {
                return Ok(decision);
            }
        }
        Ok(Decision::denied())
    }

    /// What `identity` is granted of `query`, which is about the account that its rules are about: the
    /// decision of the policies within its ceiling, or what the ceiling alone allows.
    pub(crate) async fn grant(
        &self,
        identity: &Identity,
        query: &AclQuery<'_>,
        source: &LoginSource,
    ) -> Result<Decision, AuthorizeError> {
        if identity.ruled_subject().is_none() {
            return Ok(Decision::of_ceiling(&identity.ceiling, query));
        }
        let mut decision = self.decide(query, source).await?;
        decision.granted = identity.ceiling.limit(query, decision.granted);
        Ok(decision)
    }

    /// Explains what these policies grant.
    pub(crate) fn explainer(&self) -> Explainer<'_> {
        Explainer::new(&self.0)
    }

    /// The rules of all policies; `None` if one of them is not a list of rules.
    pub(crate) fn rules(&self) -> Option<Vec<Arc<dyn RuleSet>>> {
        self.0.iter().map(|authorizer| authorizer.rules()).collect()
    }
}

impl Decision {
    /// What the policy of the section `policy`, which has no rules to name, granted.
    fn of_policy(policy: &'static str, granted: Option<Vec<String>>) -> Option<Self> {
        granted.map(|granted| Self {
            granted,
            by: DecidedBy {
                policy: Some(policy),
                rule: None,
            },
        })
    }

    /// What the ceiling of a robot of the system allows, for which no policy is asked. Such a robot
    /// without a ceiling may do nothing.
    pub(crate) fn of_ceiling(ceiling: &ScopeCeiling, query: &AclQuery<'_>) -> Self {
        let granted = match ceiling {
            ScopeCeiling::Unlimited => Vec::new(),
            ScopeCeiling::Limited(rules) => rules.allowed(query, query.actions),
        };
        Self {
            granted,
            by: DecidedBy {
                policy: Some("ceiling"),
                rule: None,
            },
        }
    }

    /// Denied, because no policy has an answer.
    fn denied() -> Self {
        Self {
            granted: Vec::new(),
            by: DecidedBy::default(),
        }
    }
}
