//! The backends of identity and authorization that a configuration names: the one place that builds
//! them.
//!
//! A new backend of accounts goes into [`Backends::of_token_server`], a new policy into
//! [`authorizers`].

use std::num::NonZeroUsize;
use std::sync::Arc;

use accounts::DatabaseAccounts;
use auth::{AclAuthorizer, Authorizer, CasbinAuthorizer, ExternalPolicy};
use common::{Clock, Entropy};
use database::Database;
use identity::http::{HttpClient, HttpClientSettings};
use identity::password::HashCost;
use identity::process::{LineProgram, Program};
use identity::{
    Account, Accounts, Authenticator, AuthenticatorChain, ExtAuth, ExternalBackend, Login,
    LoginCache, LoginLimiter, PasswordVerifier, StaticUsers, WorkerPool,
};
use ldap::LdapAuth;
use personal_tokens::{PersonalTokens, TokenVerifier};
use sql::SqlUsers;

use sign_in::{SignInAccounts, SignInBackend};
use workload_identity::{IssuerSettings, TrustAuth, TrustedIssuer};

use super::managed_accounts::ManagedAccounts;
use super::mongo;
use super::persistent_state::PersistentState;
use super::stored_policies::{StoredPolicies, sql_database};
use crate::config::{Config, ExternalProgram, HtpasswdFile, Location, ProgramMode};
use crate::failure::Failure;

/// What a hash in a database is expected to cost before it was read: bcrypt's usual cost of 10.
const STORED_HASH_ROUNDS: u64 = 1 << 10;
/// When the provider of a signed-in user is asked whether the user is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Revalidation {
    /// When its last answer is too old.
    Due,
    /// Never: a command only looks at what is stored.
    Never,
}

/// Backends that know accounts, in the order in which they are asked.
pub(crate) struct Backends {
    pub(crate) chain: AuthenticatorChain,
    verifier: Arc<PasswordVerifier>,
    trusted: Vec<Arc<TrustedIssuer>>,
}

impl Backends {
    /// The token server's: `trust`, `users`, `users_htpasswd`, `accounts`, `ext_auth`, `http_auth`, the
    /// users of `accounts`, who sign in by a page, `ldap_auth`, `mongo_auth`, `xorm_auth`; or in the
    /// order of `login.order`.
    pub(crate) fn of_token_server(
        config: &Config,
        workers: &Arc<WorkerPool>,
        clock: &Arc<dyn Clock>,
        managed: Option<&ManagedAccounts>,
        accounts: &[SignInAccounts],
        revalidation: Revalidation,
    ) -> Result<Self, Failure> {
        let users = config.users.as_ref().map(|accounts| ("users", accounts));
        let htpasswd = config.htpasswd.as_ref();
        let htpasswd = htpasswd.map(|file| ("users_htpasswd", &file.accounts));
        let lists = || users.into_iter().chain(htpasswd);
        let mut verifier = verifier(workers, lists().map(|(_, accounts)| accounts));
        if !accounts.is_empty() {
            verifier = verifier.expecting(&SignInBackend::cost());
        }
        if config.mongo_users.is_some() || config.sql_users.is_some() {
            verifier = verifier.expecting(&HashCost::bcrypt(STORED_HASH_ROUNDS));
        }
        if let Some(managed) = managed.cloned() {
            let are_there = move || managed.may_have_accounts();
            verifier = verifier.expecting_if(DatabaseAccounts::cost(), are_there);
        }
        let verifier = Arc::new(verifier);
        let mut backends: Vec<Box<dyn Authenticator>> = Vec::new();
        // First, so that no other backend has an account with the name of a workload.
        let trusted = trusted_issuers(config, clock)?;
        if !trusted.is_empty() {
            let (verifier, clock) = (Arc::clone(&verifier), Arc::clone(clock));
            backends.push(Box::new(TrustAuth::new(trusted.clone(), verifier, clock)));
        }
        for (name, accounts) in lists() {
            let backend = StaticUsers::new(accounts.clone(), Arc::clone(&verifier));
            backends.push(Box::new(backend.named(name)));
        }
        if let Some(managed) = managed {
            backends.push(Box::new(managed.backend(Arc::clone(&verifier))));
        }
        if let Some(process) = &config.ext_auth {
            backends.push(ext_auth(process, &verifier, clock));
        }
        if let Some(server) = &config.http_auth {
            let client = http_client(&server.client, clock)?;
            let backend = ExternalBackend::http_auth(client, Arc::clone(&verifier));
            backends.push(Box::new(backend.rechecking(server.rechecks)));
        }
        for accounts in accounts {
            let backend = SignInBackend::new(accounts.clone(), Arc::clone(&verifier));
            backends.push(Box::new(match revalidation {
                Revalidation::Due => backend,
                Revalidation::Never => backend.without_revalidation(),
            }));
        }
        if let Some(directory) = &config.ldap_auth {
            let verifier = Arc::clone(&verifier);
            let backend = LdapAuth::new(directory.clone(), verifier, Arc::clone(clock));
            backends.push(Box::new(backend));
        }
        if let Some(users) = &config.mongo_users {
            backends.push(mongo::users(users, Arc::clone(&verifier)));
        }
        if let Some(users) = &config.sql_users {
            backends.push(Box::new(SqlUsers::new(
                users.section,
                sql_database(users, clock),
                users.query.clone(),
                Arc::clone(&verifier),
            )));
        }
        if let Some(order) = &config.login_order {
            // Backends without a place in the list recognize their proofs by form, and are first.
            backends.sort_by_key(|backend| order.iter().position(|name| *name == backend.name()));
        }
        Ok(Self {
            chain: AuthenticatorChain::new(backends),
            verifier,
            trusted,
        })
    }

    /// The same backends, asked after the robots and personal tokens of `database`, if they are on.
    pub(crate) fn with_personal_tokens(
        self,
        config: &Config,
        database: Option<&Database>,
        clock: &Arc<dyn Clock>,
        entropy: &Arc<dyn Entropy>,
    ) -> Self {
        let Some(tokens) = Self::personal_tokens(config, database, entropy) else {
            return self;
        };
        let verifier = TokenVerifier::new(tokens, Arc::clone(clock));
        Self {
            chain: self.chain.with_tokens(Arc::new(verifier)),
            ..self
        }
    }

    /// The platforms of the section `trust`, with the keys that logins use.
    pub(super) fn trust(&self, clock: &Arc<dyn Clock>) -> Option<TrustAuth> {
        let (issuers, verifier) = (self.trusted.clone(), Arc::clone(&self.verifier));
        (!issuers.is_empty()).then(|| TrustAuth::new(issuers, verifier, Arc::clone(clock)))
    }

    /// The robots and personal tokens of `database`, if they are on.
    pub(super) fn personal_tokens(
        config: &Config,
        database: Option<&Database>,
        entropy: &Arc<dyn Entropy>,
    ) -> Option<PersonalTokens> {
        let (policy, database) = (config.personal_tokens?, database?);
        Some(PersonalTokens::new(
            database.clone(),
            policy,
            Arc::clone(entropy),
        ))
    }

    /// The registry's own, for `registry.auth.htpasswd`.
    pub(super) fn of_htpasswd(file: &HtpasswdFile, workers: &Arc<WorkerPool>) -> Self {
        let verifier = Arc::new(verifier(workers, [&file.accounts]));
        let backend = StaticUsers::new(file.accounts.clone(), Arc::clone(&verifier));
        Self {
            chain: AuthenticatorChain::new(vec![Box::new(backend.named("htpasswd"))]),
            verifier,
            trusted: Vec::new(),
        }
    }

    /// A login by these backends. Failures go on being counted by `limiter`; accepted logins are
    /// remembered from now on, and keys of platforms that are known stay known.
    pub(super) fn login(
        self,
        config: &Config,
        persistent: &PersistentState,
        limiter: Arc<LoginLimiter>,
    ) -> Result<Login, Failure> {
        if !self.trusted.is_empty() {
            persistent.platforms.hand_over(&self.trusted);
        }
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
    clock: &Arc<dyn Clock>,
    stored: &StoredPolicies,
    managed: Option<&ManagedAccounts>,
    place: impl Fn(&Location) -> String + Send + Sync + 'static,
) -> Result<Vec<Box<dyn Authorizer>>, Failure> {
    let mut authorizers: Vec<Box<dyn Authorizer>> = Vec::new();
    if let Some(rules) = &config.acl {
        let places = rules.locations.iter().map(&place).collect();
        authorizers.push(Box::new(AclAuthorizer::new(
            "acl",
            rules.acl.clone(),
            places,
        )));
    }
    if let Some(managed) = managed {
        authorizers.push(Box::new(managed.policy()));
    }
    for rules in stored.all() {
        authorizers.push(Box::new(rules));
    }
    if let Some(process) = &config.ext_authz {
        authorizers.push(match process.mode {
            ProgramMode::Once => {
                let program = program(process);
                Box::new(ExternalPolicy::ext_authz(program, Arc::clone(clock)))
            }
            ProgramMode::Lines => {
                let program = line_program("ext_authz", process, clock);
                Box::new(ExternalPolicy::ext_authz_lines(program, Arc::clone(clock)))
            }
        });
    }
    if let Some(server) = &config.http_authz {
        let client = http_client(&server.client, clock)?;
        authorizers.push(Box::new(ExternalPolicy::http_authz(
            client,
            Arc::clone(clock),
        )));
    }
    if let Some(casbin) = &config.casbin {
        let enforcer = Arc::clone(&casbin.enforcer);
        let policy = casbin.policy.clone();
        let place = move |line| place(&Location::of_line(&policy, line));
        authorizers.push(Box::new(CasbinAuthorizer::new(enforcer, place)));
    }
    Ok(authorizers)
}

/// The backend of the section `trust` by itself, for a command that logs no one in.
pub(crate) fn trust_without_logins(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<TrustAuth, Failure> {
    let workers = Arc::new(WorkerPool::new(NonZeroUsize::MIN));
    let verifier = Arc::new(PasswordVerifier::new(workers, []));
    let issuers = trusted_issuers(config, clock)?;
    Ok(TrustAuth::new(issuers, verifier, Arc::clone(clock)))
}

/// The platforms of the section `trust`.
fn trusted_issuers(
    config: &Config,
    clock: &Arc<dyn Clock>,
) -> Result<Vec<Arc<TrustedIssuer>>, Failure> {
    let issuer = |settings: &IssuerSettings| {
        let issuer = TrustedIssuer::new(settings.clone(), Arc::clone(clock));
        issuer.map(Arc::new).map_err(|error| {
            Failure::usage(format!("trust: {} cannot be used", settings.name)).caused_by(&error)
        })
    };
    config.trust.iter().map(issuer).collect()
}

fn ext_auth(
    process: &ExternalProgram,
    verifier: &Arc<PasswordVerifier>,
    clock: &Arc<dyn Clock>,
) -> Box<dyn Authenticator> {
    let verifier = Arc::clone(verifier);
    match process.mode {
        ProgramMode::Once => {
            let backend = ExtAuth::new(program(process), verifier);
            Box::new(backend.allowing_white_space(process.allows_white_space))
        }
        ProgramMode::Lines => {
            let program = line_program("ext_auth", process, clock);
            let backend = ExternalBackend::ext_auth_lines(program, verifier);
            Box::new(backend.rechecking(process.rechecks))
        }
    }
}

/// A verifier for the accounts of every list, and for those that sign in by a page, because they set
/// the cost of a rejection.
fn verifier<'a>(
    workers: &Arc<WorkerPool>,
    lists: impl IntoIterator<Item = &'a Accounts>,
) -> PasswordVerifier {
    let accounts = lists
        .into_iter()
        .flat_map(Accounts::iter)
        .map(|(_, account): (&str, &Account)| account);
    PasswordVerifier::new(Arc::clone(workers), accounts)
}

fn program(process: &ExternalProgram) -> Program {
    Program::new(
        &process.command,
        &process.args,
        process.timeout,
        process.concurrency,
    )
}

fn line_program(
    section: &'static str,
    process: &ExternalProgram,
    clock: &Arc<dyn Clock>,
) -> LineProgram {
    LineProgram::new(
        section,
        &process.command,
        &process.args,
        process.timeout,
        process.concurrency,
        Arc::clone(clock),
    )
}

fn http_client(
    settings: &HttpClientSettings,
    clock: &Arc<dyn Clock>,
) -> Result<HttpClient, Failure> {
    HttpClient::new(settings.clone(), Arc::clone(clock)).map_err(|error| {
        Failure::usage(format!("{} cannot be used", settings.section)).caused_by(&error)
    })
}
