//! Sections that `docker_auth` has, and this program refuses by name.
//!
//! None of them is ignored: a login that a file asks for must not be missing without a word.

use super::diagnostics::Problem;
use super::schema::{Kind, key};
use super::section::Section;

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
pub(super) struct RefusedBackends {
    pub(super) logins: bool,
    pub(super) rules: bool,
}

/// Refuses each of them that is there. One with nothing in it is absent.
pub(super) fn refuse(root: &mut Section<'_>) -> RefusedBackends {
    let [logins, rules] = PLUGINS.map(|(name, instead)| {
        let key = key::custom(name, Kind::Anything).later().docker_auth();
        let setting = root.setting(key.means("Go plugins, which only a Go program can load"));
        let message = format!("a plugin written in Go cannot be loaded; {instead}");
        setting.is_some_and(|setting| {
            setting.report(Problem::Unsupported, message);
            true
        })
    });
    RefusedBackends { logins, rules }
}
