//! The rules of the configuration's section `acl`.

use std::sync::Arc;

use common::BoxFuture;
use identity::LoginSource;
use policy::{Acl, AclQuery, Explanation};

use super::explain::{ExplainedDecision, PassedRule, RuleSetExplanation};
use super::{AuthorizeError, Authorizer, DecidedBy, Decision, RuleSet};

/// Rules, and where each of them stands.
pub struct AclAuthorizer {
    name: &'static str,
    rules: Arc<Rules>,
}

/// Compiled rules of one section.
pub(super) struct Rules {
    pub(super) name: &'static str,
    pub(super) acl: Acl,
    pub(super) places: Vec<Arc<str>>,
}

impl AclAuthorizer {
    /// The rules of `acl` in the section `name`. `places` says where each stands (`auth.yml:31`);
    /// a rule without one is shown by its number.
    #[must_use]
    pub fn new(name: &'static str, acl: Acl, places: Vec<String>) -> Self {
        let places = places.into_iter().map(Arc::from).collect();
        Self {
            name,
            rules: Arc::new(Rules { name, acl, places }),
        }
    }
}

impl Authorizer for AclAuthorizer {
    fn name(&self) -> &'static str {
        self.name
    }

    fn decide<'a>(
        &'a self,
        query: &'a AclQuery<'a>,
        _: &'a LoginSource,
    ) -> BoxFuture<'a, Result<Option<Decision>, AuthorizeError>> {
        Box::pin(std::future::ready(Ok(self.rules.decide(query))))
    }

    fn rules(&self) -> Option<Arc<dyn RuleSet>> {
        Some(Arc::clone(&self.rules) as Arc<dyn RuleSet>)
    }
}

impl RuleSet for Rules {
    fn decide(&self, query: &AclQuery<'_>) -> Option<Decision> {
        let decision = self.acl.decide(query)?;
        Some(Decision {
            granted: decision.granted,
            by: self.by(decision.rule),
        })
    }

    fn explain(&self, query: &AclQuery<'_>) -> RuleSetExplanation {
        let Explanation { skipped, decided } = self.acl.explain(query);
        let skipped = skipped.into_iter().map(|skipped| PassedRule {
            place: self.place(skipped.rule),
            skipped,
        });
        RuleSetExplanation {
            passed: skipped.collect(),
            decided: decided.map(|rule| ExplainedDecision {
                by: self.by(rule.decision.rule),
                granted: rule.decision.granted,
                refused: rule.refused,
                comment: rule.comment,
                actions: Vec::new(),
            }),
        }
    }
}

impl Rules {
    fn by(&self, rule: usize) -> DecidedBy {
        DecidedBy {
            policy: Some(self.name),
            rule: Some(self.place(rule)),
        }
    }

    fn place(&self, rule: usize) -> Arc<str> {
        let place = self.places.get(rule).cloned();
        place.unwrap_or_else(|| format!("{}[{rule}]", self.name).into())
    }
}
