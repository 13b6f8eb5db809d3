//! Tags (`!!str`), which choose how a scalar is read.

use saphyr_parser::{ScalarStyle, Span, Tag};

use super::error::{YamlError, position, problem};
use super::{Node, Scalar, Value};

/// A scalar's node. A tag of the core schema chooses how it is read; other tags have no meaning
/// here.
pub(super) fn scalar(
    text: &str,
    style: ScalarStyle,
    tag: Option<&Tag>,
    span: &Span,
) -> Result<Node, YamlError> {
    let plain = match tag {
        None => style == ScalarStyle::Plain,
        Some(tag) if tag.is_yaml_core_schema() => match tag.suffix.as_str() {
            "str" => false,
            "int" | "float" | "bool" | "null" => true,
            _ => return Err(unknown_tag(tag, span)),
        },
        // A lone `!`: not what it looks like, but a text.
        Some(tag) if tag.handle.is_empty() && tag.suffix == "!" => false,
        Some(tag) => return Err(unknown_tag(tag, span)),
    };
    let null = plain && matches!(text, "" | "~" | "null" | "Null" | "NULL");
    let value = if null {
        Value::Null
    } else {
        Value::Scalar(Scalar::new(text.to_owned(), plain))
    };
    Ok(Node {
        value,
        position: position(&span.start),
    })
}

pub(super) fn check_tag(tag: Option<&Tag>, expected: &str, span: &Span) -> Result<(), YamlError> {
    match tag {
        Some(tag) if !(tag.is_yaml_core_schema() && tag.suffix == expected) => {
            Err(unknown_tag(tag, span))
        }
        _ => Ok(()),
    }
}

fn unknown_tag(tag: &Tag, span: &Span) -> YamlError {
    problem(
        &span.start,
        &format!("the tag `{tag}` has no meaning here; leave it out"),
    )
}
