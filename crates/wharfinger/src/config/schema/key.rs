//! Declaring a key: `key::duration("idle", MINUTE..=YEAR).means("…").default(DAY)`.

use std::fmt::Display;
use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use common::print_duration;

use super::declaration::{Declaration, Dialect, Kind, Reload, or};
use crate::config::effective::Effective;
use crate::config::setting::Setting;
use crate::size::print_size;

/// A key whose value is a `T`.
pub(in crate::config) struct Key<T> {
    pub(in crate::config) declaration: Declaration,
    pub(in crate::config) reader: ValueReader<T>,
    pub(in crate::config) show: fn(&T) -> Effective,
}

/// How a value becomes a `T`.
pub(in crate::config) enum ValueReader<T> {
    /// From its text, which may also be in the file that `NAME_file` names.
    Text(fn(&str) -> Result<T, String>),
    /// From the value with its type.
    Value(fn(&Setting<'_>, &Kind) -> Option<T>),
}

/// A key with a default.
pub(in crate::config) struct Defaulted<T> {
    pub(in crate::config) key: Key<T>,
    pub(in crate::config) default: T,
}

impl<T> Key<T> {
    fn new(
        name: &'static str,
        kind: Kind,
        reader: ValueReader<T>,
        show: fn(&T) -> Effective,
    ) -> Self {
        let from_file = matches!(reader, ValueReader::Text(_));
        Self {
            declaration: Declaration {
                from_file,
                ..Declaration::named(name, kind)
            },
            reader,
            show,
        }
    }

    /// What the key says, as the manual has it.
    pub(in crate::config) fn means(mut self, means: &'static str) -> Self {
        self.declaration.means = means;
        self
    }

    /// Words that people write instead; the error about one names this key.
    pub(in crate::config) fn not(mut self, words: &'static [&'static str]) -> Self {
        self.declaration.also = words;
        self
    }

    /// `docker_auth` has the key, too.
    pub(in crate::config) fn docker_auth(mut self) -> Self {
        self.declaration.dialect = Dialect::DockerAuth;
        self
    }

    /// Of a key that docker_auth has elsewhere.
    pub(in crate::config) fn ours(mut self) -> Self {
        self.declaration.dialect = Dialect::Ours;
        self
    }

    /// The key must be there; `hint` says what to write.
    pub(in crate::config) fn required(mut self, hint: &'static str) -> Self {
        self.declaration.required = Some(hint);
        self
    }

    /// The value is never shown.
    pub(in crate::config) fn secret(mut self) -> Self {
        self.declaration.secret = true;
        self
    }

    /// A change counts after a restart.
    pub(in crate::config) fn restart(mut self) -> Self {
        self.declaration.reload = Reload::AfterRestart;
        self
    }

    /// The key is refused by name until a later version can do it.
    pub(in crate::config) fn later(mut self) -> Self {
        self.declaration.later = true;
        self
    }

    /// What happens when the key is absent, where no value stands for it.
    pub(in crate::config) fn otherwise(mut self, words: &'static str) -> Self {
        self.declaration.default = Some(words.to_owned());
        self
    }

    /// What counts when the key is absent.
    pub(in crate::config) fn default(self, default: T) -> Defaulted<T> {
        Defaulted { key: self, default }
    }
}

/// A type whose values are a few words.
pub(in crate::config) trait Words: Copy + PartialEq + 'static {
    /// Each value with its word.
    const WORDS: &'static [(&'static str, Self)];
}

/// Any text.
pub(in crate::config) fn text(name: &'static str) -> Key<String> {
    let reader = ValueReader::Text(|text| Ok(text.to_owned()));
    Key::new(name, Kind::Text, reader, |text| Effective::quoted(text))
}

/// A text of a certain form, which `parse` reads and the manual calls `form`.
pub(in crate::config) fn parsed<T: Display>(
    name: &'static str,
    form: &'static str,
    parse: fn(&str) -> Result<T, String>,
) -> Key<T> {
    let kind = Kind::Form(form);
    Key::new(name, kind, ValueReader::Text(parse), |value| {
        Effective::quoted(value)
    })
}

/// As [`parsed`], with another way to show the value.
pub(in crate::config) fn parsed_as<T>(
    name: &'static str,
    kind: Kind,
    parse: fn(&str) -> Result<T, String>,
    show: fn(&T) -> Effective,
) -> Key<T> {
    Key::new(name, kind, ValueReader::Text(parse), show)
}

/// `text` as [`std::str::FromStr`] reads it, for [`parsed`].
pub(in crate::config) fn from_str<T>(text: &str) -> Result<T, String>
where
    T: std::str::FromStr<Err: Display>,
{
    text.parse().map_err(|error: T::Err| error.to_string())
}

/// One of a few words.
pub(in crate::config) fn word<W: Words>(name: &'static str) -> Key<W> {
    let kind = Kind::Words(words_of::<W>());
    Key::new(
        name,
        kind,
        ValueReader::Text(parse_word::<W>),
        show_word::<W>,
    )
}

/// A word, or several as a list; none twice.
pub(in crate::config) fn one_or_many_words<W: Words>(name: &'static str) -> Key<Vec<W>> {
    let kind = Kind::OneOrMany(Box::new(Kind::Words(words_of::<W>())));
    let read = |setting: &Setting<'_>, _: &Kind| {
        let mut words = Vec::new();
        for item in setting.one_or_many()? {
            match item.parse(parse_word::<W>) {
                Some(word) if words.contains(&word) => item.error("this is in the list already"),
                Some(word) => words.push(word),
                None => {}
            }
        }
        Some(words)
    };
    Key::new(name, kind, ValueReader::Value(read), |words| {
        Effective::List(words.iter().map(show_word).collect())
    })
}

pub(in crate::config) fn words_of<W: Words>() -> Vec<&'static str> {
    let words = W::WORDS.iter().map(|(word, _)| *word);
    words.filter(|word| !word.is_empty()).collect()
}

pub(in crate::config) fn parse_word<W: Words>(text: &str) -> Result<W, String> {
    let found = W::WORDS.iter().find(|(word, _)| *word == text);
    found
        .map(|(_, value)| *value)
        .ok_or_else(|| format!("must be {}", or(&words_of::<W>())))
}

pub(in crate::config) fn show_word<W: Words>(value: &W) -> Effective {
    let found = W::WORDS.iter().find(|(_, known)| known == value);
    Effective::plain(found.map_or("", |(word, _)| word))
}

/// A file or a directory, relative to the directory that the server was started in. An empty path
/// is absent.
pub(in crate::config) fn path(name: &'static str) -> Key<PathBuf> {
    let read = |setting: &Setting<'_>, _: &Kind| {
        let text = setting.text()?;
        (!text.is_empty()).then(|| PathBuf::from(text))
    };
    Key::new(name, Kind::Path, ValueReader::Value(read), |path| {
        Effective::quoted(path.display())
    })
}

/// True or false.
pub(in crate::config) fn switch(name: &'static str) -> Key<bool> {
    let reader = ValueReader::Value(|setting, _| setting.flag());
    Key::new(name, Kind::Switch, reader, |flag| Effective::plain(flag))
}

/// A whole number.
pub(in crate::config) fn number<N>(name: &'static str, bounds: RangeInclusive<i64>) -> Key<N>
where
    N: TryFrom<i64> + Display,
{
    let read = |setting: &Setting<'_>, kind: &Kind| match kind {
        Kind::Number(bounds) => N::try_from(setting.number(bounds)?).ok(),
        _ => None,
    };
    let kind = Kind::Number(bounds);
    Key::new(name, kind, ValueReader::Value(read), |number| {
        Effective::plain(number)
    })
}

/// A number of things, from 1 on.
pub(in crate::config) fn count(name: &'static str, most: i64) -> Key<NonZeroUsize> {
    let read = |setting: &Setting<'_>, kind: &Kind| match kind {
        Kind::Number(bounds) => NonZeroUsize::new(usize::try_from(setting.number(bounds)?).ok()?),
        _ => None,
    };
    let kind = Kind::Number(1..=most);
    Key::new(name, kind, ValueReader::Value(read), |number| {
        Effective::plain(number)
    })
}

/// A length of time.
pub(in crate::config) fn duration(
    name: &'static str,
    bounds: RangeInclusive<Duration>,
) -> Key<Duration> {
    let read = |setting: &Setting<'_>, kind: &Kind| match kind {
        Kind::Duration(bounds) => setting.duration_within(bounds),
        _ => None,
    };
    let kind = Kind::Duration(bounds);
    Key::new(name, kind, ValueReader::Value(read), |duration| {
        Effective::plain(print_duration(*duration))
    })
}

/// A size in bytes.
pub(in crate::config) fn size(name: &'static str, bounds: RangeInclusive<usize>) -> Key<usize> {
    let read = |setting: &Setting<'_>, kind: &Kind| match kind {
        Kind::Size(bounds) => usize::try_from(setting.size_within(bounds)?).ok(),
        _ => None,
    };
    let kind = Kind::Size(*bounds.start() as u64..=*bounds.end() as u64);
    Key::new(name, kind, ValueReader::Value(read), |size| {
        Effective::plain(print_size(*size as u64))
    })
}

/// A list of texts.
pub(in crate::config) fn texts(name: &'static str) -> Key<Vec<String>> {
    let reader = ValueReader::Value(|setting, _| setting.texts());
    let kind = Kind::List(Box::new(Kind::Text));
    Key::new(name, kind, reader, |texts| {
        Effective::List(texts.iter().map(Effective::quoted).collect())
    })
}

/// A value that its section reads, and shows, by hand.
pub(in crate::config) fn custom(name: &'static str, kind: Kind) -> Key<()> {
    Key::new(name, kind, ValueReader::Value(|_, _| None), |()| {
        Effective::plain("")
    })
}

/// A mapping with keys of its own, as a setting of the section above it.
pub(in crate::config) fn mapping(name: &'static str) -> Key<()> {
    custom(name, Kind::Mapping(Vec::new()))
}
