//! A mapping's keys, and what `<<` merges into it.

use super::error::{YamlError, error_at};
use super::{Entry, Node, Position, Value};

/// A key's text.
pub(super) fn name(node: Node) -> Result<(String, Position), YamlError> {
    match node.value {
        Value::Null => Ok((String::new(), node.position)),
        Value::Scalar(scalar) => Ok((scalar.text().to_owned(), node.position)),
        Value::Sequence(_) | Value::Mapping(_) => {
            let message = format!("a key must be text, and this is {}", node.describe());
            Err(error_at(node.position, message))
        }
    }
}

/// Adds what `<<` adds. Of a list of mappings the earlier ones count more, so they come last.
pub(super) fn merge_into(
    entries: &mut Vec<Entry>,
    node: Node,
    at: Position,
) -> Result<(), YamlError> {
    match node.value {
        Value::Mapping(merged) => {
            entries.extend(merged);
            Ok(())
        }
        Value::Sequence(items)
            if items
                .iter()
                .all(|item| matches!(item.value, Value::Mapping(_))) =>
        {
            items
                .into_iter()
                .rev()
                .try_for_each(|item| merge_into(entries, item, at))
        }
        _ => {
            let message = "`<<` takes a mapping or a list of mappings".to_owned();
            Err(error_at(at, message))
        }
    }
}
