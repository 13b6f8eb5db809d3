//! What is known of a key before it has a value, and the types of values: what the manual and the
//! JSON Schema say of them.

use std::ops::RangeInclusive;
use std::time::Duration;

use common::print_duration;

use crate::size::print_size;

/// Which configuration a key comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Dialect {
    /// `docker_auth` has it, and it means the same here.
    DockerAuth,
    Ours,
}

/// When a change of a key counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Reload {
    AtOnce,
    AfterRestart,
}

/// What is known of a key before it has a value.
#[derive(Clone, Debug)]
pub(in crate::config) struct Declaration {
    pub(in crate::config) name: &'static str,
    pub(in crate::config) kind: Kind,
    pub(in crate::config) dialect: Dialect,
    pub(in crate::config) reload: Reload,
    /// Whether its value is never shown.
    pub(in crate::config) secret: bool,
    /// Whether `NAME_file` may name a file that holds the value.
    pub(in crate::config) from_file: bool,
    /// What to write, said when a required key is missing.
    pub(in crate::config) required: Option<&'static str>,
    /// What counts when it is absent, as the manual says it.
    pub(in crate::config) default: Option<String>,
    /// Refused until a later version can do it.
    pub(in crate::config) later: bool,
    /// What it says, in one line of the manual.
    pub(in crate::config) means: &'static str,
    /// Words that people write instead, for the hint at the nearest key.
    pub(in crate::config) also: &'static [&'static str],
}

impl Declaration {
    /// A key of which only the name is known.
    pub(in crate::config) fn named(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            dialect: Dialect::Ours,
            reload: Reload::AtOnce,
            secret: false,
            from_file: false,
            required: None,
            default: None,
            later: false,
            means: "",
            also: &[],
        }
    }
}

/// The type of a value, with its bounds.
#[derive(Clone, Debug)]
pub(in crate::config) enum Kind {
    /// Any scalar, as it is written.
    Text,
    /// A text of a form that the manual names: an address, a URL, a date.
    Form(&'static str),
    Words(Vec<&'static str>),
    Path,
    Switch,
    Number(RangeInclusive<i64>),
    Duration(RangeInclusive<Duration>),
    Size(RangeInclusive<u64>),
    List(Box<Kind>),
    /// A value, or several as a list.
    OneOrMany(Box<Kind>),
    /// Keys of its own.
    Mapping(Vec<Declaration>),
    /// A mapping from names that the operator chooses.
    Names(Box<Kind>),
    Either(Vec<Kind>),
    /// What belongs to another program, and is not looked into.
    Anything,
}

impl Kind {
    /// What the manual calls it.
    pub(in crate::config) fn name(&self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Form(form) => (*form).to_owned(),
            Self::Words(words) => or(&quoted(words)),
            Self::Path => "path".to_owned(),
            Self::Switch => "switch".to_owned(),
            Self::Number(_) => "number".to_owned(),
            Self::Duration(_) => "time".to_owned(),
            Self::Size(_) => "size".to_owned(),
            Self::List(kind) => match &**kind {
                Self::Text | Self::Mapping(_) => "list".to_owned(),
                kind => format!("list of {}", kind.plural()),
            },
            Self::OneOrMany(kind) => format!("{}, or a list", kind.name()),
            Self::Mapping(_) | Self::Names(_) | Self::Anything => "mapping".to_owned(),
            Self::Either(kinds) => or(&kinds.iter().map(Self::name).collect::<Vec<_>>()),
        }
    }

    fn plural(&self) -> String {
        match self {
            Self::Form(form) if form.contains(' ') => (*form).to_owned(),
            Self::Words(_) => self.name(),
            kind => format!("{}s", kind.name()),
        }
    }

    /// Its bounds, as the manual has them.
    pub(in crate::config) fn bounds(&self) -> Option<String> {
        match self {
            Self::Number(bounds) if *bounds.start() > i64::from(i32::MIN) => {
                Some(format!("{} to {}", bounds.start(), bounds.end()))
            }
            Self::Duration(bounds) => Some(format!(
                "{} to {}",
                print_duration(*bounds.start()),
                print_duration(*bounds.end())
            )),
            Self::Size(bounds) => Some(format!(
                "{} to {}",
                print_size(*bounds.start()),
                print_size(*bounds.end())
            )),
            Self::Either(kinds) => kinds.iter().find_map(Self::bounds),
            _ => None,
        }
    }

    /// The mappings in it, through lists and names.
    pub(in crate::config) fn mappings(&self) -> Vec<&[Declaration]> {
        match self {
            Self::Mapping(declarations) => vec![declarations],
            Self::List(kind) | Self::OneOrMany(kind) | Self::Names(kind) => kind.mappings(),
            Self::Either(kinds) => kinds.iter().flat_map(Self::mappings).collect(),
            _ => Vec::new(),
        }
    }

    /// It with `declarations` as the keys of the mapping that is in it.
    pub(in crate::config) fn filled(self, declarations: Vec<Declaration>) -> Self {
        match self {
            Self::Mapping(_) => Self::Mapping(declarations),
            Self::List(kind) => Self::List(Box::new(kind.filled(declarations))),
            Self::OneOrMany(kind) => Self::OneOrMany(Box::new(kind.filled(declarations))),
            Self::Names(kind) => Self::Names(Box::new(kind.filled(declarations))),
            Self::Either(mut kinds) => {
                if let Some(last) = kinds.pop() {
                    kinds.push(last.filled(declarations));
                }
                Self::Either(kinds)
            }
            other => other,
        }
    }
}

fn quoted(words: &[&'static str]) -> Vec<String> {
    words.iter().map(|word| format!("`{word}`")).collect()
}

/// `a`, `a or b`, `a, b or c`.
pub(in crate::config) fn or<S: AsRef<str>>(words: &[S]) -> String {
    match words {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [first @ .., last] => {
            let first: Vec<&str> = first.iter().map(AsRef::as_ref).collect();
            format!("{} or {}", first.join(", "), last.as_ref())
        }
    }
}
