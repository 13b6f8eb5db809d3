//! What handlers work on.

use std::sync::Arc;
use std::time::SystemTime;

use accounts::{AccountStore, RuleList};
use audit::AuditReader;
use auth::TokenServer;
use auth::sessions::Sessions;
use common::{Clock, unix_seconds};
use database::Database;
use identity::{Accounts, ROBOT_PREFIX};
use immutable_tags::ImmutableTagList;
use notifications::DeliveryList;
use personal_tokens::{PersonalTokens, TokenFilter};
use policy::AclOptions;
use workload_identity::TrustAuth;

use crate::authority::ApiCaller;
use crate::problem::ApiProblem;
use crate::quota_reader::QuotaReader;

/// What the API manages.
pub struct ApiStores {
    /// Accounts in the database.
    pub accounts: AccountStore,
    /// Accounts of the configuration, which are asked first: one of the same name in the database
    /// would never log in.
    pub configured: Vec<Accounts>,
    /// Rules in the database.
    pub rules: ApiRules,
    /// Rules in the database that make tags immutable.
    pub immutable_tags: ImmutableTagList,
    /// The quotas of the registry in the same configuration, if there is one.
    pub quotas: Option<Arc<dyn QuotaReader>>,
    /// The token server beside the API: its backends and its policies.
    pub token_server: Arc<TokenServer>,
    /// Refresh tokens, if there are any.
    pub sessions: Option<Sessions>,
    /// Robots and personal tokens, if there are any.
    pub personal_tokens: Option<PersonalTokens>,
    /// The platforms whose workloads log in, if there are any.
    pub trust: Option<TrustAuth>,
    /// The audit table.
    pub audit: AuditReader,
    /// The list of notifications.
    pub notifications: DeliveryList,
    /// Where the administration log is.
    pub database: Database,
}

impl ApiStores {
    /// Whether the caller's account was changed after its token was issued: it may have another
    /// password or another owner now. For a robot, whether it or its secret is newer than the token.
    pub(crate) async fn has_changed_since(&self, caller: &ApiCaller) -> Result<bool, ApiProblem> {
        let changed_at = match caller.account().strip_prefix(ROBOT_PREFIX) {
            Some(robot) => self.robot_changed_at(robot).await?,
            None => {
                let account = self.accounts.find(caller.account()).await?;
                account.map(|account| account.changed_at)
            }
        };
        Ok(changed_at.is_some_and(|at| caller.token_issued_at() < unix_seconds(at)))
    }

    async fn robot_changed_at(&self, name: &str) -> Result<Option<SystemTime>, ApiProblem> {
        let (Some(tokens), Ok(name)) = (&self.personal_tokens, name.parse()) else {
            return Ok(None);
        };
        let robots = tokens.list(TokenFilter::robot(name)).await?;
        let dates = robots.iter().flat_map(|robot| {
            let secrets = robot.secrets.iter().map(|secret| secret.created_at);
            secrets.chain([robot.created_at])
        });
        Ok(dates.max())
    }
}

/// The rules that the API manages.
pub struct ApiRules {
    /// The rules in the database.
    pub list: RuleList,
    /// How their patterns are read.
    pub options: AclOptions,
    /// Where the configuration has a rule without conditions, which is asked first and decides
    /// everything: `auth.yml:12`.
    pub shadowed_by: Option<String>,
}

/// What every handler may use.
pub(crate) struct ApiState {
    pub(crate) stores: ApiStores,
    /// The host of the registry beside the token server, if it is known.
    pub(crate) registry: Option<String>,
    pub(crate) clock: Arc<dyn Clock>,
}
