//! The configuration: one file in YAML, read once, checked whole.
//!
//! The schema is docker_auth's with sections of ours; its keys mean what they mean there. What is
//! wrong is told all at once, with file, line and column ([`Diagnostics`]); what comes out
//! ([`Config`]) needs no second look: addresses, durations, patterns, hashes, keys and certificates
//! are parsed, and every file that was read is known.
//!
//! - [`yaml`]: the file as a tree with places; [`section`] and [`setting`]: reading that tree key
//!   by key.
//! - One file for each section: [`server`], [`token`], [`users`], [`acl`], …
//!
//! Any text may be `${env:NAME}`, and most may come as `KEY_file: PATH` from a file of their own.

mod acl;
mod address;
mod agreement;
mod context;
pub(crate) mod date;
mod diagnostics;
mod distribution;
mod external_program;
mod keys;
mod later;
mod login;
mod print;
mod registry;
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
pub(crate) use self::external_program::ExternalProgram;
pub(crate) use self::keys::SigningKey;
pub(crate) use self::registry::{
    Auth as RegistryAuth, CollectionSettings, IssuerKeys, RegistrySettings, TokenIssuer,
};
pub(crate) use self::server::{ServerLimits, ServerSettings};
pub(crate) use self::token::{TokenOptions, TokenSettings};
pub(crate) use self::users::HtpasswdFile;

use self::context::Context;
use self::later::Later;
use self::section::Section;
use self::setting::Setting;
use self::yaml::{Node, Position, Value};

/// What the file says, its defaults filled in.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) server: ServerSettings,
    /// The token server's tokens; none where there is no token server.
    pub(crate) token: Option<TokenSettings>,
    /// The accounts of `users`.
    pub(crate) users: Option<Accounts>,
    /// The accounts of the file that `users_htpasswd` names.
    pub(crate) htpasswd: Option<HtpasswdFile>,
    pub(crate) acl: Option<AccessRules>,
    pub(crate) ext_auth: Option<ExternalProgram>,
    pub(crate) ext_authz: Option<ExternalProgram>,
    /// Refresh tokens; none where they are off. With them there is a database.
    pub(crate) refresh_tokens: Option<SessionPolicy>,
    pub(crate) login: identity::LoginSettings,
    pub(crate) registry: Option<RegistrySettings>,
    pub(crate) database: Option<database::DatabaseLocation>,
}

/// A configuration that can be used.
#[derive(Debug)]
pub(crate) struct LoadedConfig {
    pub(crate) config: Config,
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

fn load_in(context: Context, path: &Path) -> Result<LoadedConfig, Diagnostics> {
    let mut spoken = None;
    let tree = read_tree(&context, path).and_then(|tree| {
        if !distribution::is_spoken(&tree) {
            return Some(tree);
        }
        spoken = distribution::Words::of(&tree);
        distribution::translate(&context, tree)
    });
    let told_before = context.found();
    let config = tree.as_ref().and_then(|tree| read_root(&context, tree));
    let (files, mut found) = context.into_parts();
    if let Some(words) = spoken {
        words.translate(&mut found, told_before);
    }
    if config.is_none()
        && !found
            .iter()
            .any(|diagnostic| diagnostic.severity == Severity::Error)
    {
        // No reader gives up without a word; should one, nobody must take the file for good.
        let location = Location {
            file: path.into(),
            position: Position { line: 1, column: 1 },
        };
        let message =
            "the file cannot be used, and it is a defect of this program not to say why".to_owned();
        found.push(Diagnostic {
            severity: Severity::Error,
            location,
            message,
        });
    }
    let warnings = Diagnostics::settle(found, path, &files)?;
    config
        .map(|config| LoadedConfig {
            config,
            warnings,
            files,
        })
        .ok_or_else(Diagnostics::default)
}

/// The file's tree. Without one, why is told.
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
            context.error(Position { line, column: 1 }, "this line is not UTF-8");
            return None;
        }
        Err(error) => {
            context.error(start, format!("cannot read the configuration: {error}"));
            return None;
        }
    };
    let (tree, problems) = yaml::read(&text);
    for problem in problems {
        context.error(problem.position, problem.message);
    }
    tree
}

fn read_root(context: &Context, tree: &Node) -> Option<Config> {
    let root = Setting::new(context, String::new(), tree);
    match &tree.value {
        // An empty file: every section that must be there is told as missing.
        Value::Null => read_sections(&mut Section::new(context, "", tree.position, Vec::new())),
        Value::Mapping(_) => root.section(read_sections),
        Value::Scalar(_) | Value::Sequence(_) => {
            context.error(
                tree.position,
                format!(
                    "a configuration is a mapping of sections, and this is {}",
                    tree.describe()
                ),
            );
            None
        }
    }
}

fn read_sections(root: &mut Section<'_>) -> Option<Config> {
    root.require(
        "server",
        "it says where to listen, as server: {addr: \":5001\"}",
    );
    let (issues, keeps) = (root.has("token"), root.has("registry"));
    if !issues && !keeps {
        root.require(
            "token",
            "it says who issues tokens, for how long and with which key",
        );
    }
    let mut pair = None;
    let server = root.section("server", |server| {
        pair = server.path("key").zip(server.path("certificate"));
        ServerSettings::read(server)
    });
    let token = root.section("token", |token| TokenSettings::read(token, pair.as_ref()));
    let later = later::refuse(root);
    let users = root.setting("users").map(|setting| users::read(&setting));
    let htpasswd = users::read_htpasswd(root);
    let acl = acl::read(root);
    let ext_auth = root.section("ext_auth", ExternalProgram::read);
    let ext_authz = root.section("ext_authz", ExternalProgram::read);
    if issues || !keeps {
        require_backends(root, &later);
    } else {
        refuse_backends(root);
    }
    let login = root.section("login", login::read).unwrap_or_default();
    let database = root.section("database", sessions::read_location);
    let refresh_tokens = root.section("refresh_tokens", sessions::read_policy);
    // Whoever has a database has them; a bare docker_auth file, which may run in several replicas,
    // has none.
    let has_database = issues && (keeps || root.has("database"));
    let refresh_tokens = refresh_tokens.or_else(|| has_database.then(SessionPolicy::default));
    let registry = root.section("registry", |section| {
        RegistrySettings::read(section, issues)
    });
    if keeps && registry.is_none() {
        return None;
    }
    // In the folder that systemd gives the service, or where it would be.
    let state_folder = || root.context.variable("STATE_DIRECTORY").map(OsString::from);
    let usual = || match &registry {
        // Beside the cargo that it speaks of.
        Some(registry) => Some(database::DatabaseLocation::at(
            registry.root.join("wharfinger.db"),
        )),
        None => refresh_tokens
            .map(|_| database::DatabaseLocation::in_state_directory(state_folder().as_deref())),
    };
    let database = database.or_else(usual);
    Some(Config {
        server: server?,
        token: if issues { Some(token?) } else { None },
        users: users.flatten(),
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

/// Without a token server nobody asks these, and whoever wrote them thinks otherwise.
fn refuse_backends(root: &mut Section<'_>) {
    for key in [
        "users",
        "users_htpasswd",
        "ext_auth",
        "acl",
        "ext_authz",
        "refresh_tokens",
    ] {
        if let Some(setting) = root.setting(key) {
            setting.error(
                "without the section token there is no token server to ask this; the registry asks registry.auth",
            );
        }
    }
}

/// Without anybody to ask, nobody gets in or nobody may do anything: always a mistake.
fn require_backends(root: &Section<'_>, later: &Later) {
    let start = Position { line: 1, column: 1 };
    let authenticates = ["users", "users_htpasswd", "ext_auth"]
        .iter()
        .any(|key| root.has(key));
    if !authenticates && !later.authentication {
        let message = "nobody could log in: there must be users, users_htpasswd or ext_auth (users: {\"\": {}} lets \
                       everybody in without a name)";
        root.context.error(start, message);
    }
    let authorizes = ["acl", "ext_authz"].iter().any(|key| root.has(key));
    if !authorizes && !later.authorization {
        root.context.error(
            start,
            "nobody could do anything: there must be rules under acl, or ext_authz",
        );
    }
}
