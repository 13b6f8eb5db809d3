//! Keys that `docker_auth` or a later version has, and this version refuses by name.
//!
//! None of them is ignored: a login that a file asks for must not be missing without a word.

use super::diagnostics::Problem;
use super::schema::{Kind, key};
use super::section::Section;

const LOGINS: [(&str, &str); 1] = [("mongo_auth", "logins from MongoDB")];

const RULES: [(&str, &str); 1] = [("acl_mongo", "rules from MongoDB")];

/// What to use instead of the plugins of docker_auth, and how.
const PLUGINS: [(&str, &str); 2] = [
    (
        "plugin_authn",
        "ask a server of yours under http_auth, or a program that stays under ext_auth with \
         mode: lines; no process is started for a login",
    ),
    (
        "plugin_authz",
        "ask a server of yours under http_authz, or a program that stays under ext_authz with \
         mode: lines; no process is started for a decision",
    ),
];

/// Which kinds of backends are there, though they cannot be used.
pub(super) struct Later {
    pub(super) logins: bool,
    pub(super) rules: bool,
}

/// Refuses each of them that is there. One with nothing in it is absent.
pub(super) fn refuse(root: &mut Section<'_>) -> Later {
    let mut refuse_all = |keys: &[(&'static str, &'static str)], instead: &str| {
        let refused = keys
            .iter()
            .filter(|(name, what)| refuse_one(root, name, what, instead));
        refused.count() > 0
    };
    let logins = refuse_all(
        &LOGINS,
        "use users, users_htpasswd, or a program that asks the same place under ext_auth",
    );
    let rules = refuse_all(
        &RULES,
        "write the rules under acl, or let a program under ext_authz decide",
    );
    let [plugin_logins, plugin_rules] = PLUGINS.map(|(name, instead)| {
        let key = key::custom(name, Kind::Anything).later().docker_auth();
        let setting = root.setting(key.means("Go plugins, which only a Go program can load"));
        let message = format!("a plugin written in Go cannot be loaded; {instead}");
        setting.is_some_and(|setting| {
            setting.report(Problem::Unsupported, message);
            true
        })
    });
    Later {
        logins: logins || plugin_logins,
        rules: rules || plugin_rules,
    }
}

fn refuse_one(
    root: &mut Section<'_>,
    name: &'static str,
    what: &'static str,
    instead: &str,
) -> bool {
    let key = key::custom(name, Kind::Anything).later().means(what);
    let Some(setting) = root.setting(key.docker_auth()) else {
        return false;
    };
    let message = format!("{what} are not supported yet; {instead}");
    setting.report(Problem::Unsupported, message);
    true
}
