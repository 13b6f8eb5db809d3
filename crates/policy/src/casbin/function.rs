//! The functions of a matcher. `eval` and those of role definitions are not here: they need more than
//! their arguments.

use super::operand::{Operand, OperandKind};

/// A function of Casbin, or `docker_auth`'s `labelMatch`. The first argument is a value, the second a
/// pattern, the third the name of a part of the pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum MatcherFunction {
    KeyMatch,
    KeyMatch2,
    KeyMatch3,
    KeyMatch4,
    KeyMatch5,
    KeyGet,
    KeyGet2,
    KeyGet3,
    RegexMatch,
    IpMatch,
    GlobMatch,
    LabelMatch,
}

const FUNCTIONS: [(&str, MatcherFunction); 12] = [
    ("keyMatch", MatcherFunction::KeyMatch),
    ("keyMatch2", MatcherFunction::KeyMatch2),
    ("keyMatch3", MatcherFunction::KeyMatch3),
    ("keyMatch4", MatcherFunction::KeyMatch4),
    ("keyMatch5", MatcherFunction::KeyMatch5),
    ("keyGet", MatcherFunction::KeyGet),
    ("keyGet2", MatcherFunction::KeyGet2),
    ("keyGet3", MatcherFunction::KeyGet3),
    ("regexMatch", MatcherFunction::RegexMatch),
    ("ipMatch", MatcherFunction::IpMatch),
    ("globMatch", MatcherFunction::GlobMatch),
    ("labelMatch", MatcherFunction::LabelMatch),
];

impl MatcherFunction {
    pub(super) fn of(name: &str) -> Option<Self> {
        let found = FUNCTIONS.iter().find(|(known, _)| *known == name);
        found.map(|(_, function)| *function)
    }

    pub(super) fn name(self) -> &'static str {
        let found = FUNCTIONS.iter().find(|(_, function)| *function == self);
        found.map_or("", |(name, _)| *name)
    }

    /// How many arguments it takes.
    pub(super) fn arguments(self) -> usize {
        match self {
            Self::KeyGet2 | Self::KeyGet3 => 3,
            _ => 2,
        }
    }

    /// What its result is.
    pub(super) fn result(self) -> OperandKind {
        match self {
            Self::KeyGet | Self::KeyGet2 | Self::KeyGet3 => OperandKind::Text,
            _ => OperandKind::Bool,
        }
    }

    /// The result of a function whose pattern is not compiled; `None` of one whose pattern is.
    pub(super) fn plain<'a>(self, value: &str, pattern: &str) -> Option<Operand<'a>> {
        let before_star = pattern.split_once('*').map(|(before, _)| before);
        match self {
            Self::KeyMatch => Some(Operand::Bool(match before_star {
                Some(before) => value.starts_with(before),
                None => value == pattern,
            })),
            Self::KeyGet => {
                let found = before_star.and_then(|before| value.strip_prefix(before));
                Some(Operand::Text(found.unwrap_or_default().to_owned().into()))
            }
            // What follows a `?` does not count.
            Self::KeyMatch5 => {
                let path = value.split_once('?').map_or(value, |(path, _)| path);
                Some(Operand::Bool(path == pattern))
            }
            _ => None,
        }
    }
}
