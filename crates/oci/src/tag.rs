//! Tags: the names that people give to manifests.

use std::fmt;
use std::str::FromStr;

/// OCI distribution-spec, "Pulling manifests".
const MAX_LENGTH: usize = 128;

/// The tag of a manifest: 1 to 128 letters, digits, `_`, `.` and `-`, of which the last two cannot
/// be first.
///
/// (OCI distribution-spec, "Pulling manifests": `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`.) Tags compare
/// as bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(String);

impl Tag {
    /// The tag as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, TagError> {
        if text.len() > MAX_LENGTH {
            return Err(TagError::TooLong { length: text.len() });
        }
        let Some(first) = text.chars().next() else {
            return Err(TagError::Empty);
        };
        if matches!(first, '.' | '-') {
            return Err(TagError::Beginning(first));
        }
        match text
            .chars()
            .find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '.' | '-'))
        {
            Some(unexpected) => Err(TagError::Character(unexpected)),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a text is not a tag.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// Nothing at all.
    #[error("a tag has at least one character")]
    Empty,
    /// Over 128 bytes.
    #[error("a tag has at most {MAX_LENGTH} bytes, this has {length}")]
    TooLong {
        /// Its length in bytes.
        length: usize,
    },
    /// A dot or a dash comes first.
    #[error("a tag cannot begin with {0:?}")]
    Beginning(char),
    /// A space, a colon, …
    #[error("a tag has no {0:?}: letters, digits, and _ . -")]
    Character(char),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_the_specification() {
        for text in [
            "a",
            "_",
            "0",
            "latest",
            "v1.2.3-rc_1",
            "A..b--c",
            &"a".repeat(128),
        ] {
            assert_eq!(
                text.parse::<Tag>().map(|tag| tag.to_string()),
                Ok(text.to_owned())
            );
        }
    }

    #[test]
    fn what_is_no_tag_says_why() {
        assert_eq!("".parse::<Tag>(), Err(TagError::Empty));
        assert_eq!(".a".parse::<Tag>(), Err(TagError::Beginning('.')));
        assert_eq!("-a".parse::<Tag>(), Err(TagError::Beginning('-')));
        assert_eq!(
            "a".repeat(129).parse::<Tag>(),
            Err(TagError::TooLong { length: 129 })
        );
        for (text, unexpected) in [
            ("a b", ' '),
            ("a:b", ':'),
            ("a/b", '/'),
            ("aé", 'é'),
            ("a\n", '\n'),
            ("a+b", '+'),
        ] {
            assert_eq!(text.parse::<Tag>(), Err(TagError::Character(unexpected)));
        }
    }
}
