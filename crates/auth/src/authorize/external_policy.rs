//! A policy that asks a server or a program of the operator.
//!
//! `http_authz` and both modes of `ext_authz` differ only in how they are asked
//! ([`PolicyRespondent`]).

use std::sync::Arc;
use std::time::Duration;

use common::{BoxFuture, Clock};
use identity::LoginSource;
use policy::AclQuery;

use super::decision_cache::{DecisionCache, GrantedActions};
use super::question::{Question, probe_query};
use super::{AuthorizeError, Authorizer, Decision};

/// A server or a program that is asked for every decision that it does not let be remembered.
pub struct ExternalPolicy {
    respondent: Box<dyn PolicyRespondent>,
    remembered: DecisionCache,
}

/// A server or a program that decides.
pub(super) trait PolicyRespondent: Send + Sync {
    /// Its section in the configuration.
    fn section(&self) -> &'static str;

    /// Asks what is granted of `query`, in turn by `source`.
    fn ask<'a>(
        &'a self,
        query: &'a AclQuery<'a>,
        source: &'a LoginSource,
    ) -> BoxFuture<'a, Result<PolicyAnswer, AuthorizeError>>;

    /// What `answer` to a question without actions shows; see [`Authorizer::probe`].
    fn describe(&self, answer: &PolicyAnswer) -> String;
}

/// What a server or a program answered.
pub(super) struct PolicyAnswer {
    pub(super) granted: GrantedActions,
    /// How long the answer may be remembered.
    pub(super) max_age: Duration,
}

impl ExternalPolicy {
    /// Asks `respondent`. Answers are remembered by `clock`.
    pub(super) fn new(respondent: impl PolicyRespondent + 'static, clock: Arc<dyn Clock>) -> Self {
        Self {
            respondent: Box::new(respondent),
            remembered: DecisionCache::new(clock),
        }
    }

    async fn granted(
        &self,
        query: &AclQuery<'_>,
        source: &LoginSource,
    ) -> Result<GrantedActions, AuthorizeError> {
        let key = DecisionCache::key(&Question::about(query).to_json());
        if let Some(granted) = self.remembered.get(&key) {
            return Ok(granted);
        }
        let PolicyAnswer { granted, max_age } = self.respondent.ask(query, source).await?;
        self.remembered.insert(key, &granted, max_age);
        Ok(granted)
    }
}

impl Authorizer for ExternalPolicy {
    fn name(&self) -> &'static str {
        self.respondent.section()
    }

    fn decides_api(&self) -> bool {
        false
    }

    fn decide<'a>(
        &'a self,
        query: &'a AclQuery<'a>,
        source: &'a LoginSource,
    ) -> BoxFuture<'a, Result<Option<Decision>, AuthorizeError>> {
        Box::pin(async move {
            let granted = self.granted(query, source).await?;
            Ok(Decision::of_policy(self.name(), granted))
        })
    }

    fn probe(&self) -> BoxFuture<'_, Result<Option<String>, AuthorizeError>> {
        Box::pin(async {
            let source = LoginSource::new(None, "");
            let answer = self.respondent.ask(&probe_query(), &source).await?;
            Ok(Some(self.respondent.describe(&answer)))
        })
    }
}
