//! What `${…}` in a pattern stands for.
//!
//! All variables of a pattern are replaced in one pass from left to right, as by Go's
//! [`strings.Replacer`]: what was put in is not looked at again, and what is not known stays as it
//! is written.
//!
//! [`strings.Replacer`]: https://pkg.go.dev/strings#Replacer

use std::cell::OnceCell;

use crate::captures::Capture;
use crate::{AclQuery, Attribute};

/// What the variables of one rule stand for in one query.
pub(crate) struct Bindings<'a> {
    pub(crate) query: &'a AclQuery<'a>,
    pub(crate) quote_labels: bool,
    captures: &'a [Capture],
    /// Found when they are first needed: most rules are passed over before.
    captured: OnceCell<Vec<(&'a str, &'a str)>>,
}

/// A label and the value that is tried for it.
pub(crate) type LabelValue<'a> = (&'a str, &'a str);

impl<'a> Bindings<'a> {
    pub(crate) fn new(
        query: &'a AclQuery<'a>,
        captures: &'a [Capture],
        quote_labels: bool,
    ) -> Self {
        Self {
            query,
            quote_labels,
            captures,
            captured: OnceCell::new(),
        }
    }

    /// `pattern` with its variables replaced; of labels, those of `labels`.
    pub(crate) fn expand(&self, pattern: &str, labels: &[LabelValue<'_>]) -> String {
        let mut expanded = String::with_capacity(pattern.len() + 32);
        let mut rest = pattern;
        while let Some(start) = rest.find("${") {
            let (before, variable) = rest.split_at(start);
            expanded.push_str(before);
            rest = self
                .replace(variable, labels, &mut expanded)
                .unwrap_or_else(|| {
                    expanded.push('$');
                    &variable[1..]
                });
        }
        expanded.push_str(rest);
        expanded
    }

    /// Writes what the variable at the beginning of `text` stands for; what follows it, if it
    /// stands for anything.
    fn replace<'t>(
        &self,
        text: &'t str,
        labels: &[LabelValue<'_>],
        expanded: &mut String,
    ) -> Option<&'t str> {
        for attribute in Attribute::ALL {
            if let Some(after) = text[2..]
                .strip_prefix(attribute.key())
                .and_then(|rest| rest.strip_prefix('}'))
            {
                quote(attribute.of(self.query), expanded);
                return Some(after);
            }
        }
        for (token, value) in self.captured() {
            if let Some(after) = text.strip_prefix(token) {
                expanded.push_str(value);
                return Some(after);
            }
        }
        let (value, after) = labels
            .iter()
            .find_map(|(name, value)| Some((value, after_label(text, name)?)))?;
        match self.quote_labels {
            true => quote_label(value, expanded),
            false => expanded.push_str(value),
        }
        Some(after)
    }

    fn captured(&self) -> &[(&'a str, &'a str)] {
        self.captured.get_or_init(|| {
            self.captures
                .iter()
                .filter_map(|capture| capture.of(self.query))
                .collect()
        })
    }
}

/// How a label's value is named.
pub(crate) const LABEL: &str = "${labels:";

/// What follows `${labels:NAME}`, where `text` begins with that.
fn after_label<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.strip_prefix(LABEL)?
        .strip_prefix(name)?
        .strip_prefix('}')
}

/// Whether `pattern` has `${labels:NAME}` in it.
pub(crate) fn names_label(pattern: &str, name: &str) -> bool {
    pattern
        .match_indices(LABEL)
        .any(|(index, _)| after_label(&pattern[index..], name).is_some())
}

/// Writes `text` so that a regular expression takes it literally, as Go's [`regexp.QuoteMeta`]
/// does. A glob takes it literally too, for `\` does there what it does here.
///
/// [`regexp.QuoteMeta`]: https://pkg.go.dev/regexp#QuoteMeta
fn quote(text: &str, quoted: &mut String) {
    for character in text.chars() {
        if r"\.+*?()|[]{}^$".contains(character) {
            quoted.push('\\');
        }
        quoted.push(character);
    }
}

/// The same for a label's value, which must not become the `/` that makes a regular expression of a
/// glob either.
fn quote_label(text: &str, quoted: &mut String) {
    for (index, part) in text.split('/').enumerate() {
        if index > 0 {
            quoted.push_str("\\/");
        }
        quote(part, quoted);
    }
}
