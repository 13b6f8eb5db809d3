//! Explanations for people and programs: what an account is granted of each scope, and why.
//!
//! `wharfinger explain` asks the policies of a configuration, the API those of the running server.

use std::net::IpAddr;

use identity::{Identity, LoginSource};
use policy::{AclQuery, CeilingEntry, ScopeCeiling, Subject};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use token::Scope;

use super::{
    AuthorizeError, AuthorizeExplanation, Authorizer, ExplanationEnd, ScopeReport, explain,
    explain_by_asking, explain_ceiling,
};

/// Explains what accounts are granted by policies, which are asked in this order.
#[derive(Clone, Copy)]
pub struct Explainer<'a> {
    authorizers: &'a [Box<dyn Authorizer>],
}

/// What is asked about, besides the account.
#[derive(Clone, Copy, Debug)]
pub struct ExplainedRequest<'a> {
    /// The registry's service.
    pub service: &'a str,
    /// The client's address, if there is one.
    pub ip: Option<IpAddr>,
    /// What the client asks for.
    pub scopes: &'a [Scope],
}

/// Which policies are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedPolicies {
    /// Those with rules, up to the first that has none.
    Rules,
    /// All of them, programs and servers among them.
    All,
}

/// What a robot's or a personal token is granted, with both sides: its ceiling, and the rules of its
/// owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenExplanation {
    /// The token.
    pub token: ExplainedToken,
    /// A report for each scope.
    pub scopes: Vec<CeilingScopeReport>,
}

/// A token that is explained.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainedToken {
    /// Its id in lists.
    pub id: String,
    /// The account in whose name access tokens are made.
    pub account: String,
    /// The person that owns it; `None` for a robot of the system.
    pub owner: Option<String>,
}

/// What a robot's or a personal token is granted of one scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CeilingScopeReport {
    /// The scope, as it was asked for.
    pub scope: String,
    /// The actions that are granted.
    pub granted: Vec<String>,
    /// What the token's ceiling says.
    pub ceiling: CeilingReport,
    /// What the policies grant the owner; `None` for a robot of the system, about which no policy is
    /// asked.
    pub owner: Option<ScopeReport>,
}

/// What a ceiling says of one scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CeilingReport {
    /// Which of the actions asked for it allows.
    pub allows: Vec<String>,
    /// The entries that match the resource; `None` if there is no ceiling.
    pub entries: Option<Vec<CeilingEntry>>,
}

impl<'a> Explainer<'a> {
    /// An explainer of these policies.
    #[must_use]
    pub fn new(authorizers: &'a [Box<dyn Authorizer>]) -> Self {
        Self { authorizers }
    }

    /// What `identity` is granted of each scope: the decision of the policies within its ceiling, or
    /// what the ceiling alone allows.
    ///
    /// # Errors
    /// Of the first policy that has no answer because it is broken, if all are asked.
    pub async fn explain(
        &self,
        identity: &Identity,
        request: ExplainedRequest<'_>,
        asked: AskedPolicies,
    ) -> Result<Vec<ScopeReport>, AuthorizeError> {
        let subject = identity.ruled_subject();
        let mut reports = Vec::with_capacity(request.scopes.len());
        for scope in request.scopes {
            let query = request.query(subject.unwrap_or(&identity.subject), scope);
            let explanation = match subject {
                None => explain_ceiling(&identity.ceiling, &query),
                Some(_) => {
                    let explanation = self.ask(&query, asked).await?;
                    within(&identity.ceiling, &query, explanation)
                }
            };
            reports.push(ScopeReport::of(scope, explanation));
        }
        Ok(reports)
    }

    /// What the token that `identity` stands for is granted of each scope, with both sides: its ceiling,
    /// and what the policies grant its owner. All policies are asked.
    ///
    /// # Errors
    /// Of the first policy that has no answer because it is broken.
    pub async fn explain_token(
        &self,
        identity: &Identity,
        request: ExplainedRequest<'_>,
    ) -> Result<TokenExplanation, AuthorizeError> {
        let owner = identity.ruled_subject();
        let token = ExplainedToken {
            id: identity
                .opaque_token
                .as_deref()
                .unwrap_or_default()
                .to_owned(),
            account: identity.subject.account.clone(),
            owner: owner.map(|owner| owner.account.clone()),
        };
        let mut reports = Vec::with_capacity(request.scopes.len());
        for scope in request.scopes {
            let query = request.query(owner.unwrap_or(&identity.subject), scope);
            let ceiling = CeilingReport::of(&identity.ceiling, &query);
            let owner = match owner {
                Some(_) => {
                    let explanation = self.ask(&query, AskedPolicies::All).await?;
                    Some(ScopeReport::of(scope, explanation))
                }
                None => None,
            };
            let granted = match &owner {
                Some(owner) => identity.ceiling.limit(&query, owner.granted.clone()),
                None => ceiling.allows.clone(),
            };
            reports.push(CeilingScopeReport {
                scope: scope.to_string(),
                granted,
                ceiling,
                owner,
            });
        }
        Ok(TokenExplanation {
            token,
            scopes: reports,
        })
    }

    async fn ask(
        &self,
        query: &AclQuery<'_>,
        asked: AskedPolicies,
    ) -> Result<AuthorizeExplanation, AuthorizeError> {
        match asked {
            AskedPolicies::Rules => Ok(explain(self.authorizers, query)),
            AskedPolicies::All => {
                let source = LoginSource::new(query.ip, query.account);
                explain_by_asking(self.authorizers, query, &source).await
            }
        }
    }
}

impl ExplainedRequest<'_> {
    fn query<'a>(&'a self, subject: &'a Subject, scope: &'a Scope) -> AclQuery<'a> {
        AclQuery {
            account: &subject.account,
            labels: &subject.labels,
            resource_type: &scope.resource_type,
            name: &scope.name,
            service: self.service,
            ip: self.ip.map(|ip| ip.to_canonical()),
            actions: &scope.actions,
        }
    }
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
}

/// `explanation` with what the ceiling leaves of the decision.
fn within(
    ceiling: &ScopeCeiling,
    query: &AclQuery<'_>,
    mut explanation: AuthorizeExplanation,
) -> AuthorizeExplanation {
    if let ExplanationEnd::Decided(decision) = &mut explanation.end {
        let granted = ceiling.limit(query, std::mem::take(&mut decision.granted));
        let asked = query.actions.iter();
        let refused = asked.filter(|action| !granted.contains(action));
        decision.refused = refused.cloned().collect();
        decision.granted = granted;
    }
    explanation
}
