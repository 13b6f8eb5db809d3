//! Distribution's dialect: the files of `registry:2` and `registry:3`, and their `REGISTRY_*`
//! variables.
//!
//! A file with a `version` at its top is Distribution's; ours has none. It becomes a tree of our
//! schema ([`translate`]). Its values keep the places and names that they have in the file, so what our
//! readers report about them is in that file's words. What Distribution has no key
//! for stands in a block `wharfinger`, in our schema, over what was translated.
//!
//! A setting without an equal here that only tunes Distribution is accepted with a warning. One that
//! matters is refused by name: a file that asks for a cache of another registry must not be served by a
//! registry that keeps no cache. A key that Distribution ignores as unknown is a warning here, too.
//!
//! - [`keys`]: every key and what becomes of it; [`translation`]: the kinds of rows, and how they are
//!   applied.
//! - [`http`], [`storage`], [`auth`], [`notifications`], [`other`]: what takes more than a row.
//! - [`environment`]: the variables.

mod auth;
pub(super) mod environment;
mod http;
mod keys;
mod notifications;
mod other;
mod storage;
#[cfg(test)]
mod tests;
mod translation;

use self::translation::Translator;
use super::context::{Context, Translation};
use super::diagnostics::Problem;
use super::setting::Setting;
use super::yaml::{Entry, Node, Value};

/// The address that the images' own files have.
const DEFAULT_ADDRESS: &str = ":5000";

/// Whether the file is Distribution's.
pub(super) fn is_distribution(tree: &Node) -> bool {
    matches!(&tree.value, Value::Mapping(entries) if entries.iter().any(|entry| entry.key == "version"))
}

/// The file in our schema, with the variables of the environment laid over it. Errors are reported.
pub(super) fn translate(context: &Context, mut tree: Node) -> Option<Node> {
    expand_choices(&mut tree);
    environment::overlay(context, &mut tree);
    let position = tree.position;
    let own = own_block(context, &mut tree);
    let mut translator = Translator::new(keys::ROWS, has_auth(&own));
    let root = Setting::new(context, String::new(), &tree);
    translator.section(&root, "", false, |root, translator| {
        for (name, hint) in [
            ("storage", storage::WRITE),
            ("version", "write version: 0.1"),
        ] {
            if !root.has(name) {
                root.error_about(name, Problem::Missing, hint);
            }
        }
        translator.default("server.addr", &DEFAULT_ADDRESS, "http.addr", position);
        if !root.has("auth") && !translator.has_own_auth {
            let message = "not set, so everyone can pull, push and delete everything; set \
                           auth.token or auth.htpasswd";
            context.note(position, "auth", Problem::Insecure, message);
            translator.default("registry.auth.none", &true, "auth", position);
        }
    });
    let (translated, refused) = translator.finish();
    context.set_translation(Translation {
        name: keys::name_of,
        refused,
    });
    // A later entry counts more, and sections complete each other.
    let entries = translated.into_iter().chain(own).collect();
    Some(Node {
        value: Value::Mapping(entries),
        position,
    })
}

/// `storage: filesystem` and `auth: token` are a driver and a provider without settings, which
/// variables may bring.
fn expand_choices(tree: &mut Node) {
    let Value::Mapping(entries) = &mut tree.value else {
        return;
    };
    for entry in entries {
        if ["auth", "storage"].contains(&entry.key.as_str()) {
            environment::expand_choice(&mut entry.value);
        }
    }
}

/// Takes the sections of the block `wharfinger` out of the tree.
fn own_block(context: &Context, tree: &mut Node) -> Vec<Entry> {
    let Value::Mapping(entries) = &mut tree.value else {
        return Vec::new();
    };
    let mut own = Vec::new();
    for entry in entries.extract_if(.., |entry| entry.key == "wharfinger") {
        match entry.value.value {
            Value::Null => {}
            Value::Mapping(sections) => own.extend(sections),
            _ => {
                let found = entry.value.describe();
                let message = format!("expected a mapping, found {found}");
                context.error(entry.position, "wharfinger", Problem::WrongType, message);
            }
        }
    }
    own
}

/// Whether sections of ours say who gets in.
fn has_auth(own: &[Entry]) -> bool {
    let has = |entries: &[Entry], key: &str| entries.iter().any(|entry| entry.key == key);
    let registry = own
        .iter()
        .find(|entry| entry.key == "registry")
        .map(|entry| &entry.value.value);
    has(own, "token") || matches!(registry, Some(Value::Mapping(entries)) if has(entries, "auth"))
}
