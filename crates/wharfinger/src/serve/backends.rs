//! The backends of identity and authorization that a configuration names: the one place that builds
//! them.
//!
//! A new backend of accounts goes into [`Backends::of_token_server`], a new policy into
//! [`authorizers`].

use std::sync::Arc;

use auth::{AclAuthorizer, Authorizer, CasbinAuthorizer, ExtAuthz};
use common::Clock;
use identity::process::Program;
use identity::{
    Account, Accounts, Authenticator, AuthenticatorChain, ExtAuth, Login, LoginCache, LoginLimiter,
    PasswordVerifier, StaticUsers, WorkerPool,
};
use ldap::LdapAuth;

use super::persistent_state::PersistentState;
use crate::config::{Config, ExternalProgram, HtpasswdFile, Location};
use crate::failure::Failure;

/// Backends that know accounts, in the order in which they are asked.
pub(crate) struct Backends {
    pub(crate) chain: AuthenticatorChain,
    verifier: Arc<PasswordVerifier>,
}

impl Backends {
    /// The token server's: `users`, `users_htpasswd`, `ext_auth`, `ldap_auth`.
    pub(crate) fn of_token_server(
        config: &Config,
        workers: &Arc<WorkerPool>,
        clock: &Arc<dyn Clock>,
    ) -> Self {
        let users = config.users.as_ref().map(|accounts| ("users", accounts));
        let htpasswd = config.htpasswd.as_ref();
        let htpasswd = htpasswd.map(|file| ("users_htpasswd", &file.accounts));
        let lists = || users.into_iter().chain(htpasswd);
        let verifier = verifier(workers, lists().map(|(_, accounts)| accounts));
        let mut backends: Vec<Box<dyn Authenticator>> = Vec::new();
        for (name, accounts) in lists() {
            let backend = StaticUsers::new(accounts.clone(), Arc::clone(&verifier));
            backends.push(Box::new(backend.named(name)));
        }
        if let Some(process) = &config.ext_auth {
            let backend = ExtAuth::new(program(process), Arc::clone(&verifier));
            backends.push(Box::new(
                backend.allowing_white_space(process.allows_white_space),
            ));
        }
        if let Some(directory) = &config.ldap_auth {
            let verifier = Arc::clone(&verifier);
            let backend = LdapAuth::new(directory.clone(), verifier, Arc::clone(clock));
            backends.push(Box::new(backend));
        }
        Self {
            chain: AuthenticatorChain::new(backends),
            verifier,
        }
    }

    /// The registry's own, for `registry.auth.htpasswd`.
    pub(super) fn of_htpasswd(file: &HtpasswdFile, workers: &Arc<WorkerPool>) -> Self {
        let verifier = verifier(workers, [&file.accounts]);
        let backend = StaticUsers::new(file.accounts.clone(), Arc::clone(&verifier));
        Self {
            chain: AuthenticatorChain::new(vec![Box::new(backend.named("htpasswd"))]),
            verifier,
        }
    }

    /// A login by these backends. Failures go on being counted by `limiter`; accepted logins are
    /// remembered from now on.
    pub(super) fn login(
        self,
        config: &Config,
        persistent: &PersistentState,
        limiter: Arc<LoginLimiter>,
    ) -> Result<Login, Failure> {
        let cache = LoginCache::new(
            config.login.remember,
            Arc::clone(&persistent.clock),
            persistent.entropy.as_ref(),
        )?;
        Ok(Login::new(self.chain, cache, limiter, self.verifier))
    }
}

/// The policies, in the order in which they are asked. `place` says how a rule's place is shown.
pub(crate) fn authorizers(
    config: &Config,
    place: impl Fn(&Location) -> String + Send + Sync + 'static,
) -> Vec<Box<dyn Authorizer>> {
    let mut authorizers: Vec<Box<dyn Authorizer>> = Vec::new();
    if let Some(rules) = &config.acl {
        let places = rules.locations.iter().map(&place).collect();
        authorizers.push(Box::new(AclAuthorizer::new(
            "acl",
            rules.acl.clone(),
            places,
        )));
    }
    if let Some(process) = &config.ext_authz {
        authorizers.push(Box::new(ExtAuthz::new(program(process))));
    }
    if let Some(casbin) = &config.casbin {
        let enforcer = Arc::clone(&casbin.enforcer);
        let policy = casbin.policy.clone();
        let place = move |line| place(&Location::of_line(&policy, line));
        authorizers.push(Box::new(CasbinAuthorizer::new(enforcer, place)));
    }
    authorizers
}

/// A verifier for the accounts of every list, because they set the cost of a rejection.
fn verifier<'a>(
    workers: &Arc<WorkerPool>,
    lists: impl IntoIterator<Item = &'a Accounts>,
) -> Arc<PasswordVerifier> {
    let accounts = lists
        .into_iter()
        .flat_map(Accounts::iter)
        .map(|(_, account): (&str, &Account)| account);
    Arc::new(PasswordVerifier::new(Arc::clone(workers), accounts))
}

fn program(process: &ExternalProgram) -> Program {
    Program::new(
        &process.command,
        &process.args,
        process.timeout,
        process.concurrency,
    )
}

/// A place as the log shows it: `auth.yml:31`.
pub(super) fn short_place(location: &Location) -> String {
    let file = location
        .file
        .file_name()
        .unwrap_or(location.file.as_os_str());
    format!("{}:{}", file.display(), location.position.line)
}
