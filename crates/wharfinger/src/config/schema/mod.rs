//! The schema: what each key of the configuration is, declared once, where it is read.
//!
//! The reader of a section asks for a key with the key's declaration:
//!
//! ```ignore
//! header: limits.get(
//!     key::size("header", 8 * KIB..=MIB)
//!         .means("the request line and all headers")
//!         .default(32 * KIB),
//! ),
//! ```
//!
//! From that one place come the typed value with its bounds and its default, what `check --print`
//! shows, the nearest known key for a misspelt one, the tables of `docs/configuration.md` and the
//! JSON Schema. The last two need the declarations without a file, so [`of_configuration`] runs the
//! same readers over nothing and keeps what they ask for. A reader therefore asks for all of its
//! keys before it returns early; a test compares both.
//!
//! - [`key`]: declaring a key; [`declaration`]: what is known of it; [`json`]: the JSON Schema.

mod declaration;
pub(in crate::config) mod json;
pub(in crate::config) mod key;

use std::path::Path;
use std::time::UNIX_EPOCH;

#[cfg(test)]
pub(in crate::config) use self::declaration::Dialect;
pub(in crate::config) use self::declaration::{Declaration, Kind, Reload};

use super::context::Context;
use super::section::Section;
use super::sections::read_sections;
use super::yaml::Position;

/// The declarations of all keys, section by section.
pub(in crate::config) fn of_configuration() -> Vec<Declaration> {
    let context = Context::new(Path::new(""), |_| None, UNIX_EPOCH).describing();
    let mut root = Section::new(&context, "", Position::default(), Vec::new());
    read_sections(&mut root);
    root.into_declarations()
}

/// Each key under its path (`server.limits.header`), sections before what is in them. Items of
/// lists and the values of names have the path of what holds them.
pub(in crate::config) fn walk<'d>(
    declarations: &'d [Declaration],
    visit: &mut dyn FnMut(&str, &'d Declaration),
) {
    walk_below("", declarations, visit);
}

fn walk_below<'d>(
    above: &str,
    declarations: &'d [Declaration],
    visit: &mut dyn FnMut(&str, &'d Declaration),
) {
    for declaration in declarations {
        let path = if above.is_empty() {
            declaration.name.to_owned()
        } else {
            format!("{above}.{}", declaration.name)
        };
        visit(&path, declaration);
        for below in declaration.kind.mappings() {
            walk_below(&path, below, visit);
        }
    }
}
