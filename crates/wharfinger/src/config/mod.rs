//! The configuration: one file in YAML, read once, checked whole.
//!
//! It is docker_auth's configuration with sections of ours; docker_auth's keys mean what they mean
//! there. All errors are reported at once, with file, line, column and key ([`Diagnostics`]).
//! A [`Config`] is ready to use: addresses, durations, patterns, hashes, keys and certificates are
//! parsed, and every file that was read is known.
//!
//! - [`yaml`]: the file as a tree with places; [`section`] and [`setting`]: reading that tree key
//!   by key.
//! - [`server`], [`token`], [`users`], [`acl`], [`registry`], …: a file for each section. Each key
//!   is declared there, where it is read; [`schema`] says how, and what comes from a declaration.
//! - [`distribution`]: registry:2's files and variables, translated into our sections.
//!
//! Any text may be `${env:NAME}`, and most may come from a file, as `KEY_file: PATH`.

mod acl;
mod address;
mod agreement;
mod context;
pub(crate) mod date;
mod diagnostics;
mod distribution;
mod effective;
mod external_program;
mod hsts;
mod keys;
mod later;
mod login;
mod registry;
mod schema;
mod section;
mod server;
mod sessions;
mod setting;
#[cfg(test)]
mod tests;
mod tls;
mod token;
mod users;
mod yaml;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use auth::sessions::SessionPolicy;
use common::{Clock, SystemClock};
use identity::Accounts;

pub(crate) use self::acl::AccessRules;
pub(crate) use self::address::{ListenAddress, TcpAddress};
pub(crate) use self::agreement::TokenAgreement;
pub(crate) use self::diagnostics::{Diagnostic, Diagnostics, Location, Severity};
pub(crate) use self::effective::Effective;
pub(crate) use self::external_program::ExternalProgram;
pub(crate) use self::keys::SigningKey;
pub(crate) use self::registry::{
    Auth as RegistryAuth, CollectionSettings, IssuerKeys, RegistrySettings, TokenIssuer,
};
pub(crate) use self::schema::json::of_configuration as json_schema;
pub(crate) use self::server::{AccessLogLevel, ServerLimits, ServerSettings};
pub(crate) use self::token::{TokenOptions, TokenSettings};
pub(crate) use self::users::HtpasswdFile;

use self::context::Context;
use self::diagnostics::Problem;
use self::later::Later;
use self::schema::key;
use self::section::Section;
use self::setting::Setting;
use self::yaml::{Node, Position, Value};

/// What the file says, its defaults filled in.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) server: ServerSettings,
    /// How tokens are made, if there is a token server.
    pub(crate) token: Option<TokenSettings>,
    /// The accounts of `users`.
    pub(crate) users: Option<Accounts>,
    /// The accounts of the file that `users_htpasswd` names.
    pub(crate) htpasswd: Option<HtpasswdFile>,
    pub(crate) acl: Option<AccessRules>,
    pub(crate) ext_auth: Option<ExternalProgram>,
    pub(crate) ext_authz: Option<ExternalProgram>,
    /// Refresh tokens, if they are on. With them there is a database.
    pub(crate) refresh_tokens: Option<SessionPolicy>,
    pub(crate) login: identity::LoginSettings,
    pub(crate) registry: Option<RegistrySettings>,
    pub(crate) database: Option<database::DatabaseLocation>,
}

/// A configuration that can be used.
#[derive(Debug)]
pub(crate) struct LoadedConfig {
    pub(crate) config: Config,
    /// The values in effect, as `check --print` shows them.
    pub(crate) effective: Effective,
    /// What is worth knowing about it.
    pub(crate) warnings: Vec<Diagnostic>,
    /// Every file that was read for it: the configuration first, then certificates, keys, password
    /// files, …
    pub(crate) files: Vec<PathBuf>,
}

/// Reads the configuration at `path` and every file that it names.
///
/// # Errors
/// Everything that is wrong with it, and with the files.
pub(crate) fn load(path: &Path) -> Result<LoadedConfig, Diagnostics> {
    let context = Context::new(path, |name| std::env::var(name).ok(), SystemClock.now());
    load_in(
        context.with_variables(distribution::environment::of_process()),
        path,
    )
}

/// The keys that differ between two configurations and count after a restart only.
pub(crate) fn changes_for_restart(before: &Effective, after: &Effective) -> Vec<String> {
    let mut changed = Vec::new();
    schema::walk(&schema::of_configuration(), &mut |path, key| {
        let is_late = key.reload == schema::Reload::AfterRestart;
        if is_late && before.at(path) != after.at(path) {
            changed.push(path.to_owned());
        }
    });
    changed
}

fn load_in(context: Context, path: &Path) -> Result<LoadedConfig, Diagnostics> {
    let tree = read_tree(&context, path).and_then(|tree| {
        if distribution::is_distribution(&tree) {
            distribution::translate(&context, tree)
        } else {
            Some(tree)
        }
    });
    let read = tree.as_ref().and_then(|tree| read_root(&context, tree));
    if read.is_none() && context.errors() == 0 {
        // Each reader reports why it returns nothing. If one does not, the file is wrong all the same.
        let start = Position { line: 1, column: 1 };
        let message = "cannot be used, for a reason that this program failed to report";
        context.error(start, "", Problem::Invalid, message);
    }
    let (files, found) = context.into_parts();
    let warnings = Diagnostics::settle(found, path, &files)?;
    read.map(|(config, effective)| LoadedConfig {
        config,
        effective,
        warnings,
        files,
    })
    .ok_or_else(Diagnostics::default)
}

/// The file's tree. Without one, the reason is reported.
fn read_tree(context: &Context, path: &Path) -> Option<Node> {
    let start = Position { line: 1, column: 1 };
    let text = match context::read_bounded(path).map(String::from_utf8) {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => {
            let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
                .iter()
                .filter(|b| **b == b'\n')
                .count()
                + 1;
            let place = Position { line, column: 1 };
            context.error(place, "", Problem::Syntax, "this line is not UTF-8");
            return None;
        }
        Err(error) => {
            let message = format!("cannot read the configuration: {error}");
            context.error(start, "", Problem::File, message);
            return None;
        }
    };
    let (tree, errors) = yaml::read(&text);
    // Go's programs take the last of two keys; registry:2's file starts with them, and warns.
    let is_lenient = tree.as_ref().is_some_and(distribution::is_distribution);
    for error in errors {
        match (error.is_duplicate, is_lenient) {
            (true, true) => {
                let message = format!("{}; the last counts", error.message);
                context.warn(error.position, "", Problem::Duplicate, message);
            }
            (true, false) => {
                context.error(error.position, "", Problem::Duplicate, error.message);
            }
            (false, _) => context.error(error.position, "", Problem::Syntax, error.message),
        }
    }
    tree
}

fn read_root(context: &Context, tree: &Node) -> Option<(Config, Effective)> {
    let entries = match &tree.value {
        // Of an empty file, every required section is reported as missing.
        Value::Null => Vec::new(),
        Value::Mapping(_) => Setting::new(context, String::new(), tree).entries_of_section()?,
        Value::Scalar(_) | Value::Sequence(_) => {
            let found = tree.describe();
            let message = format!("expected a mapping of sections, found {found}");
            context.error(tree.position, "", Problem::WrongType, message);
            return None;
        }
    };
    let mut root = Section::new(context, "", tree.position, entries);
    let config = read_sections(&mut root);
    let effective = root.finish();
    config.map(|config| (config, effective))
}

fn read_sections(root: &mut Section<'_>) -> Option<Config> {
    let (has_token_server, has_registry) = (root.has("token"), root.has("registry"));
    let (server, pair) = read_server(root);
    let mut token = key::mapping("token")
        .docker_auth()
        .means("the token server: who issues tokens, for how long, with which key");
    if !has_registry && !root.context.is_describing() {
        token = token.required("it says who issues tokens, for how long and with which key");
    }
    let token = root.optional(token, |token| TokenSettings::read(token, pair.as_ref()));
    let later = later::refuse(root);
    let users = users::read(root);
    let htpasswd = users::read_htpasswd(root);
    let acl = acl::read(root);
    let (ext_auth, ext_authz) = read_programs(root);
    if has_token_server || !has_registry {
        require_backends(root, &later);
    } else {
        refuse_backends(root);
    }
    let login = root.always(
        key::mapping("login").means("limits on passwords"),
        login::read,
    );
    let database = root.optional(
        key::mapping("database")
            .restart()
            .means("where sessions, and what the registry knows of its content, are stored"),
        sessions::read_location,
    );
    // A bare docker_auth file, which may run in several replicas, has no refresh tokens.
    let has_database = has_token_server && (has_registry || root.has("database"));
    let refresh_tokens = read_refresh_tokens(root, has_database);
    let registry = root.optional(
        key::mapping("registry").means("the registry: where content is stored, who gets in"),
        |section| RegistrySettings::read(section, has_token_server),
    );
    if has_registry && registry.is_none() {
        return None;
    }
    let database = database.or_else(|| usual_database(root, registry.as_ref(), refresh_tokens));
    Some(Config {
        server: server?,
        token: if has_token_server { Some(token?) } else { None },
        users,
        htpasswd,
        acl,
        ext_auth,
        ext_authz,
        registry,
        database,
        refresh_tokens,
        login,
    })
}

/// The server, and the pair of its TLS, which signs tokens unless there is another.
fn read_server<'a>(root: &mut Section<'a>) -> (Option<ServerSettings>, Option<token::Pair<'a>>) {
    let read = root.optional(
        key::mapping("server")
            .docker_auth()
            .required("write where to listen, such as server: {addr: \":5001\"}")
            .means("where and how to listen, how much a client may send, what the log says"),
        |server| Some(ServerSettings::read(server)),
    );
    let (server, pair) = read.unzip();
    let pair = pair.and_then(|(certificate, key)| key.zip(certificate));
    (server.flatten(), pair)
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

/// On with their own section or with a database.
fn read_refresh_tokens(root: &mut Section<'_>, has_database: bool) -> Option<SessionPolicy> {
    let is_on = has_database || root.has("refresh_tokens") || root.context.is_describing();
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

/// Beside the registry's content, else in the directory that systemd gives the service.
fn usual_database(
    root: &mut Section<'_>,
    registry: Option<&RegistrySettings>,
    refresh_tokens: Option<SessionPolicy>,
) -> Option<database::DatabaseLocation> {
    let directory = root.context.variable("STATE_DIRECTORY").map(OsString::from);
    let location = match (registry, refresh_tokens) {
        (Some(registry), _) => database::DatabaseLocation::at(registry.root.join("wharfinger.db")),
        (None, Some(_)) => database::DatabaseLocation::in_state_directory(directory.as_deref()),
        (None, None) => return None,
    };
    let url = Effective::quoted(&location);
    root.show("database", Effective::mapping(vec![("url", url)]));
    Some(location)
}

/// Without a token server these have no effect, and the file says that they should.
fn refuse_backends(root: &Section<'_>) {
    for name in [
        "users",
        "users_htpasswd",
        "ext_auth",
        "acl",
        "ext_authz",
        "refresh_tokens",
    ] {
        if let Some(setting) = root.present(name).filter(|setting| !setting.is_null()) {
            setting.report(
                Problem::NoEffect,
                "no effect without the section token: there is no token server, and the registry \
                 asks registry.auth",
            );
        }
    }
}

/// Without a backend every login or every access would be refused: always a mistake.
fn require_backends(root: &Section<'_>, later: &Later) {
    let has = |names: &[&str]| names.iter().any(|name| root.has(name));
    if !has(&["users", "users_htpasswd", "ext_auth"]) && !later.logins {
        root.error(
            Problem::Missing,
            "no one can log in: set users, users_htpasswd or ext_auth (users: {\"\": {}} lets \
             everyone in without a name)",
        );
    }
    if !has(&["acl", "ext_authz"]) && !later.rules {
        root.error(
            Problem::Missing,
            "nothing is allowed: write rules under acl, or set ext_authz",
        );
    }
}
