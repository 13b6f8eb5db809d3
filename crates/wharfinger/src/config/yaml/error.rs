//! What is wrong with a file's YAML.

use saphyr_parser::Marker;

use super::Position;

/// What is wrong with the file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct YamlError {
    pub(in crate::config) position: Position,
    /// Whether it is only that a key is there twice; the tree has both.
    pub(in crate::config) is_duplicate: bool,
    pub(in crate::config) message: String,
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
        is_duplicate: false,
        message,
    }
}

pub(super) fn problem(marker: &Marker, message: &str) -> YamlError {
    error_at(position(marker), message.to_owned())
}
