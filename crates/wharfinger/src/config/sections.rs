//! The whole of a configuration: the sections of the file, and what they need of each other.

use std::ffi::OsString;
use std::time::Duration;

use ::notifications::NotificationSettings;
use ::personal_tokens::TokenPolicy;
use auth::device::DeviceLoginPolicy;
use auth::sessions::SessionPolicy;
use common::is_same_or_subdomain;
use identity::Accounts;
use storage::PostgresSettings;
use workload_identity::IssuerSettings;

use super::accounts::{self, AccountsConfig};
use super::acl::{self, AccessRules};
use super::api::{self, ApiConfig};
use super::audit::{self, AuditConfig};
use super::casbin::CasbinConfig;
use super::device_login;
use super::diagnostics::Problem;
use super::effective::Effective;
use super::external_program::ExternalProgram;
use super::http_backend::HttpBackendConfig;
use super::keys::KeyPairFiles;
use super::ldap;
use super::login;
use super::login_order;
use super::mongo::{self, MongoRulesConfig, MongoUsersConfig};
use super::notifications;
use super::personal_tokens;
use super::refused_sections::{self, RefusedBackends};
use super::registry::{RegistryServerConfig, StorageDriver};
use super::schema::key;
use super::section::Section;
use super::server::ServerConfig;
use super::sessions;
use super::sign_in::{self, SignInConfig};
use super::sql::{self, SqlConfig, SqlRulesConfig};
use super::token::TokenConfig;
use super::trust;
use super::users::{self, HtpasswdFile};

/// What the file says, its defaults filled in.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) server: ServerConfig,
    /// How tokens are made, if there is a token server.
    pub(crate) token: Option<TokenConfig>,
    /// The accounts of `users`.
    pub(crate) users: Option<Accounts>,
    /// The accounts of the file that `users_htpasswd` names.
    pub(crate) htpasswd: Option<HtpasswdFile>,
    pub(crate) acl: Option<AccessRules>,
    /// Rules in MongoDB.
    pub(crate) mongo_rules: Option<MongoRulesConfig>,
    /// Users in MongoDB.
    pub(crate) mongo_users: Option<MongoUsersConfig>,
    /// Rules in an SQL database.
    pub(crate) sql_rules: Option<SqlRulesConfig>,
    /// Users in an SQL database.
    pub(crate) sql_users: Option<SqlConfig>,
    pub(crate) ext_auth: Option<ExternalProgram>,
    pub(crate) ext_authz: Option<ExternalProgram>,
    pub(crate) http_auth: Option<HttpBackendConfig>,
    pub(crate) http_authz: Option<HttpBackendConfig>,
    pub(crate) ldap_auth: Option<::ldap::LdapSettings>,
    pub(crate) casbin: Option<CasbinConfig>,
    /// The platforms whose workloads log in with their own tokens.
    pub(crate) trust: Vec<IssuerSettings>,
    /// The providers with whose pages users sign in, in the order in which they are asked.
    pub(crate) sign_in: Vec<SignInConfig>,
    /// Refresh tokens, if they are on. With them there is a database.
    pub(crate) refresh_tokens: Option<SessionPolicy>,
    /// Logins that a person approves in a browser, if they are on. With them there are refresh tokens.
    pub(crate) device_login: Option<DeviceLoginPolicy>,
    /// Robots and personal tokens, if they are on. With them there is a database.
    pub(crate) personal_tokens: Option<TokenPolicy>,
    pub(crate) login: identity::LoginSettings,
    /// The order of the backends of logins, if it is not the usual one.
    pub(crate) login_order: Option<Vec<&'static str>>,
    /// The accounts and rules in the database.
    pub(crate) accounts: Option<AccountsConfig>,
    /// The API, if it is on. With it there are accounts.
    pub(crate) api: Option<ApiConfig>,
    /// The audit table, if events are recorded. With it there is a database.
    pub(crate) audit: Option<AuditConfig>,
    /// The endpoints that are told what happens in the registry, if there are any. With them there is a
    /// registry.
    pub(crate) notifications: Option<NotificationSettings>,
    pub(crate) registry: Option<RegistryServerConfig>,
    pub(crate) database: Option<database::DatabaseLocation>,
    /// For how long a server with PostgreSQL answers from memory without a look at what others have
    /// changed.
    pub(crate) look: Duration,
}

impl Config {
    /// The host of the registry, if there is one and the server knows its own address.
    pub(crate) fn registry_host(&self) -> Option<String> {
        let url = self.server.public_url.as_deref()?;
        let (_, host) = url.split_once("://")?;
        let has_registry = self.registry.is_some();
        has_registry.then(|| host.trim_end_matches('/').to_owned())
    }

    /// The sections of all backends of logins, in their usual order.
    pub(crate) fn login_backends(&self) -> Vec<&'static str> {
        let section = |name, is_there: bool| is_there.then_some(name);
        let sign_in = self.sign_in.iter().map(|section| Some(section.section));
        [
            section("users", self.users.is_some()),
            section("users_htpasswd", self.htpasswd.is_some()),
            section(::accounts::SECTION, self.accounts.is_some()),
            section("ext_auth", self.ext_auth.is_some()),
            section("http_auth", self.http_auth.is_some()),
        ]
        .into_iter()
        .chain(sign_in)
        .chain([
            section("ldap_auth", self.ldap_auth.is_some()),
            section("mongo_auth", self.mongo_users.is_some()),
            self.sql_users.as_ref().map(|users| users.section),
        ])
        .flatten()
        .collect()
    }
}

/// Asks for every section, and for every key in them.
pub(super) fn read_sections(root: &mut Section<'_>) -> Option<Config> {
    let (has_token_server, has_registry) = (root.has("token"), root.has("registry"));
    let (server, pair) = read_server(root);
    let token = read_token(root, &pair, has_registry);
    let refused = refused_sections::refuse(root);
    let users = users::read(root);
    let htpasswd = users::read_htpasswd(root);
    let mongo_users = mongo::read_users(root);
    let sql_users = sql::read_users(root);
    let (acl, acl_options) = acl::read(root);
    let mongo_rules = mongo::read_rules(root, acl_options);
    let sql_rules = sql::read_rules(root, acl_options);
    let (ext_auth, ext_authz) = read_programs(root);
    let (http_auth, http_authz) = read_http_backends(root);
    let ldap_auth = read_directory(root);
    let casbin = read_casbin(root);
    let sign_in = sign_in::read(root, server.as_ref());
    let lists = users
        .iter()
        .chain(htpasswd.iter().map(|file| &file.accounts));
    let trust = trust::read(root, lists);
    let (login, order) = root.always(
        key::mapping("login").means("limits on passwords, and the order of the backends"),
        |section| (login::read(section), login::read_order(section)),
    );
    let (database, look) = read_database(root);
    // A bare docker_auth file, which may run in several replicas, has no refresh tokens.
    let has_database = has_token_server && (has_registry || root.has("database"));
    let has_accounts = has_token_server && root.has("accounts");
    // Each of these turns both kinds of tokens on, so that what `check --print` shows means the same.
    let keeps_tokens =
        has_database || has_accounts || root.has("refresh_tokens") || root.has("personal_tokens");
    let refresh_tokens = read_refresh_tokens(root, keeps_tokens);
    let device_login = device_login::read(root, refresh_tokens.is_some());
    let personal_tokens = personal_tokens::read(root, keeps_tokens);
    if personal_tokens.is_some()
        && let Some(accounts) = &users
    {
        personal_tokens::warn_of_robots_names(root, accounts);
    }
    let registry = root.optional(
        key::mapping("registry").means("the registry: where content is stored, who gets in"),
        |section| RegistryServerConfig::read(section, has_token_server),
    );
    refuse_database_in_memory(root, registry.as_ref());
    warn_of_store_at_own_host(root, server.as_ref(), registry.as_ref());
    let needs_database = refresh_tokens.is_some()
        || personal_tokens.is_some()
        || sign_in.iter().any(SignInConfig::needs_database)
        || has_accounts;
    let database = database.or_else(|| usual_database(root, registry.as_ref(), needs_database));
    let accounts = accounts::read(root, has_token_server && database.is_some(), acl_options);
    let api = api::read(root, accounts.is_some(), registry.as_ref());
    let audit = audit::read(root, database.is_some());
    let notifications = notifications::read(root, registry.is_some());
    require_acme_store(root, server.as_ref(), database.is_some());
    if has_token_server || !has_registry {
        // Alone, they are enough if the file asks for them.
        let has_accounts = has_accounts && accounts.is_some();
        require_backends(root, &refused, has_accounts);
    } else {
        refuse_backends(root);
    }
    if has_registry && registry.is_none() {
        return None;
    }
    let mut config = Config {
        server: server?,
        token: if has_token_server { Some(token?) } else { None },
        users,
        htpasswd,
        acl,
        mongo_rules,
        mongo_users,
        sql_rules,
        sql_users,
        ext_auth,
        ext_authz,
        http_auth,
        http_authz,
        ldap_auth,
        casbin,
        trust,
        sign_in,
        audit,
        notifications,
        registry,
        database,
        look,
        refresh_tokens,
        device_login,
        personal_tokens,
        login,
        login_order: None,
        accounts,
        api,
    };
    config.login_order = order.and_then(|list| login_order::read(&list, &config.login_backends()));
    Some(config)
}

/// The server, and the pair of its TLS, which signs tokens unless there is another.
fn read_server<'a>(root: &mut Section<'a>) -> (Option<ServerConfig>, KeyPairFiles<'a>) {
    let read = root.optional(
        key::mapping("server")
            .docker_auth()
            .required("write where to listen, such as server: {addr: \":5001\"}")
            .means("where and how to listen, how much a client may send, what the log says"),
        |server| Some(ServerConfig::read(server)),
    );
    let (server, pair) = read.unzip();
    (server.flatten(), pair.unwrap_or_default())
}

fn read_token<'a>(
    root: &mut Section<'a>,
    pair: &KeyPairFiles<'a>,
    has_registry: bool,
) -> Option<TokenConfig> {
    let mut key = key::mapping("token")
        .docker_auth()
        .means("the token server: who issues tokens, for how long, with which key");
    if !has_registry && !root.context.is_describing() {
        key = key.required("it says who issues tokens, for how long and with which key");
    }
    root.optional(key, |token| TokenConfig::read(token, pair))
}

/// Keys and certificates of an ACME server outlive the process.
fn require_acme_store(root: &Section<'_>, server: Option<&ServerConfig>, has_database: bool) {
    let letsencrypt = server.and_then(|server| server.letsencrypt.as_ref());
    let needs_database = letsencrypt.is_some_and(|section| section.cache_dir.is_none());
    if needs_database && !has_database {
        root.error_about(
            "server.letsencrypt.cache_dir",
            Problem::Missing,
            "write the directory for keys and certificates, such as cache_dir: \
             /var/lib/wharfinger/certificates; or a database, which servers can share",
        );
    }
}

fn read_programs(root: &mut Section<'_>) -> (Option<ExternalProgram>, Option<ExternalProgram>) {
    let authenticates = "a program that checks passwords, below";
    let authorizes = "a program, below, asked if no rule decided";
    (
        root.optional(
            ExternalProgram::key("ext_auth", authenticates),
            ExternalProgram::read_ext_auth,
        ),
        root.optional(
            ExternalProgram::key("ext_authz", authorizes),
            ExternalProgram::read,
        ),
    )
}

fn read_http_backends(
    root: &mut Section<'_>,
) -> (Option<HttpBackendConfig>, Option<HttpBackendConfig>) {
    let authenticates = key::mapping("http_auth").means("a server that checks passwords, below");
    let authorizes = key::mapping("http_authz")
        .means("a server, below, asked if neither a rule nor a program decided");
    (
        root.optional(authenticates, HttpBackendConfig::read_http_auth),
        root.optional(authorizes, HttpBackendConfig::read_http_authz),
    )
}

fn read_directory(root: &mut Section<'_>) -> Option<::ldap::LdapSettings> {
    let key = key::mapping("ldap_auth")
        .docker_auth()
        .means("a directory that checks passwords, below");
    root.optional(key, ldap::read)
}

fn read_casbin(root: &mut Section<'_>) -> Option<CasbinConfig> {
    let key = key::mapping("casbin_authz")
        .docker_auth()
        .means("a Casbin policy, below, asked last; it decides everything it is asked");
    root.optional(key, CasbinConfig::read)
}

/// Where the database is, and for how long a server answers without a look at it.
fn read_database(root: &mut Section<'_>) -> (Option<database::DatabaseLocation>, Duration) {
    let key = key::mapping("database")
        .means("where sessions, and what the registry knows of its content, are stored");
    match root.optional(key, sessions::read_database) {
        Some(section) => (Some(section.location), section.look),
        None => (None, PostgresSettings::LOOK),
    }
}

fn read_refresh_tokens(root: &mut Section<'_>, is_on: bool) -> Option<SessionPolicy> {
    let is_on = is_on || root.context.is_describing();
    let key = key::mapping("refresh_tokens")
        .means("how long they last; `{}` takes the defaults")
        .otherwise("off without `database`");
    if is_on {
        return Some(root.always(key, sessions::read_policy));
    }
    // Asked for, so that it is a known key.
    root.setting(key);
    None
}

/// Beside the registry's content, else, if tokens or sign-ins need one, in the directory that
/// systemd gives the service.
fn usual_database(
    root: &mut Section<'_>,
    registry: Option<&RegistryServerConfig>,
    is_needed: bool,
) -> Option<database::DatabaseLocation> {
    let directory = root.context.variable("STATE_DIRECTORY").map(OsString::from);
    let location = match (registry, is_needed) {
        (Some(registry), _) if registry.storage.is_in_memory() => return None,
        (Some(registry), _) => match registry.storage.root() {
            Some(root) => database::DatabaseLocation::at(root.join("wharfinger.db")),
            None => database::DatabaseLocation::in_state_directory(directory.as_deref()),
        },
        (None, true) => database::DatabaseLocation::in_state_directory(directory.as_deref()),
        (None, false) => return None,
    };
    let url = Effective::quoted(&location);
    root.show("database", Effective::mapping(vec![("url", url)]));
    Some(location)
}

/// A database that outlives the content would list images that cannot be pulled.
fn refuse_database_in_memory(root: &Section<'_>, registry: Option<&RegistryServerConfig>) {
    let is_in_memory = registry.is_some_and(|registry| registry.storage.is_in_memory());
    for name in ["database", "accounts"] {
        if let Some(setting) = root.present(name).filter(|_| is_in_memory)
            && !setting.is_null()
        {
            setting.report(
                Problem::Conflict,
                "with registry.storage.inmemory, the database ends with the server; remove one of \
                 them",
            );
        }
    }
}

/// Go's clients send the registry's token along to a store at its host or below it, and the store
/// refuses it. So no client is sent there, and the file says that they should.
fn warn_of_store_at_own_host(
    root: &Section<'_>,
    server: Option<&ServerConfig>,
    registry: Option<&RegistryServerConfig>,
) {
    let url = server.and_then(|server| server.public_url.as_deref());
    let own = url.and_then(|url| url.parse::<http::Uri>().ok());
    let own = own.as_ref().and_then(http::Uri::host);
    let (Some(own), Some(StorageDriver::S3(s3))) =
        (own, registry.map(|registry| &registry.storage))
    else {
        return;
    };
    let host = s3.client_host();
    let store = ::storage::ContentUrl::host_of(&host);
    let own = own.trim_matches(['[', ']']);
    if s3.redirect.enabled && is_same_or_subdomain(store, own) {
        let message = format!(
            "no effect: docker would send its token along to {store}, which is at or below the host of \
             server.public_url, and the store would refuse it; write an endpoint with another host, or enabled: false"
        );
        let position = root
            .present("registry")
            .map_or(root.position, |registry| registry.position());
        let name = "registry.storage.redirect";
        root.context
            .warn(position, name, Problem::NoEffect, message);
    }
}

/// The sections of backends for logins, without those of sign-ins.
const LOGIN_SECTIONS: [&str; 9] = [
    "users",
    "users_htpasswd",
    "ext_auth",
    "http_auth",
    "ldap_auth",
    "mongo_auth",
    "xorm_auth",
    "sql_auth",
    "trust",
];

/// The sections of rules and of what decides like them.
const RULE_SECTIONS: [&str; 7] = [
    "acl",
    "acl_mongo",
    "acl_xorm",
    "acl_sql",
    "ext_authz",
    "http_authz",
    "casbin_authz",
];

/// Without a token server these have no effect, and the file says that they should.
fn refuse_backends(root: &Section<'_>) {
    let others = [
        "refresh_tokens",
        "device_login",
        "personal_tokens",
        "accounts",
    ];
    let names = LOGIN_SECTIONS.into_iter().chain(RULE_SECTIONS);
    for name in names.chain(others).chain(sign_in::SECTIONS) {
        if let Some(setting) = root.present(name).filter(|setting| !setting.is_null()) {
            setting.report(
                Problem::NoEffect,
                "no effect without the section token: there is no token server, and the registry \
                 asks registry.auth",
            );
        }
    }
}

/// Without a backend every login or every access would be refused: always a mistake. One that cannot be
/// used was reported already.
fn require_backends(root: &Section<'_>, refused: &RefusedBackends, has_accounts: bool) {
    let has = |names: &[&str]| names.iter().any(|name| root.has(name));
    if !has(&LOGIN_SECTIONS) && !has(&sign_in::SECTIONS) && !refused.logins && !has_accounts {
        root.error(
            Problem::Missing,
            "no one can log in: set users, users_htpasswd, ext_auth, http_auth, ldap_auth, \
             mongo_auth, xorm_auth, oidc_auth or another sign-in by a page, or trust (users: {\"\": {}} \
             lets everyone in without a name), or accounts: {} for accounts in the database",
        );
    }
    if !has(&RULE_SECTIONS) && !refused.rules && !has_accounts {
        root.error(
            Problem::Missing,
            "nothing is allowed: write rules under acl, or set acl_mongo, acl_xorm, ext_authz, \
             http_authz, casbin_authz, or accounts: {} for rules in the database",
        );
    }
}
