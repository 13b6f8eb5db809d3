//! What an account could get a token to pull: for a registry that lists its repositories to
//! everybody in turn.

use std::net::IpAddr;
use std::sync::Arc;

use identity::BackendError;
use policy::AclQuery;

use crate::authorize::Authorizer;
use crate::server::TokenServer;

/// Says of a repository whether somebody may pull from it.
pub type PullFilter = Box<dyn Fn(&str) -> bool + Send + Sync>;

impl TokenServer {
    /// What `account` (empty for anonymous) at `ip` may pull from the registry `service`. None
    /// where that cannot be told without asking a program for every repository, or without the
    /// account's password.
    ///
    /// # Errors
    /// When a backend is broken.
    pub async fn pull_filter(
        self: &Arc<Self>,
        account: &str,
        service: &str,
        ip: Option<IpAddr>,
    ) -> Result<Option<PullFilter>, BackendError> {
        if self
            .settings
            .authorizers
            .iter()
            .any(|authorizer| matches!(authorizer, Authorizer::ExtAuthz(_)))
        {
            return Ok(None);
        }
        let Some(subject) = self.settings.login.look_up(account).await? else {
            return Ok(None);
        };
        let (server, service) = (Arc::clone(self), service.to_owned());
        let pull = ["pull".to_owned()];
        Ok(Some(Box::new(move |name| {
            let query = AclQuery {
                account: &subject.account,
                labels: &subject.labels,
                resource_type: "repository",
                name,
                service: &service,
                ip,
                actions: &pull,
            };
            server.decides_to_grant(&query)
        })))
    }

    /// Whether the rules grant anything of the query.
    fn decides_to_grant(&self, query: &AclQuery<'_>) -> bool {
        let decision = self
            .settings
            .authorizers
            .iter()
            .find_map(|authorizer| match authorizer {
                Authorizer::Acl(acl) => acl.decide(query),
                Authorizer::ExtAuthz(_) => None,
            });
        decision.is_some_and(|decision| !decision.granted.is_empty())
    }
}
