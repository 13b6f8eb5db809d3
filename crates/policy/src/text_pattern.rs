//! A pattern by itself, without a rule around it.

use std::fmt;
use std::str::FromStr;

use crate::error::ConditionError;
use crate::pattern::Matcher;
use crate::syntax::SIZE_LIMIT;

/// A glob, or a regular expression between slashes, as rules have them, but without variables.
///
/// ```
/// use policy::TextPattern;
///
/// let tags: TextPattern = "refs/tags/v*".parse().unwrap();
/// assert!(tags.matches("refs/tags/v1.2") && !tags.matches("refs/tags/v1/x"));
/// let id: TextPattern = "/^(12|13)$/".parse().unwrap();
/// assert!(id.matches("12") && !id.matches("123"));
/// assert!("/(/".parse::<TextPattern>().is_err());
/// ```
#[derive(Clone, Debug)]
pub struct TextPattern {
    text: String,
    matcher: Matcher,
}

impl TextPattern {
    /// Whether the whole of `value` fits the glob, or a part of it the regular expression.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        self.matcher.matches(value)
    }

    /// The pattern as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for TextPattern {
    type Err = ConditionError;

    fn from_str(text: &str) -> Result<Self, ConditionError> {
        Ok(Self {
            text: text.to_owned(),
            matcher: Matcher::compile(text, SIZE_LIMIT)?,
        })
    }
}

impl fmt::Display for TextPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
