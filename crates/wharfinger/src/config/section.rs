//! A mapping of settings, read key by key.
//!
//! The keys that a reader asks for are the keys that are known. When the reader is done, each other
//! key is reported as unknown, with the nearest known one.

use std::path::PathBuf;

use super::context::Context;
use super::diagnostics::{Problem, nearest};
use super::effective::Effective;
use super::schema::key::{Defaulted, Key, ValueReader};
use super::schema::{Declaration, Kind};
use super::setting::Setting;
use super::yaml::{Entry, Position, Value};

/// How many known keys an error may list.
const MAX_LISTED: usize = 16;

/// How many unknown keys of a section are reported one by one: with more, it is another kind of
/// file.
const MAX_UNKNOWN: usize = 20;

/// A mapping whose keys are known one by one.
pub(super) struct Section<'a> {
    pub(super) context: &'a Context,
    /// The path of the section, with the names that the file uses.
    pub(super) name: String,
    pub(super) position: Position,
    entries: Vec<&'a Entry>,
    known: Vec<Declaration>,
    effective: Vec<(String, Effective)>,
}

/// A value that cannot be used; why has been reported.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported;

/// A value and the setting that it comes from.
pub(super) struct Located<'a, T> {
    pub(super) value: T,
    pub(super) setting: Setting<'a>,
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
            effective: Vec::new(),
        }
    }

    /// The value of a key, or its default. A value that cannot be used is reported.
    pub(super) fn get<T>(&mut self, key: Defaulted<T>) -> T {
        let Defaulted { mut key, default } = key;
        let shown = (key.show)(&default);
        if self.context.is_describing() && key.declaration.default.is_none() {
            key.declaration.default = Some(shown.in_manual());
        }
        let name = key.declaration.name;
        match self.find(key) {
            Some(value) => value,
            None => {
                self.show(name, shown);
                default
            }
        }
    }

    /// The value of a key, if it is there and can be used. A required key that is not there is
    /// reported.
    pub(super) fn find<T>(&mut self, key: Key<T>) -> Option<T> {
        self.locate(key).map(|located| located.value)
    }

    /// As [`Self::find`], with the place of the value.
    pub(super) fn locate<T>(&mut self, key: Key<T>) -> Option<Located<'a, T>> {
        let Key {
            declaration,
            reader,
            show,
        } = key;
        let located = self.read(&declaration, &reader);
        if let Some(Located { value, .. }) = &located {
            let shown = if declaration.secret {
                Effective::hidden()
            } else {
                show(value)
            };
            self.show(declaration.name, shown);
        }
        self.known.push(declaration);
        located
    }

    /// The setting of a key that is read by hand, unless it is absent or nothing.
    pub(super) fn setting(&mut self, key: Key<()>) -> Option<Setting<'a>> {
        let setting = self.present(key.declaration.name);
        let setting = setting.filter(|setting| !setting.is_null());
        self.require(&key.declaration, setting.is_some());
        self.known.push(key.declaration);
        setting
    }

    /// As [`Self::setting`] for a key whose value has mappings in it, in a list or under names;
    /// `read` reads one of them.
    pub(super) fn structured<T>(
        &mut self,
        mut key: Key<()>,
        read: impl FnOnce(&mut Section<'a>) -> T,
    ) -> Option<Setting<'a>> {
        if self.context.is_describing() {
            let mut section = Section::new(self.context, "", self.position, Vec::new());
            read(&mut section);
            key.declaration.kind = key.declaration.kind.filled(section.known);
        }
        self.setting(key)
    }

    /// A section within this one, if it is there.
    pub(super) fn optional<T>(
        &mut self,
        key: Key<()>,
        read: impl FnOnce(&mut Section<'a>) -> Option<T>,
    ) -> Option<T> {
        let name = key.declaration.name;
        if self.context.is_describing() {
            return self.describe(key, read);
        }
        let (value, effective) = self.setting(key)?.section(read)?;
        self.show(name, effective);
        value
    }

    /// A section within this one, which counts with its defaults when it is absent.
    pub(super) fn always<T>(
        &mut self,
        key: Key<()>,
        read: impl FnOnce(&mut Section<'a>) -> T,
    ) -> T {
        let name = key.declaration.name;
        if self.context.is_describing() {
            return self.describe(key, read);
        }
        let setting = self.setting(key);
        let entries = setting.as_ref().and_then(Setting::entries_of_section);
        let position = setting.as_ref().map_or(self.position, Setting::position);
        let path = setting.map_or_else(|| self.name_of(name), |setting| setting.name);
        let entries = entries.unwrap_or_default();
        let mut section = Section::new(self.context, &path, position, entries);
        let value = read(&mut section);
        let effective = section.finish();
        self.show(name, effective);
        value
    }

    /// Asks a section that is not there for its keys.
    fn describe<T>(&mut self, mut key: Key<()>, read: impl FnOnce(&mut Section<'a>) -> T) -> T {
        let mut section = Section::new(self.context, "", self.position, Vec::new());
        let value = read(&mut section);
        key.declaration.kind = key.declaration.kind.filled(section.known);
        self.known.push(key.declaration);
        value
    }

    /// Notes what is in effect for a key that is read by hand.
    pub(super) fn show(&mut self, name: &str, value: Effective) {
        self.effective.retain(|(known, _)| known != name);
        self.effective.push((name.to_owned(), value));
    }

    /// Takes back what was noted for `names`, when another key says the same.
    pub(super) fn hide(&mut self, names: &[&str]) {
        self.effective
            .retain(|(known, _)| !names.contains(&known.as_str()));
    }

    /// Whether a key is there and something, as itself or as `NAME_file`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| {
            let is_it = entry.key == name || entry.key.strip_suffix("_file") == Some(name);
            is_it && entry.value.value != Value::Null
        })
    }

    /// The setting of `name`, even when it is nothing. It does not become a known key.
    pub(super) fn present(&self, name: &str) -> Option<Setting<'a>> {
        let mut entries: Vec<_> = self
            .entries
            .iter()
            .filter(|entry| entry.key == name)
            .collect();
        let last = entries.pop()?;
        // Merged settings complete each other, back to the last text or list between them.
        let mappings = entries
            .iter()
            .rev()
            .map(|entry| &entry.value)
            .take_while(|node| node.is_mapping());
        let mut under: Vec<_> = mappings.collect();
        under.reverse();
        Some(Setting::of(self.context, self.name_of(name), last, under))
    }

    /// Makes `names` known keys, of which nothing else is said.
    pub(super) fn know(&mut self, names: impl IntoIterator<Item = &'static str>) {
        let names = names.into_iter();
        self.known
            .extend(names.map(|name| Declaration::named(name, Kind::Anything)));
    }

    /// Reports an error about the section as a whole.
    pub(super) fn error(&self, problem: Problem, message: impl Into<String>) {
        self.context
            .error(self.position, &self.name, problem, message);
    }

    /// Reports an error about a key that is not there.
    pub(super) fn error_about(&self, name: &str, problem: Problem, message: impl Into<String>) {
        self.context
            .error(self.position, &self.name_of(name), problem, message);
    }

    pub(super) fn warn_about(&self, name: &str, problem: Problem, message: impl Into<String>) {
        self.context
            .warn(self.position, &self.name_of(name), problem, message);
    }

    /// Reports each key that the reader did not ask for; gives what is in effect, in the order of the
    /// keys.
    pub(super) fn finish(self) -> Effective {
        for (entry, message) in self.unknown() {
            let key = self.name_of(&entry.key);
            self.context
                .error(entry.position, &key, Problem::UnknownKey, message);
        }
        let place = |name: &str| self.known.iter().position(|known| known.name == name);
        let mut effective = self.effective;
        effective.sort_by_key(|(name, _)| place(name));
        Effective::Mapping(effective)
    }

    /// The same for a file of another program, which ignores what it does not know.
    pub(super) fn finish_leniently(self) {
        for (entry, message) in self.unknown() {
            let key = self.name_of(&entry.key);
            self.context
                .warn(entry.position, &key, Problem::UnknownKey, message);
        }
    }

    pub(super) fn into_declarations(self) -> Vec<Declaration> {
        self.known
    }

    fn read<T>(
        &self,
        declaration: &Declaration,
        reader: &ValueReader<T>,
    ) -> Option<Located<'a, T>> {
        let name = declaration.name;
        let something = |setting: &Setting<'a>| !setting.is_null();
        let here = self.present(name).filter(something);
        let parse = match reader {
            ValueReader::Text(parse) => parse,
            ValueReader::Value(read) => {
                self.require(declaration, here.is_some());
                let setting = here?;
                let value = read(&setting, &declaration.kind)?;
                return Some(Located { value, setting });
            }
        };
        let file = self.present(&format!("{name}_file")).filter(something);
        self.require(declaration, here.is_some() || file.is_some());
        match (here, file) {
            (Some(setting), None) => {
                let value = setting.parse(parse)?;
                Some(Located { value, setting })
            }
            (None, Some(setting)) => {
                let value = setting.checked(parse(&setting.content()?))?;
                Some(Located { value, setting })
            }
            (Some(here), Some(file)) => {
                let message = format!("set either {} or {}, not both", here.name, file.name);
                file.report(Problem::Conflict, message);
                None
            }
            (None, None) => None,
        }
    }

    fn require(&self, declaration: &Declaration, is_there: bool) {
        if let Some(hint) = declaration.required
            && !is_there
        {
            self.error_about(declaration.name, Problem::Missing, hint);
        }
    }

    /// The unknown keys, and what to say of each.
    fn unknown(&self) -> Vec<(&'a Entry, String)> {
        let place = if self.name.is_empty() {
            String::new()
        } else {
            format!(" in `{}`", self.name)
        };
        let mut unknown = self.entries.iter().filter(|entry| !self.knows(&entry.key));
        let mut found: Vec<_> = unknown
            .by_ref()
            .take(MAX_UNKNOWN)
            .map(|entry| {
                let message = format!(
                    "unknown key `{}`{place}{}",
                    entry.key,
                    self.hint(&entry.key)
                );
                (*entry, message)
            })
            .collect();
        if let Some(entry) = unknown.next() {
            let more = 1 + unknown.count();
            let message = match more {
                1 => format!("1 more unknown key{place} is here"),
                more => format!("{more} more unknown keys{place} begin here"),
            };
            found.push((*entry, message));
        }
        found
    }

    fn knows(&self, key: &str) -> bool {
        // As in compose files, a place for anchors that other sections use.
        let is_scratch = self.name.is_empty() && key.starts_with("x-");
        is_scratch
            || self.known.iter().any(|known| {
                known.name == key
                    || (known.from_file && key.strip_suffix("_file") == Some(known.name))
            })
    }

    /// What may have been meant by `key`.
    fn hint(&self, key: &str) -> String {
        let names: Vec<_> = self.known.iter().map(|known| known.name).collect();
        let files: Vec<_> = self
            .known
            .iter()
            .filter(|known| known.from_file)
            .map(|known| format!("{}_file", known.name))
            .collect();
        let all = names
            .iter()
            .copied()
            .chain(files.iter().map(String::as_str));
        let others = self
            .known
            .iter()
            .flat_map(|known| known.also.iter().copied());
        let meant = |word| {
            let known = self.known.iter().find(|known| known.also.contains(&word));
            known.map(|known| known.name)
        };
        match nearest(key, all).or_else(|| nearest(key, others).and_then(meant)) {
            Some(known) => format!("; did you mean `{known}`?"),
            None if names.len() <= MAX_LISTED => format!("; known keys: {}", names.join(", ")),
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

impl<'a> Setting<'a> {
    /// A mapping of settings: `read` asks for those it knows, and each other key is reported as
    /// unknown. With what is in effect.
    pub(super) fn section<T>(
        &self,
        read: impl FnOnce(&mut Section<'a>) -> T,
    ) -> Option<(T, Effective)> {
        let entries = self.entries_of_section()?;
        let mut section = Section::new(self.context, &self.name, self.position(), entries);
        let value = read(&mut section);
        Some((value, section.finish()))
    }
}

impl Located<'_, PathBuf> {
    /// What the file holds.
    pub(super) fn read(&self) -> Option<Vec<u8>> {
        let setting = &self.setting;
        setting
            .context
            .read(&self.value, &setting.name, setting.position())
    }
}
