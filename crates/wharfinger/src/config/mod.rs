//! The configuration: one file in YAML, read once, checked whole.
//!
//! It is docker_auth's configuration with sections of ours; docker_auth's keys mean what they mean
//! there. All errors are reported at once, with file, line, column and key ([`Diagnostics`]).
//! A [`Config`] is ready to use: addresses, durations, patterns, hashes, keys and certificates are
//! parsed, and every file that was read is known.
//!
//! - [`load`]: from a path to a [`LoadedConfig`]; [`sections`]: the [`Config`], and what its sections
//!   need of each other.
//! - [`yaml`]: the file as a tree with places; [`section`] and [`setting`]: reading that tree key
//!   by key.
//! - [`server`], [`token`], [`users`], [`acl`], [`registry`], …: a file for each section. Each key
//!   is declared there, where it is read; [`schema`] says how, and what comes from a declaration.
//! - [`distribution`]: registry:2's files and variables, translated into our sections.
//!
//! Any text may contain `${env:NAME}` or `${config_dir}`, and most may come from a file, as
//! `KEY_file: PATH`.

mod accounts;
mod acl;
mod address;
mod agreement;
mod api;
mod audit;
mod backend_keys;
mod casbin;
mod context;
mod device_login;
mod diagnostics;
mod distribution;
mod effective;
mod external_program;
mod headers;
mod health;
mod hsts;
mod http_backend;
mod keys;
mod ldap;
mod letsencrypt;
mod load;
mod log;
mod login;
mod login_order;
mod metrics;
#[cfg_attr(not(feature = "mongo"), path = "mongo_absent.rs")]
mod mongo;
mod notifications;
mod personal_tokens;
mod refused_sections;
mod registry;
mod schema;
mod section;
mod sections;
mod server;
mod sessions;
mod setting;
mod sign_in;
mod sql;
mod stored_rules;
#[cfg(test)]
mod tests;
mod tls;
mod token;
mod trust;
mod users;
mod yaml;

pub(crate) use self::accounts::AccountsConfig;
pub(crate) use self::address::{ListenAddress, TcpAddress};
pub(crate) use self::agreement::TokenAgreement;
pub(crate) use self::audit::AuditConfig;
pub(crate) use self::context::read_bounded;
pub(crate) use self::diagnostics::{Diagnostic, Diagnostics, Location, Severity};
pub(crate) use self::effective::Effective;
pub(crate) use self::external_program::{ExternalProgram, ProgramMode};
pub(crate) use self::health::{HttpCheckConfig, PollSettings};
pub(crate) use self::keys::SigningKey;
pub(crate) use self::letsencrypt::LetsEncryptConfig;
pub(crate) use self::load::{LoadedConfig, changes_for_restart, load};
pub(crate) use self::log::{AccessLogFormat, AccessLogLevel};
pub(crate) use self::metrics::MetricsConfig;
pub(crate) use self::mongo::{MongoRulesConfig, MongoUsersConfig};
pub(crate) use self::registry::{
    Auth as RegistryAuth, CollectionConfig, IssuerConfig, IssuerKeysConfig, RegistryServerConfig,
    S3Config, StorageDriver, TagsConfig,
};
pub(crate) use self::schema::json::of_configuration as json_schema;
pub(crate) use self::sections::Config;
pub(crate) use self::server::{ServerConfig, ServerLimits};
pub(crate) use self::sign_in::{ProviderConfig, SignInConfig, TokenStoreConfig};
pub(crate) use self::sql::{SqlConfig, SqlRulesConfig};
pub(crate) use self::tls::Tls;
pub(crate) use self::token::{TokenConfig, TokenOptions};
pub(crate) use self::users::HtpasswdFile;
pub(crate) use self::yaml::{ScalarPlace, locate as locate_scalar};
