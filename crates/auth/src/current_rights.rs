//! What an account is granted at this moment, for a server that does not rely on an access token
//! alone.

use identity::{Identity, LoginSource};
use policy::AclQuery;

use crate::authorize::AuthorizeError;
use crate::server::TokenServer;

impl TokenServer {
    /// Whether the policies, and the ceiling of `identity`, now grant all actions of `query`, which is
    /// about the account that the rules are about ([`Identity::ruled_subject`]).
    ///
    /// # Errors
    /// When a policy fails.
    pub async fn grants_now(
        &self,
        identity: &Identity,
        query: &AclQuery<'_>,
    ) -> Result<bool, AuthorizeError> {
        let source = LoginSource::new(query.ip, query.account);
        let authorizers = &self.endpoint.authorizers;
        let decision = authorizers.grant(identity, query, &source).await?;
        let mut asked = query.actions.iter();
        Ok(asked.all(|action| decision.granted.contains(action)))
    }
}
