//! The translation: Distribution's settings, visited row by row, and ours as they gather.

use crate::config::diagnostics::Problem;
use crate::config::section::Section;
use crate::config::setting::Setting;
use crate::config::yaml::{self, Entry, Node, Position, Scalar, Value};

/// A key, or a section that is treated as a whole.
pub(super) struct Row {
    /// Its path: `http.addr`.
    pub(super) path: &'static str,
    pub(super) effect: Effect,
    /// The key of ours that it becomes.
    pub(super) ours: Option<&'static str>,
    /// The keys below it, for the names of variables: `*` is any name and all below it, `#` the
    /// number of an item in a list.
    below: &'static str,
    /// The value that registry:2's own file has. It needs no warning: the operator did not ask for
    /// anything.
    pub(super) stock: Option<&'static str>,
}

/// What becomes of a key.
pub(super) enum Effect {
    /// The text becomes our key's; an empty one is absent.
    Text,
    /// True or false becomes our key's.
    Switch,
    /// The value becomes our key's, whole.
    Whole,
    /// Code of its own translates it, also when it is nothing.
    By(fn(&Setting<'_>, &mut Translator)),
    /// The section above it reads it.
    Above,
    /// Accepted, with a warning that says why it changes nothing.
    Ineffective(&'static str),
    /// An error that says what to write instead.
    Refused(&'static str),
}

pub(super) const fn row(path: &'static str, effect: Effect) -> Row {
    Row {
        path,
        effect,
        ours: None,
        below: "",
        stock: None,
    }
}

impl Row {
    pub(super) const fn becomes(self, ours: &'static str) -> Self {
        Self {
            ours: Some(ours),
            ..self
        }
    }

    pub(super) const fn with(self, below: &'static str) -> Self {
        Self { below, ..self }
    }

    pub(super) const fn stock(self, yaml: &'static str) -> Self {
        Self {
            stock: Some(yaml),
            ..self
        }
    }

    /// The names of the keys below it.
    pub(super) fn names_below(&self) -> impl Iterator<Item = &'static str> {
        self.below.split_whitespace()
    }
}

/// The variable that sets the key at `path`.
pub(super) fn variable_of(path: &str) -> String {
    format!("REGISTRY_{}", path.to_uppercase().replace('.', "_"))
}

/// Our settings so far, each with the place and the name of the one that it comes from.
pub(super) struct Translator {
    /// Every key of Distribution.
    rows: &'static [Row],
    /// Whether the block `wharfinger` says who gets in.
    pub(super) has_own_auth: bool,
    /// Whether `validation.disabled` switches the checks of manifests off.
    pub(super) is_validation_disabled: bool,
    settings: Vec<Translated>,
    refused: Vec<&'static str>,
}

struct Translated {
    path: &'static str,
    node: Node,
    written_as: String,
}

impl Translator {
    pub(super) fn new(rows: &'static [Row], has_own_auth: bool) -> Self {
        Self {
            rows,
            has_own_auth,
            is_validation_disabled: false,
            settings: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Translates what is in the section `above`, then lets `read` translate what rows cannot say.
    /// Distribution ignores keys that it does not know; here they warn, or are errors if `is_strict`.
    pub(super) fn section<'a>(
        &mut self,
        setting: &Setting<'a>,
        above: &str,
        is_strict: bool,
        read: impl FnOnce(&mut Section<'a>, &mut Self),
    ) {
        let entries = if setting.is_null() {
            Some(Vec::new())
        } else {
            setting.entries_of_section()
        };
        let Some(entries) = entries else { return };
        let mut section = Section::new(setting.context, above, setting.position(), entries);
        let names = self.names_in(above);
        section.know(names.iter().copied());
        for name in names {
            let path = join(above, name);
            match (self.find(&path), section.present(name)) {
                (Some(row), Some(setting)) => self.apply(row, &setting),
                (None, Some(setting)) if !setting.is_null() => {
                    self.section(&setting, &path, false, nothing_else);
                }
                (_, None) | (None, Some(_)) => {}
            }
        }
        read(&mut section, self);
        if is_strict {
            section.finish();
        } else {
            section.finish_leniently();
        }
    }

    /// The row of a path.
    pub(super) fn find(&self, path: &str) -> Option<&'static Row> {
        self.rows.iter().find(|row| row.path == path)
    }

    /// The names of the keys in the section `above`, each once.
    pub(super) fn names_in(&self, above: &str) -> Vec<&'static str> {
        let mut names = Vec::new();
        for row in self.rows {
            let rest = if above.is_empty() {
                Some(row.path)
            } else {
                row.path
                    .strip_prefix(above)
                    .and_then(|rest| rest.strip_prefix('.'))
            };
            let Some(name) = rest.and_then(|rest| rest.split('.').next()) else {
                continue;
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn apply(&mut self, row: &'static Row, setting: &Setting<'_>) {
        if let Effect::By(read) = row.effect {
            return read(setting, self);
        }
        // `inmemory:` chooses a driver though there is nothing behind the colon.
        if setting.is_null() && !matches!(row.effect, Effect::Refused(_)) {
            return;
        }
        match (&row.effect, row.ours) {
            (Effect::Text, Some(ours)) => {
                if let Some(text) = setting.text().filter(|text| !text.is_empty()) {
                    self.text(ours, text, setting);
                }
            }
            (Effect::Switch, Some(ours)) => {
                if let Some(flag) = setting.flag() {
                    self.word(ours, &flag, setting);
                }
            }
            (Effect::Whole, Some(ours)) => self.whole(ours, setting),
            (Effect::Ineffective(why), _) if !is_stock(row, setting) => {
                let message = format!("no effect here: {why}");
                setting.warn(Problem::NoEffect, message);
            }
            (Effect::Refused(instead), _) => setting.report(Problem::Unsupported, instead),
            _ => {}
        }
    }

    /// Sets our key `path` to a text.
    pub(super) fn text(&mut self, path: &'static str, text: impl Into<String>, from: &Setting<'_>) {
        let value = Value::Scalar(Scalar::new(text.into(), false));
        self.set(path, value, from.position(), from.name.clone());
    }

    /// Sets our key `path` to a word that is more than a text: a boolean or a number.
    pub(super) fn word(&mut self, path: &'static str, word: &impl ToString, from: &Setting<'_>) {
        let value = Value::Scalar(Scalar::new(word.to_string(), true));
        self.set(path, value, from.position(), from.name.clone());
    }

    /// Sets our key `path` to what `from` is, whole.
    pub(super) fn whole(&mut self, path: &'static str, from: &Setting<'_>) {
        let value = from.node().value.clone();
        self.set(path, value, from.position(), from.name.clone());
    }

    /// Sets our key `path` to a value that was made of `from`.
    pub(super) fn value(&mut self, path: &'static str, value: Value, from: &Setting<'_>) {
        self.set(path, value, from.position(), from.name.clone());
    }

    /// Sets our key `path` to a list of texts.
    pub(super) fn texts(&mut self, path: &'static str, texts: Vec<String>, from: &Setting<'_>) {
        let items = texts.into_iter().map(|text| Node {
            value: Value::Scalar(Scalar::new(text, false)),
            position: from.position(),
        });
        let value = Value::Sequence(items.collect());
        self.set(path, value, from.position(), from.name.clone());
    }

    /// Sets our key `path` to what counts in Distribution when the key `name` is not there.
    pub(super) fn default(
        &mut self,
        path: &'static str,
        word: &impl ToString,
        name: &str,
        position: Position,
    ) {
        if !self.has(path) {
            let value = Value::Scalar(Scalar::new(word.to_string(), true));
            self.set(path, value, position, name.to_owned());
        }
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.settings.iter().any(|known| known.path == path)
    }

    /// The text that our key `path` was set to.
    pub(super) fn text_of(&self, path: &str) -> Option<&str> {
        let known = self.settings.iter().rfind(|known| known.path == path)?;
        match &known.node.value {
            Value::Scalar(scalar) => Some(scalar.text()),
            Value::Null | Value::Sequence(_) | Value::Mapping(_) => None,
        }
    }

    /// Notes that our section `path` lacks what was refused, so that it is not reported again.
    pub(super) fn refuse(&mut self, path: &'static str) {
        self.refused.push(path);
    }

    /// Our sections, in the order of their first settings, and those that were refused.
    pub(super) fn finish(self) -> (Vec<Entry>, Vec<&'static str>) {
        (tree(self.settings), self.refused)
    }

    fn set(&mut self, path: &'static str, value: Value, position: Position, written_as: String) {
        self.settings.push(Translated {
            path,
            node: Node { value, position },
            written_as,
        });
    }
}

/// For a section whose rows say all.
pub(super) fn nothing_else(_: &mut Section<'_>, _: &mut Translator) {}

/// Whether the setting is what registry:2's own file says.
fn is_stock(row: &Row, setting: &Setting<'_>) -> bool {
    let stock = row.stock.and_then(|stock| yaml::read(stock).0);
    stock.is_some_and(|stock| is_alike(&stock, setting.node()))
}

/// Whether both hold the same, wherever they stand.
fn is_alike(a: &Node, b: &Node) -> bool {
    match (&a.value, &b.value) {
        (Value::Scalar(a), Value::Scalar(b)) => a.text() == b.text(),
        (Value::Mapping(a), Value::Mapping(b)) => {
            let has = |entry: &Entry| {
                b.iter()
                    .any(|other| other.key == entry.key && is_alike(&entry.value, &other.value))
            };
            a.len() == b.len() && a.iter().all(has)
        }
        _ => false,
    }
}

fn join(above: &str, name: &str) -> String {
    if above.is_empty() {
        name.to_owned()
    } else {
        format!("{above}.{name}")
    }
}

/// Our settings by path, as a tree.
fn tree(settings: Vec<Translated>) -> Vec<Entry> {
    let mut groups: Vec<(&str, Vec<Translated>)> = Vec::new();
    for setting in settings {
        let (key, path) = setting.path.split_once('.').unwrap_or((setting.path, ""));
        let setting = Translated { path, ..setting };
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, group)) => group.push(setting),
            None => groups.push((key, vec![setting])),
        }
    }
    let groups = groups.into_iter();
    groups.map(|(key, group)| entry(key, group)).collect()
}

/// A key with the settings below it, or with the last value that it was set to.
fn entry(key: &str, mut group: Vec<Translated>) -> Entry {
    let first = group.first().map(|setting| setting.node.position);
    let position = first.unwrap_or_default();
    let own = group.iter().rposition(|setting| setting.path.is_empty());
    let (value, written_as) = match own.map(|index| group.swap_remove(index)) {
        Some(setting) => (setting.node, Some(setting.written_as)),
        None => {
            let value = Value::Mapping(tree(group));
            (Node { value, position }, None)
        }
    };
    Entry {
        written_as,
        ..Entry::new(key.to_owned(), position, value)
    }
}
