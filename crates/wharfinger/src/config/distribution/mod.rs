//! Distribution's dialect: the files of `registry:2` and `registry:3`, and their `REGISTRY_*`
//! variables.
//!
//! A file with a `version` at its top is Distribution's; ours has none. It is read with the tools
//! that read ours, and what comes out is a tree of our schema ([`translate`]) whose values keep
//! their places in the file that was written. Nothing behind this module hears of it. What
//! Distribution has no word for stands in a block `wharfinger`, in our schema, over what was
//! translated.
//!
//! Of what there is no equal for, what only tunes is accepted with a warning that it has no effect,
//! and what matters is refused by name: a file that asks for a push to be announced must not be
//! served by a registry that announces nothing.
//!
//! - [`environment`], [`names`]: the variables; [`http`], [`storage`], [`auth`], [`general`]: the
//!   sections.
//! - [`draft`]: our tree while it grows; [`words`]: what is said of it, in Distribution's words.

mod auth;
mod draft;
pub(super) mod environment;
mod general;
mod http;
mod names;
mod storage;
#[cfg(test)]
mod tests;
mod words;

use self::draft::Draft;
pub(super) use self::words::Words;
use super::context::Context;
use super::section::Section;
use super::setting::Setting;
use super::yaml::{Entry, Node, Value};

/// Distribution's only version.
const VERSION: &str = "0.1";

/// Whether the file is Distribution's.
pub(super) fn is_spoken(tree: &Node) -> bool {
    matches!(&tree.value, Value::Mapping(entries) if entries.iter().any(|entry| entry.key == "version"))
}

/// The same in our schema, the variables of the environment laid over it. What is wrong is told.
pub(super) fn translate(context: &Context, mut tree: Node) -> Option<Node> {
    choose(&mut tree);
    environment::overlay(context, &mut tree);
    let position = tree.position;
    let root = Setting::new(context, String::new(), &tree);
    let entries = root.section(|root| {
        let own = own(root);
        let mut draft = Draft::new(context);
        read(root, &mut draft, &own);
        // What stands later counts more, and sections complete each other.
        Some(draft.finish().into_iter().chain(own).collect())
    })?;
    Some(Node {
        value: Value::Mapping(entries),
        position,
    })
}

/// `storage: filesystem` and `auth: token` are a driver and a provider without settings, which
/// variables may bring.
fn choose(tree: &mut Node) {
    let Value::Mapping(entries) = &mut tree.value else {
        return;
    };
    for entry in entries
        .iter_mut()
        .filter(|entry| ["auth", "storage"].contains(&entry.key.as_str()))
    {
        environment::choose(&mut entry.value);
    }
}

fn read(root: &mut Section<'_>, draft: &mut Draft<'_>, own: &[Entry]) {
    if let Some(version) = root.setting("version") {
        version.parse(|text| match text {
            VERSION => Ok(()),
            _ => Err("the only version that there is of Distribution's files is 0.1"),
        });
    }
    general::read(root, draft);
    http::read(root, draft);
    storage::read(root, draft);
    auth::read(root, draft, has_auth(own));
}

/// The sections of the block `wharfinger`.
fn own(root: &mut Section<'_>) -> Vec<Entry> {
    let entries = root
        .setting("wharfinger")
        .and_then(|block| block.entries())
        .unwrap_or_default();
    entries
        .into_iter()
        .map(|(entry, _)| entry.clone())
        .collect()
}

/// Whether sections of ours say who may come in.
fn has_auth(own: &[Entry]) -> bool {
    let has = |entries: &[Entry], key: &str| entries.iter().any(|entry| entry.key == key);
    let registry = own
        .iter()
        .find(|entry| entry.key == "registry")
        .map(|entry| &entry.value.value);
    has(own, "token") || matches!(registry, Some(Value::Mapping(entries)) if has(entries, "auth"))
}

/// Takes settings that only tune Distribution, whatever they hold.
fn without_effect(section: &mut Section<'_>, keys: &[(&'static str, &str)]) {
    for (key, why) in keys {
        if let Some(setting) = section.setting(key) {
            setting.warn(format_args!("this has no effect here: {why}"));
        }
    }
}
