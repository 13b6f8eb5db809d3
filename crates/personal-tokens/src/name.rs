//! The name of a robot or of a personal token.

use std::fmt;
use std::str::FromStr;

use identity::ROBOT_PREFIX;

const LONGEST: usize = 64;

/// A name: 1 to 64 letters, digits, dots, dashes and underscores of ASCII, a letter or digit first.
/// Every client can send a robot's account name then.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TokenName(String);

/// A text that is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a name: write 1 to 64 letters, digits, dots, dashes and underscores, a letter or digit first"
)]
pub struct TokenNameError(String);

impl TokenName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The account name of the robot with this name.
    #[must_use]
    pub fn robot_account(&self) -> String {
        format!("{ROBOT_PREFIX}{}", self.0)
    }
}

impl FromStr for TokenName {
    type Err = TokenNameError;

    /// A robot may also be written as its account name.
    fn from_str(text: &str) -> Result<Self, TokenNameError> {
        let name = text.strip_prefix(ROBOT_PREFIX).unwrap_or(text);
        let is_valid = name.len() <= LONGEST
            && name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        match is_valid {
            true => Ok(Self(name.to_owned())),
            false => Err(TokenNameError(text.to_owned())),
        }
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_need_no_quotes_anywhere() {
        for (text, name) in [
            ("ci", "ci"),
            ("robot+ci", "ci"),
            ("Team-1_x.y", "Team-1_x.y"),
            (&"a".repeat(64), &"a".repeat(64)),
        ] {
            assert_eq!(text.parse::<TokenName>().unwrap().as_str(), name);
        }
        for text in [
            "",
            "robot+",
            "-a",
            "a b",
            "a/b",
            "ä",
            "a:b",
            "robot+robot+a",
            &"a".repeat(65),
        ] {
            assert!(text.parse::<TokenName>().is_err(), "{text}");
        }
    }
}
