//! What is wrong with a file's YAML.

use saphyr_parser::Marker;

use super::Position;

/// What is wrong with the file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct YamlError {
    pub(in crate::config) position: Position,
    pub(in crate::config) kind: YamlErrorKind,
    pub(in crate::config) message: String,
}

/// What kind of error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum YamlErrorKind {
    /// It is not YAML, or more than a configuration may have.
    Syntax,
    /// A key is there twice. The tree has both.
    Duplicate,
    /// More follows the first document. The tree does not have it.
    SecondDocument,
}

pub(super) fn position(marker: &Marker) -> Position {
    Position {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

pub(super) fn error_at(position: Position, message: String) -> YamlError {
    YamlError {
        position,
        kind: YamlErrorKind::Syntax,
        message,
    }
}

pub(super) fn problem(marker: &Marker, message: &str) -> YamlError {
    error_at(position(marker), message.to_owned())
}
