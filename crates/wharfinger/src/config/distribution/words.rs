//! What our reader says of a setting, told with the name that it has in Distribution's file.

use crate::config::diagnostics::Diagnostic;
use crate::config::yaml::{Node, Value};

/// Our names and theirs, longer ones before those that they begin with.
const NAMES: [(&str, &str); 13] = [
    ("server.limits.shutdown_timeout", "http.draintimeout"),
    ("server.tls_cipher_suites", "http.tls.ciphersuites"),
    ("server.tls_min_version", "http.tls.minimumtls"),
    ("server.certificate", "http.tls.certificate"),
    ("server.path_prefix", "http.prefix"),
    ("server.public_url", "http.host"),
    ("server.addr", "http.addr"),
    ("server.key", "http.tls.key"),
    ("server.net", "http.net"),
    (
        "registry.storage.filesystem.root",
        "storage.filesystem.rootdirectory",
    ),
    ("registry.relative_urls", "http.relativeurls"),
    ("registry.headers", "http.headers"),
    ("registry.auth.", "auth."),
];

/// What stands before the warning that a registry is open.
const OPEN: &str = "auth.none:";

/// Distribution's names for our settings.
pub(in crate::config) struct Words(());

impl Words {
    /// Those of a file that has no settings of ours beside its own; of one that has, nobody could
    /// tell whose are meant.
    pub(in crate::config) fn of(tree: &Node) -> Option<Self> {
        let Value::Mapping(entries) = &tree.value else {
            return None;
        };
        entries
            .iter()
            .all(|entry| entry.key != "wharfinger")
            .then_some(Self(()))
    }

    /// Puts what our reader said, behind the first `before` findings, into Distribution's words,
    /// and leaves out what is told there already.
    pub(in crate::config) fn translate(self, found: &mut Vec<Diagnostic>, before: usize) {
        let ours = found.split_off(before.min(found.len()));
        for mut one in ours {
            for (name, theirs) in NAMES {
                one.message = one.message.replace(name, theirs);
            }
            let missing = match one.message.split_once(" is missing") {
                Some((name, _)) => Some(format!("{name} is missing")),
                // Nothing else was said, and that was told.
                None if one.message.starts_with(OPEN) => Some("auth is missing".to_owned()),
                None => None,
            };
            let is_told = missing.is_some_and(|missing| {
                found
                    .iter()
                    .any(|known| known.message.starts_with(&missing))
            });
            if !is_told {
                found.push(one);
            }
        }
    }
}
