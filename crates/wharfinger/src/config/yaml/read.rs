//! From a file's text to its tree.

use super::Node;
use super::Position;
use super::builder::Builder;
use super::error::{YamlError, error_at};

/// Reads the first document of `text`. Without a tree there is at least one problem; with one there
/// may be, too.
pub(in crate::config) fn read(text: &str) -> (Option<Node>, Vec<YamlError>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(problem) = forbidden_character(text) {
        return (None, vec![problem]);
    }
    let mut builder = Builder::new(text);
    let root = match builder.run() {
        Ok(root) => Some(root),
        Err(problem) => {
            builder.problems.push(problem);
            None
        }
    };
    (root, builder.problems)
}

/// YAML has no control characters; the parser takes NUL for the end of the file.
fn forbidden_character(text: &str) -> Option<YamlError> {
    let allowed = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{85}');
    let (index, found) = text
        .char_indices()
        .find(|(_, c)| c.is_control() && !allowed(*c))?;
    let before = &text[..index];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    let message = format!(
        "the control character U+{:04X} is not allowed in YAML",
        u32::from(found)
    );
    Some(error_at(Position { line, column }, message))
}
