//! One value of the configuration, read as the type that its key has.

use std::collections::HashMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use common::{parse_duration, print_duration};

use super::context::Context;
use super::diagnostics::Problem;
use super::yaml::{Entry, Node, Plain, Position, Scalar, Value};
use crate::size::{parse_size, print_size};

/// A value with its name (`server.limits.header`) and its place. What cannot be read is reported
/// and then absent.
#[derive(Clone)]
pub(super) struct Setting<'a> {
    pub(super) context: &'a Context,
    /// The path of its key, with the names that the file uses.
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
            name: entry.written_as.clone().unwrap_or(name),
            key: Some(entry.position),
            node: &entry.value,
            under,
        }
    }

    /// The place to show: of a scalar its own, of anything larger its key's, since it may begin far
    /// below it.
    pub(super) fn position(&self) -> Position {
        match self.node.value {
            Value::Null | Value::Scalar(_) => self.node.position,
            Value::Sequence(_) | Value::Mapping(_) => self.key.unwrap_or(self.node.position),
        }
    }

    /// The place of its key.
    pub(super) fn key_position(&self) -> Position {
        self.key.unwrap_or(self.node.position)
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

    pub(super) fn is_empty_list(&self) -> bool {
        matches!(&self.node.value, Value::Sequence(items) if items.is_empty())
    }

    pub(super) fn is_mapping(&self) -> bool {
        self.node.is_mapping()
    }

    /// Reports that the value cannot be used.
    pub(super) fn error(&self, message: impl Display) {
        self.report(Problem::Invalid, message);
    }

    /// Reports an error of another kind.
    pub(super) fn report(&self, problem: Problem, message: impl Display) {
        self.context
            .error(self.position(), &self.name, problem, message.to_string());
    }

    pub(super) fn warn(&self, problem: Problem, message: impl Display) {
        self.context
            .warn(self.position(), &self.name, problem, message.to_string());
    }

    /// A text: any scalar as it was written, and nothing as the empty one.
    pub(super) fn text(&self) -> Option<String> {
        match &self.node.value {
            Value::Null => Some(String::new()),
            Value::Scalar(scalar) => self.expand(scalar),
            Value::Sequence(_) | Value::Mapping(_) => self.mismatch("text"),
        }
    }

    /// What `parse` makes of the text.
    pub(super) fn parse<T, E: Display>(
        &self,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.checked(parse(&self.text()?))
    }

    /// The value of `result`; an error is reported.
    pub(super) fn checked<T, E: Display>(&self, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.error(error)).ok()
    }

    /// As [`Self::checked`] for what a file holds.
    pub(super) fn checked_file<T, E: Display>(
        &self,
        file: &Path,
        result: Result<T, E>,
    ) -> Option<T> {
        let report = |error| self.report(Problem::File, format!("{}: {error}", file.display()));
        result.map_err(report).ok()
    }

    /// The text in the file that this setting names, without its last line end.
    pub(super) fn content(&self) -> Option<String> {
        let path = self.text()?;
        let path = Path::new(&path);
        let content = self.context.read(path, &self.name, self.position())?;
        let text = self.checked_file(path, String::from_utf8(content).map_err(|_| "not UTF-8"))?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        Some(line.strip_suffix('\r').unwrap_or(line).to_owned())
    }

    pub(super) fn flag(&self) -> Option<bool> {
        match self.plain()? {
            Plain::Bool(flag) => Some(flag),
            Plain::Integer(_) | Plain::Float(_) | Plain::Text => self.mismatch("true or false"),
        }
    }

    /// As [`Self::flag`]; `None`, and no error, for anything else.
    pub(super) fn known_flag(&self) -> Option<bool> {
        match (&self.node.value, self.plain()?) {
            (Value::Scalar(_), Plain::Bool(flag)) => Some(flag),
            _ => None,
        }
    }

    /// A whole number; digits after a decimal point are cut off, as yaml.v2 does.
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
    pub(super) fn number(&self, bounds: &RangeInclusive<i64>) -> Option<i64> {
        self.within(self.integer()?, bounds, i64::to_string)
    }

    /// A length of time in a range: a number of seconds, or `5m`.
    pub(super) fn duration_within(&self, bounds: &RangeInclusive<Duration>) -> Option<Duration> {
        let duration = self.duration()?;
        if bounds.contains(&duration) {
            return Some(duration);
        }
        let (least, most) = (
            print_duration(*bounds.start()),
            print_duration(*bounds.end()),
        );
        let is_short = !duration.is_zero() && duration < *bounds.start();
        let unit = match is_short && self.is_number()? {
            true => "; a number without a unit is seconds: write s, m, h, d or w behind it",
            false => "",
        };
        self.error(format_args!("must be from {least} to {most}{unit}"));
        None
    }

    /// A length of time: a number of seconds, or `5m`.
    pub(super) fn duration(&self) -> Option<Duration> {
        if self.is_number()? {
            let seconds = self.integer()?;
            return self.checked(
                u64::try_from(seconds)
                    .map(Duration::from_secs)
                    .map_err(|_| "cannot be negative"),
            );
        }
        self.parse(parse_duration)
    }

    /// A size in a range, in bytes: a number, or `64KiB`.
    pub(super) fn size_within(&self, bounds: &RangeInclusive<u64>) -> Option<u64> {
        let size = if self.is_number()? {
            let bytes = self.integer()?;
            self.checked(u64::try_from(bytes).map_err(|_| "cannot be negative"))?
        } else {
            self.parse(parse_size)?
        };
        self.within(size, bounds, |size| print_size(*size))
    }

    /// The value itself, if it is in `bounds`.
    fn within<N: PartialOrd>(
        &self,
        value: N,
        bounds: &RangeInclusive<N>,
        print: impl Fn(&N) -> String,
    ) -> Option<N> {
        if bounds.contains(&value) {
            return Some(value);
        }
        let (least, most) = (print(bounds.start()), print(bounds.end()));
        self.error(format_args!("must be from {least} to {most}"));
        None
    }

    /// A list's values.
    pub(super) fn items(&self) -> Option<Vec<Setting<'a>>> {
        let Value::Sequence(items) = &self.node.value else {
            return self.mismatch("a list");
        };
        let item = |item| Setting::new(self.context, self.name.clone(), item);
        Some(items.iter().map(item).collect())
    }

    /// A list's values, or the value itself.
    pub(super) fn one_or_many(&self) -> Option<Vec<Setting<'a>>> {
        if self.is_sequence() {
            self.items()
        } else {
            Some(vec![self.clone()])
        }
    }

    /// A list of texts.
    pub(super) fn texts(&self) -> Option<Vec<String>> {
        // All are read before one can be missing, so that all errors are reported.
        let texts: Vec<_> = self.items()?.iter().map(Setting::text).collect();
        texts.into_iter().collect()
    }

    /// A mapping from names to values. Of what a merge repeats, the last counts, whole.
    pub(super) fn entries(&self) -> Option<Vec<(&'a Entry, Setting<'a>)>> {
        let mut entries: Vec<(&Entry, Setting<'_>)> = Vec::new();
        let mut places = HashMap::new();
        for entry in self.entries_of_section()? {
            let name = format!("{}.{}", self.name, entry.key);
            let value = Setting::of(self.context, name, entry, Vec::new());
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

    /// The entries of this mapping and of what it was merged over.
    pub(super) fn entries_of_section(&self) -> Option<Vec<&'a Entry>> {
        let Value::Mapping(entries) = &self.node.value else {
            return self.mismatch("a mapping");
        };
        let under = self.under.iter().filter_map(|node| match &node.value {
            Value::Mapping(entries) => Some(entries),
            Value::Null | Value::Scalar(_) | Value::Sequence(_) => None,
        });
        Some(under.flatten().chain(entries).collect())
    }

    /// What a plain scalar is, after its variables were replaced.
    fn plain(&self) -> Option<Plain> {
        match &self.node.value {
            Value::Scalar(scalar) if has_variable(scalar) => Some(Plain::of(&self.expand(scalar)?)),
            Value::Scalar(scalar) => Some(scalar.plain().unwrap_or(Plain::Text)),
            Value::Null | Value::Sequence(_) | Value::Mapping(_) => Some(Plain::Text),
        }
    }

    /// Whether it is a number without a unit. yaml.v2 takes what is quoted for text and refuses it
    /// where a number is wanted.
    fn is_number(&self) -> Option<bool> {
        if matches!(self.plain()?, Plain::Integer(_) | Plain::Float(_)) {
            return Some(true);
        }
        let is_quoted = matches!(&self.node.value, Value::Scalar(scalar)
            if scalar.plain().is_none()
                && matches!(Plain::of(scalar.text()), Plain::Integer(_) | Plain::Float(_)));
        if is_quoted {
            self.report(
                Problem::WrongType,
                "a number in quotes is text; remove the quotes",
            );
            return None;
        }
        Some(false)
    }

    fn expand(&self, scalar: &Scalar) -> Option<String> {
        self.context
            .expand(scalar.text(), &self.name, self.node.position)
    }

    fn mismatch<T>(&self, wanted: &str) -> Option<T> {
        let quoted = matches!(&self.node.value, Value::Scalar(scalar) if scalar.plain().is_none());
        let hint = if wanted == "a list" && !self.is_mapping() {
            "; write [a, b]"
        } else if quoted && wanted != "text" {
            "; remove the quotes"
        } else {
            ""
        };
        let found = self.node.describe();
        self.report(
            Problem::WrongType,
            format_args!("expected {wanted}, found {found}{hint}"),
        );
        None
    }
}

fn has_variable(scalar: &Scalar) -> bool {
    scalar.text().contains("${env:")
}
