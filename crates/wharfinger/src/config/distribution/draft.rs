//! Our settings while they gather, to become a tree of our schema.

use crate::config::context::Context;
use crate::config::setting::Setting;
use crate::config::yaml::{Entry, Node, Position, Scalar, Value};

/// Our settings so far, each at the place of the one that it comes from.
pub(super) struct Draft<'a> {
    context: &'a Context,
    settings: Vec<(&'static str, Node)>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(context: &'a Context) -> Self {
        Self {
            context,
            settings: Vec::new(),
        }
    }

    /// Sets `path` (`server.log.level`) to a text.
    pub(super) fn text(&mut self, path: &'static str, text: impl Into<String>, at: Position) {
        self.set(path, Value::Scalar(Scalar::new(text.into(), false)), at);
    }

    /// Sets `path` to a word that is more than a text: a boolean or a number.
    pub(super) fn word(&mut self, path: &'static str, word: &impl ToString, at: Position) {
        self.set(path, Value::Scalar(Scalar::new(word.to_string(), true)), at);
    }

    /// Sets `path` to what `setting` is, whole.
    pub(super) fn whole(&mut self, path: &'static str, setting: &Setting<'_>) {
        let node = setting.node();
        self.set(path, node.value.clone(), setting.position());
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.settings.iter().any(|(known, _)| *known == path)
    }

    pub(super) fn context(&self) -> &'a Context {
        self.context
    }

    /// The sections, each where its first setting came.
    pub(super) fn finish(self) -> Vec<Entry> {
        grow(self.settings)
    }

    fn set(&mut self, path: &'static str, value: Value, position: Position) {
        self.settings.push((path, Node { value, position }));
    }
}

fn grow(settings: Vec<(&str, Node)>) -> Vec<Entry> {
    let mut groups: Vec<(&str, Vec<(&str, Node)>)> = Vec::new();
    for (path, node) in settings {
        let (key, rest) = path.split_once('.').unwrap_or((path, ""));
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push((rest, node)),
            None => groups.push((key, vec![(rest, node)])),
        }
    }
    let entry = |(key, mut group): (&str, Vec<(&str, Node)>)| {
        let position = group
            .first()
            .map_or_else(Position::default, |(_, node)| node.position);
        let leaf = group
            .iter()
            .rposition(|(rest, _)| rest.is_empty())
            .map(|index| group.remove(index).1);
        let value = leaf.unwrap_or_else(|| Node {
            value: Value::Mapping(grow(group)),
            position,
        });
        Entry {
            key: key.to_owned(),
            position,
            value,
        }
    };
    groups.into_iter().map(entry).collect()
}
