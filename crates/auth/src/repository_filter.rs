//! With which repositories an account may do something, for a registry that lists them.

use std::net::IpAddr;
use std::sync::Arc;

use identity::{BackendError, CurrentAccount, Identity, NamedAccount};
use policy::AclQuery;

use crate::authorize::{Decision, RuleSet};
use crate::server::TokenServer;

/// Says of a repository whether the account may do something with it.
pub type RepositoryFilter = Box<dyn Fn(&str) -> bool + Send + Sync>;

impl TokenServer {
    /// With which repositories of the registry `service` the account (empty for anonymous) at `ip` may do
    /// `action`. If a personal token or a robot's token is named, its ceiling counts. `None` if that needs
    /// the account's password, or a policy that is asked about each repository.
    ///
    /// # Errors
    /// When a backend is broken.
    pub async fn repository_filter(
        &self,
        account: impl Into<NamedAccount<'_>>,
        action: &str,
        service: &str,
        ip: Option<IpAddr>,
    ) -> Result<Option<RepositoryFilter>, BackendError> {
        let Some(rules) = self.endpoint.authorizers.rules() else {
            return Ok(None);
        };
        let current = self.accounts().current(account.into()).await?;
        let CurrentAccount::Present(identity) = current else {
            return Ok(None);
        };
        let service = service.to_owned();
        let actions = [action.to_owned()];
        Ok(Some(Box::new(move |name| {
            let subject = identity.ruled_subject().unwrap_or(&identity.subject);
            let query = AclQuery {
                account: &subject.account,
                labels: &subject.labels,
                resource_type: "repository",
                name,
                service: &service,
                ip,
                actions: &actions,
            };
            grants(&rules, &identity, &query)
        })))
    }
}

/// Whether the first rule that matches, and the account's ceiling, grant anything.
fn grants(rules: &[Arc<dyn RuleSet>], identity: &Identity, query: &AclQuery<'_>) -> bool {
    let decision = match identity.ruled_subject() {
        Some(_) => rules.iter().find_map(|rules| rules.decide(query)),
        None => Some(Decision::of_ceiling(&identity.ceiling, query)),
    };
    decision.is_some_and(|decision| !identity.ceiling.limit(query, decision.granted).is_empty())
}
