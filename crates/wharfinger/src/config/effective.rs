//! The configuration as it is in effect: defaults filled in, secrets left out. Sections note down
//! each value while they read it, and `wharfinger check --print` writes what was noted.

use std::fmt::{self, Display, Write};

/// A value in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Effective {
    /// A scalar, as YAML writes it.
    Scalar(String),
    List(Vec<Effective>),
    /// In the order of reading.
    Mapping(Vec<(String, Effective)>),
}

impl Effective {
    /// A text in double quotes, which JSON and YAML write alike.
    pub(super) fn quoted(text: impl Display) -> Self {
        Self::Scalar(quote(text))
    }

    /// A word, a number or a length of time, which needs no quotes.
    pub(super) fn plain(text: impl Display) -> Self {
        Self::Scalar(text.to_string())
    }

    pub(super) fn mapping(entries: Vec<(&'static str, Self)>) -> Self {
        let entries = entries.into_iter();
        Self::Mapping(
            entries
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        )
    }

    /// A mapping from names that the operator chose.
    pub(super) fn names(entries: impl IntoIterator<Item = (String, Self)>) -> Self {
        let entries = entries.into_iter();
        Self::Mapping(entries.map(|(name, value)| (quote(name), value)).collect())
    }

    /// What stands for a secret.
    pub(super) fn hidden() -> Self {
        Self::plain("(hidden)")
    }

    /// A default as the manual and the schema have it: on one line, without quotes.
    pub(super) fn in_manual(&self) -> String {
        match self {
            Self::Scalar(text) => match serde_json::from_str(text) {
                Ok(serde_json::Value::String(text)) if text.is_empty() => "empty".to_owned(),
                Ok(serde_json::Value::String(text)) => text,
                _ => text.clone(),
            },
            other => Line(other).to_string(),
        }
    }

    /// The value at `path`, if there is one.
    pub(super) fn at(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, |value, name| match value {
            Self::Mapping(entries) => entries
                .iter()
                .rfind(|(key, _)| key == name)
                .map(|(_, value)| value),
            Self::Scalar(_) | Self::List(_) => None,
        })
    }

    fn write(&self, text: &mut String, indent: usize) {
        // Writing to a String does not fail.
        let Self::Mapping(entries) = self else {
            let _ = writeln!(text, "{:indent$}{}", "", Line(self));
            return;
        };
        for (key, value) in entries {
            match value {
                Self::Mapping(below) if !below.is_empty() => {
                    let _ = writeln!(text, "{:indent$}{key}:", "");
                    value.write(text, indent + 2);
                }
                Self::List(items) if items.iter().any(Self::is_mapping) => {
                    let _ = writeln!(text, "{:indent$}{key}:", "");
                    for item in items {
                        let _ = writeln!(text, "{:indent$}  - {}", "", Line(item));
                    }
                }
                other => {
                    let _ = writeln!(text, "{:indent$}{key}: {}", "", Line(other));
                }
            }
        }
    }

    fn is_mapping(&self) -> bool {
        matches!(self, Self::Mapping(_))
    }
}

/// YAML with a line for each setting.
impl Display for Effective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write(&mut text, 0);
        f.write_str(&text)
    }
}

/// A value on one line.
struct Line<'a>(&'a Effective);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Effective::Scalar(text) => f.write_str(text),
            Effective::List(items) => {
                let items: Vec<_> = items.iter().map(|item| Line(item).to_string()).collect();
                write!(f, "[{}]", items.join(", "))
            }
            Effective::Mapping(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| format!("{key}: {}", Line(value)));
                write!(f, "{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

/// A text in double quotes.
pub(super) fn quote(text: impl Display) -> String {
    serde_json::Value::from(text.to_string()).to_string()
}
