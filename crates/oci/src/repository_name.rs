//! Names of repositories.

use std::fmt;
use std::str::FromStr;

/// The longest name, in bytes: many clients cannot handle more with a host in front (OCI
/// distribution-spec, "Pulling manifests").
const MAX_LENGTH: usize = 255;

/// The name of a repository: components of lower-case letters and digits, joined by `/`, with
/// single separators (`.`, `_`, `__`, or any number of `-`) between runs of them.
///
/// (OCI distribution-spec, "Pulling manifests":
/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*`.)
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepositoryName(String);

impl RepositoryName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RepositoryName {
    type Err = RepositoryNameError;

    fn from_str(text: &str) -> Result<Self, RepositoryNameError> {
        if text.len() > MAX_LENGTH {
            return Err(RepositoryNameError::TooLong { length: text.len() });
        }
        text.split('/').try_for_each(check_component)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for RepositoryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not the name of a repository.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RepositoryNameError {
    /// Over 255 bytes.
    #[error("a repository's name has at most {MAX_LENGTH} bytes, this has {length}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// Nothing between two slashes, or nothing at all.
    #[error("a repository's name has no empty components")]
    EmptyComponent,
    /// A capital, a space, …
    #[error(
        "a repository's name has no {0:?}: lower-case letters, digits, and . _ __ - between them"
    )]
    Character(char),
    /// A separator at an end of a component, or two that do not go together.
    #[error(
        "{0:?} must begin and end with a letter or digit, with one of . _ __ or dashes between"
    )]
    Separator(String),
}

fn check_component(component: &str) -> Result<(), RepositoryNameError> {
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if component.is_empty() {
        return Err(RepositoryNameError::EmptyComponent);
    }
    if let Some(unexpected) = component
        .chars()
        .find(|&c| !is_letter(c) && !matches!(c, '.' | '_' | '-'))
    {
        return Err(RepositoryNameError::Character(unexpected));
    }
    let misplaced = || RepositoryNameError::Separator(component.to_owned());
    if !component.starts_with(is_letter) || !component.ends_with(is_letter) {
        return Err(misplaced());
    }
    let separators = component.split(is_letter);
    let legal = |run: &str| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|b| b == b'-');
    if separators.into_iter().all(legal) {
        Ok(())
    } else {
        Err(misplaced())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_specification() {
        for name in [
            "a",
            "0",
            "library/ubuntu",
            "a.b/c_d/e__f/g-h/i---j",
            "a1/2b",
            &"a".repeat(255),
        ] {
            assert_eq!(
                name.parse::<RepositoryName>().map(|n| n.to_string()),
                Ok(name.to_owned())
            );
        }
    }

    #[test]
    fn what_is_no_name_says_why() {
        use RepositoryNameError::{Character, EmptyComponent, Separator, TooLong};
        for name in ["", "/a", "a/", "a//b"] {
            assert_eq!(
                name.parse::<RepositoryName>(),
                Err(EmptyComponent),
                "{name:?}"
            );
        }
        for (name, unexpected) in [
            ("Ubuntu", 'U'),
            ("a b", ' '),
            ("a:b", ':'),
            ("é", 'é'),
            ("../A", 'A'),
        ] {
            let error = name.parse::<RepositoryName>().unwrap_err();
            assert!(
                error == Character(unexpected) || error == Separator("..".to_owned()),
                "{name:?}: {error}"
            );
        }
        for name in ["-a", "a-", ".", "a..b", "a___b", "a.-b", "a_-b", "a-.b"] {
            assert_eq!(
                name.parse::<RepositoryName>(),
                Err(Separator(name.to_owned()))
            );
        }
        assert_eq!(
            "a".repeat(256).parse::<RepositoryName>(),
            Err(TooLong { length: 256 })
        );
    }
}
