//! One value of the configuration, read as whatever its section wants it to be.

use std::fmt::Display;
use std::time::Duration;

use super::context::Context;
use super::section::Section;
use super::yaml::{Entry, Node, Plain, Position, Scalar, Value};
use crate::duration::{parse_duration, parse_size, print_duration, print_size};

/// A value with its name (`server.limits.header`) and its place. What cannot be read is told and
/// then absent.
#[derive(Clone)]
pub(super) struct Setting<'a> {
    pub(super) context: &'a Context,
    pub(super) name: String,
    /// Where its key stands, if it has one.
    key: Option<Position>,
    node: &'a Node,
    /// What a merge put the node over, oldest first.
    under: Vec<&'a Node>,
}

impl<'a> Setting<'a> {
    pub(super) fn new(context: &'a Context, name: String, node: &'a Node) -> Self {
        Self {
            context,
            name,
            key: None,
            node,
            under: Vec::new(),
        }
    }

    /// The value of an entry, over what stood there before it was merged.
    pub(super) fn of(
        context: &'a Context,
        name: String,
        entry: &'a Entry,
        under: Vec<&'a Node>,
    ) -> Self {
        Self {
            context,
            name,
            key: Some(entry.position),
            node: &entry.value,
            under,
        }
    }

    /// Where to look: at a scalar itself, at the key of anything larger, which may begin far below
    /// it.
    pub(super) fn position(&self) -> Position {
        match self.node.value {
            Value::Null | Value::Scalar(_) => self.node.position,
            Value::Sequence(_) | Value::Mapping(_) => self.key.unwrap_or(self.node.position),
        }
    }

    pub(super) fn node(&self) -> &'a Node {
        self.node
    }

    pub(super) fn is_null(&self) -> bool {
        self.node.value == Value::Null
    }

    pub(super) fn is_sequence(&self) -> bool {
        matches!(self.node.value, Value::Sequence(_))
    }

    pub(super) fn is_mapping(&self) -> bool {
        self.node.is_mapping()
    }

    /// Tells that something is wrong with this value.
    pub(super) fn error(&self, message: impl Display) {
        self.context
            .error(self.position(), format!("{}: {message}", self.name));
    }

    /// Tells what is worth knowing about this value.
    pub(super) fn warn(&self, message: impl Display) {
        self.context
            .warn(self.position(), format!("{}: {message}", self.name));
    }

    /// A text: any scalar as it was written, and nothing as the empty one.
    pub(super) fn text(&self) -> Option<String> {
        match &self.node.value {
            Value::Null => Some(String::new()),
            Value::Scalar(scalar) => self.expand(scalar),
            Value::Sequence(_) | Value::Mapping(_) => self.mismatch("a text"),
        }
    }

    /// What `parse` makes of the text.
    pub(super) fn parse<T, E: Display>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.checked(parse(&self.text()?))
    }

    /// The good half of `result`; the other is told.
    pub(super) fn checked<T, E: Display>(&self, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.error(error)).ok()
    }

    pub(super) fn flag(&self) -> Option<bool> {
        match self.plain()? {
            Plain::Bool(flag) => Some(flag),
            Plain::Integer(_) | Plain::Float(_) | Plain::Text => self.mismatch("true or false"),
        }
    }

    /// A whole number; what stands behind a decimal point is cut off, as yaml.v2 does.
    pub(super) fn integer(&self) -> Option<i64> {
        match self.plain()? {
            Plain::Integer(integer) => Some(integer),
            Plain::Float(float) if float.abs() < 9e18 => {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "that is what is wanted, and the range was checked"
                )]
                let whole = float as i64;
                Some(whole)
            }
            Plain::Float(_) | Plain::Bool(_) | Plain::Text => self.mismatch("a whole number"),
        }
    }

    /// A whole number in a range.
    pub(super) fn number<N: TryFrom<i64> + PartialOrd + Copy + Display>(
        &self,
        least: N,
        most: N,
    ) -> Option<N> {
        let number = N::try_from(self.integer()?)
            .ok()
            .filter(|number| (&least..=&most).contains(&number));
        if number.is_none() {
            self.error(format_args!("the number must be from {least} to {most}"));
        }
        number
    }

    /// A length of time: a number of seconds, or `5m`.
    pub(super) fn duration(&self) -> Option<Duration> {
        if self
            .plain()
            .is_some_and(|plain| matches!(plain, Plain::Integer(_) | Plain::Float(_)))
        {
            let seconds = self.integer()?;
            return self.checked(
                u64::try_from(seconds)
                    .map(Duration::from_secs)
                    .map_err(|_| "it cannot be negative"),
            );
        }
        if self.is_quoted_number() {
            return self.refuse_quotes();
        }
        self.parse(parse_duration)
    }

    /// A length of time in a range.
    pub(super) fn duration_within(&self, least: Duration, most: Duration) -> Option<Duration> {
        let duration = self.duration()?;
        let range = || {
            format!(
                "it must be from {} to {}",
                print_duration(least),
                print_duration(most)
            )
        };
        self.checked(if (least..=most).contains(&duration) {
            Ok(duration)
        } else {
            Err(range())
        })
    }

    /// A size in a range, in bytes.
    pub(super) fn size_within(&self, least: usize, most: usize) -> Option<usize> {
        let size = self.size()?;
        let range = || {
            format!(
                "it must be from {} to {}",
                print_size(least as u64),
                print_size(most as u64)
            )
        };
        self.checked(if (least..=most).contains(&size) {
            Ok(size)
        } else {
            Err(range())
        })
    }

    /// A size in bytes: a number, or `64KiB`.
    pub(super) fn size(&self) -> Option<usize> {
        if self
            .plain()
            .is_some_and(|plain| matches!(plain, Plain::Integer(_) | Plain::Float(_)))
        {
            let bytes = self.integer()?;
            return self.checked(usize::try_from(bytes).map_err(|_| "it cannot be negative"));
        }
        if self.is_quoted_number() {
            return self.refuse_quotes();
        }
        let bytes = self.parse(parse_size)?;
        self.checked(
            usize::try_from(bytes).map_err(|_| "it is larger than this machine can address"),
        )
    }

    /// A list's values.
    pub(super) fn items(&self) -> Option<Vec<Setting<'a>>> {
        let Value::Sequence(items) = &self.node.value else {
            return self.mismatch("a list");
        };
        Some(
            items
                .iter()
                .map(|item| Setting::new(self.context, self.name.clone(), item))
                .collect(),
        )
    }

    /// A list of texts.
    pub(super) fn texts(&self) -> Option<Vec<String>> {
        // All of them are read before one can be missing, so all that is wrong is told.
        let texts: Vec<_> = self.items()?.iter().map(Setting::text).collect();
        texts.into_iter().collect()
    }

    /// A mapping from names to values. Of what a merge repeats, the last counts, whole.
    pub(super) fn entries(&self) -> Option<Vec<(&'a Entry, Setting<'a>)>> {
        let mut entries: Vec<(&Entry, Setting<'_>)> = Vec::new();
        let mut places = std::collections::HashMap::new();
        for entry in self.mapping("a mapping")? {
            let value = Setting::of(
                self.context,
                format!("{}.{}", self.name, entry.key),
                entry,
                Vec::new(),
            );
            match places.get(&entry.key) {
                Some(index) => entries[*index] = (entry, value),
                None => {
                    places.insert(&entry.key, entries.len());
                    entries.push((entry, value));
                }
            }
        }
        Some(entries)
    }

    /// A mapping of settings: `read` asks for those it knows, and what it does not ask for is told
    /// as unknown.
    pub(super) fn section<T>(&self, read: impl FnOnce(&mut Section<'a>) -> Option<T>) -> Option<T> {
        let mut section = Section::new(
            self.context,
            &self.name,
            self.position(),
            self.mapping("a mapping")?,
        );
        let value = read(&mut section);
        section.finish();
        value
    }

    /// The entries of this mapping and of what it was merged over.
    fn mapping(&self, wanted: &str) -> Option<Vec<&'a Entry>> {
        let Value::Mapping(entries) = &self.node.value else {
            return self.mismatch(wanted);
        };
        let under = self.under.iter().filter_map(|node| match &node.value {
            Value::Mapping(entries) => Some(entries),
            Value::Null | Value::Scalar(_) | Value::Sequence(_) => None,
        });
        Some(under.flatten().chain(entries).collect())
    }

    /// What a plain scalar is, behind its variables.
    fn plain(&self) -> Option<Plain> {
        match &self.node.value {
            Value::Scalar(scalar) if has_variable(scalar) => Some(Plain::of(&self.expand(scalar)?)),
            Value::Scalar(scalar) => Some(scalar.plain().unwrap_or(Plain::Text)),
            Value::Null | Value::Sequence(_) | Value::Mapping(_) => Some(Plain::Text),
        }
    }

    fn expand(&self, scalar: &Scalar) -> Option<String> {
        self.context
            .expand(scalar.text(), &self.name, self.node.position)
    }

    /// yaml.v2 takes what is quoted for a text and refuses it where a number is wanted.
    fn is_quoted_number(&self) -> bool {
        let Value::Scalar(scalar) = &self.node.value else {
            return false;
        };
        scalar.plain().is_none()
            && matches!(
                Plain::of(scalar.text()),
                Plain::Integer(_) | Plain::Float(_)
            )
    }

    fn refuse_quotes<T>(&self) -> Option<T> {
        self.error("a number in quotes is a text; remove the quotes");
        None
    }

    fn mismatch<T>(&self, wanted: &str) -> Option<T> {
        let quoted = matches!(&self.node.value, Value::Scalar(scalar) if scalar.plain().is_none());
        let hint = if quoted && !wanted.contains("text") {
            "; remove the quotes"
        } else {
            ""
        };
        let hint = if wanted == "a list" && !self.is_mapping() {
            "; write [a, b]"
        } else {
            hint
        };
        self.error(format_args!(
            "this must be {wanted}, and it is {}{hint}",
            self.node.describe()
        ));
        None
    }
}

fn has_variable(scalar: &Scalar) -> bool {
    scalar.text().contains("${env:")
}
