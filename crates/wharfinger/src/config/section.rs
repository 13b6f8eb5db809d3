//! A mapping of settings, read key by key.
//!
//! The keys that a reader asks for are the keys that are known; what is left when it has finished
//! is told as unknown, with the nearest known one. So no list of keys stands anywhere twice.
//!
//! ```ignore
//! let token = root.section("token", |token| {
//!     let issuer = token.text("issuer");
//!     let expiration = token.duration("expiration");
//!     Some(Token { issuer: issuer?, expiration: expiration? })
//! });
//! ```

use std::borrow::Cow;
use std::fmt::Display;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::context::Context;
use super::setting::Setting;
use super::yaml::{Entry, Position, Value};
use common::nearest;

/// How many known keys an error may list.
const MAX_LISTED: usize = 16;

/// How many unknown keys of a section are told one by one: with more, it is another kind of file.
const MAX_UNKNOWN: usize = 20;

/// A mapping whose keys are known one by one.
pub(super) struct Section<'a> {
    pub(super) context: &'a Context,
    name: String,
    pub(super) position: Position,
    entries: Vec<&'a Entry>,
    known: Vec<Cow<'static, str>>,
}

impl<'a> Section<'a> {
    pub(super) fn new(
        context: &'a Context,
        name: &str,
        position: Position,
        entries: Vec<&'a Entry>,
    ) -> Self {
        Self {
            context,
            name: name.to_owned(),
            position,
            entries,
            known: Vec::new(),
        }
    }

    /// The value of `key`, unless it is missing or nothing.
    pub(super) fn setting(&mut self, key: &'static str) -> Option<Setting<'a>> {
        self.present(key).filter(|setting| !setting.is_null())
    }

    /// The value of `key`, even when it is nothing.
    pub(super) fn present(&mut self, key: impl Into<Cow<'static, str>>) -> Option<Setting<'a>> {
        let key = key.into();
        let mut entries: Vec<_> = self
            .entries
            .iter()
            .filter(|entry| entry.key == key)
            .collect();
        let name = self.name_of(&key);
        self.known.push(key);
        let last = entries.pop()?;
        // Merged settings complete each other, back to the last text or list that stands in the
        // way.
        let mappings = entries
            .iter()
            .rev()
            .map(|entry| &entry.value)
            .take_while(|node| node.is_mapping());
        let mut under: Vec<_> = mappings.collect();
        under.reverse();
        Some(Setting::of(self.context, name, last, under))
    }

    /// Whether `key` is there and something.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.key == key && entry.value.value != Value::Null)
    }

    /// Tells that `key` must be there, unless it is, as itself or as `KEY_file`.
    pub(super) fn require(&self, key: &str, hint: &str) {
        if !self.has(key) && !self.has(&format!("{key}_file")) {
            self.context.error(
                self.position,
                format!("{} is missing: {hint}", self.name_of(key)),
            );
        }
    }

    /// A text, from here or from the file that `KEY_file` names (whose last line end is not a part
    /// of it).
    pub(super) fn text(&mut self, key: &'static str) -> Option<String> {
        self.parse(key, |text| {
            Ok::<_, std::convert::Infallible>(text.to_owned())
        })
    }

    /// What `parse` makes of a text, from here or from the file that `KEY_file` names.
    pub(super) fn parse<T, E: Display>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let here = self.setting(key);
        let file = self
            .present(format!("{key}_file"))
            .filter(|setting| !setting.is_null());
        match (here, file) {
            (Some(setting), None) => setting.parse(parse),
            (None, Some(file)) => file.checked(parse(&file.content()?)),
            (Some(_), Some(file)) => {
                file.error(format_args!(
                    "{} is there, too; only one of them can count",
                    self.name_of(key)
                ));
                None
            }
            (None, None) => None,
        }
    }

    /// A file's path, relative to the working directory; an empty one is none.
    pub(super) fn path(&mut self, key: &'static str) -> Option<PathSetting<'a>> {
        let setting = self.setting(key)?;
        let path = setting.text()?;
        (!path.is_empty()).then(|| PathSetting {
            path: path.into(),
            setting,
        })
    }

    pub(super) fn flag(&mut self, key: &'static str) -> Option<bool> {
        self.setting(key)?.flag()
    }

    pub(super) fn duration(&mut self, key: &'static str) -> Option<Duration> {
        self.setting(key)?.duration()
    }

    pub(super) fn duration_within(
        &mut self,
        key: &'static str,
        least: Duration,
        most: Duration,
    ) -> Option<Duration> {
        self.setting(key)?.duration_within(least, most)
    }

    pub(super) fn size_within(
        &mut self,
        key: &'static str,
        least: usize,
        most: usize,
    ) -> Option<usize> {
        self.setting(key)?.size_within(least, most)
    }

    pub(super) fn number<N: TryFrom<i64> + PartialOrd + Copy + Display>(
        &mut self,
        key: &'static str,
        least: N,
        most: N,
    ) -> Option<N> {
        self.setting(key)?.number(least, most)
    }

    /// A number from 1 to `most`.
    pub(super) fn count(&mut self, key: &'static str, most: NonZeroUsize) -> Option<NonZeroUsize> {
        NonZeroUsize::new(self.number(key, 1, most.get())?)
    }

    /// A section within this one.
    pub(super) fn section<T>(
        &mut self,
        key: &'static str,
        read: impl FnOnce(&mut Section<'a>) -> Option<T>,
    ) -> Option<T> {
        self.setting(key)?.section(read)
    }

    /// Tells of each key that nobody asked for.
    pub(super) fn finish(self) {
        let place = if self.name.is_empty() {
            String::new()
        } else {
            format!(" in `{}`", self.name)
        };
        let mut unknown = self.entries.iter().filter(|entry| !self.knows(&entry.key));
        for entry in unknown.by_ref().take(MAX_UNKNOWN) {
            let message = format!(
                "unknown key `{}`{place}{}",
                entry.key,
                self.hint(&entry.key)
            );
            self.context.error(entry.position, message);
        }
        if let Some(entry) = unknown.next() {
            let message = format!(
                "{} more unknown keys{place} begin here",
                1 + unknown.count()
            );
            self.context.error(entry.position, message);
        }
    }

    fn knows(&self, key: &str) -> bool {
        // As in compose files, a place for anchors that other sections take up.
        let scratch = self.name.is_empty() && key.starts_with("x-");
        scratch || self.known.iter().any(|known| known == key)
    }

    /// What may have been meant by `key`.
    fn hint(&self, key: &str) -> String {
        let known = || self.known.iter().map(AsRef::as_ref);
        // `KEY_file` is an offer, not one of the words that one has to know.
        let listed: Vec<_> = known().filter(|key| !key.ends_with("_file")).collect();
        match nearest(key, known()) {
            Some(known) => format!("; did you mean `{known}`?"),
            None if listed.len() <= MAX_LISTED => format!("; known are {}", listed.join(", ")),
            None => String::new(),
        }
    }

    fn name_of(&self, key: &str) -> String {
        if self.name.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.name)
        }
    }
}

/// A path and where it was named.
pub(super) struct PathSetting<'a> {
    pub(super) path: PathBuf,
    pub(super) setting: Setting<'a>,
}

impl PathSetting<'_> {
    /// What the file holds.
    pub(super) fn read(&self) -> Option<Vec<u8>> {
        self.setting
            .context
            .read(&self.path, &self.setting.name, self.setting.position())
    }
}

impl Setting<'_> {
    /// The text in the file that this setting names.
    fn content(&self) -> Option<String> {
        let path = self.text()?;
        let content = self
            .context
            .read(Path::new(&path), &self.name, self.position())?;
        let text =
            self.checked(String::from_utf8(content).map_err(|_| format!("{path} is not UTF-8")))?;
        let line = text.strip_suffix('\n').unwrap_or(&text);
        Some(line.strip_suffix('\r').unwrap_or(line).to_owned())
    }
}
