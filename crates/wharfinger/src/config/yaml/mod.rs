//! YAML as the configuration needs it: a tree that knows where each value stands in its file.
//!
//! `docker_auth` reads its file with Go's yaml.v2, which is YAML 1.1 with a few habits of its own;
//! a file that was written for it must mean the same here. So plain scalars keep their text until a
//! number or a boolean is asked for ([`Scalar`]), and `<<` merges in the order of the file. What a
//! merge repeats is settled by the reader of the section, which knows whether a mapping is a set of
//! settings (merged) or of names (replaced). Duplicate keys are reported: in yaml.v2 the last one
//! wins, or both are mixed.

mod builder;
mod error;
mod locate;
mod mapping;
mod read;
mod scalar;
mod tag;
#[cfg(test)]
mod tests;

pub(super) use self::error::YamlErrorKind;
pub(crate) use self::locate::{ScalarPlace, locate};
pub(super) use self::read::read;
pub(super) use self::scalar::{Plain, Scalar};

/// A place in the file; both count from 1, columns in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Position {
    /// The place of the `index`th variable of the environment, which has no lines.
    pub(super) fn in_environment(index: usize) -> Self {
        Self {
            line: 0,
            column: index + 1,
        }
    }

    /// Which variable of the environment it is, unless it is in a file.
    pub(super) fn variable(self) -> Option<usize> {
        if self.line == 0 {
            self.column.checked_sub(1)
        } else {
            None
        }
    }
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) position: Position,
}

/// What stands there.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    Scalar(Scalar),
    Sequence(Vec<Node>),
    /// In the order of the file, merged entries at the place of their `<<`; of entries with the
    /// same key the later one counts more.
    Mapping(Vec<Entry>),
}

/// A key with its value; the key `null` is the empty text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) position: Position,
    pub(super) value: Node,
    /// The path of the setting that it was translated from, when the file is in another dialect.
    pub(super) written_as: Option<String>,
}

impl Entry {
    pub(super) fn new(key: String, position: Position, value: Node) -> Self {
        Self {
            key,
            position,
            value,
            written_as: None,
        }
    }
}

impl Node {
    pub(super) fn is_mapping(&self) -> bool {
        matches!(self.value, Value::Mapping(_))
    }

    /// Gives it and all in it one place.
    pub(super) fn move_to(&mut self, position: Position) {
        self.position = position;
        match &mut self.value {
            Value::Null | Value::Scalar(_) => {}
            Value::Sequence(items) => items.iter_mut().for_each(|item| item.move_to(position)),
            Value::Mapping(entries) => {
                for entry in entries {
                    entry.position = position;
                    entry.value.move_to(position);
                }
            }
        }
    }

    /// Its type, as an error names it.
    pub(super) fn describe(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Scalar(scalar) => match scalar.plain() {
                Some(Plain::Bool(_)) => "a boolean",
                Some(Plain::Integer(_) | Plain::Float(_)) => "a number",
                Some(Plain::Text) | None => "text",
            },
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }
}
