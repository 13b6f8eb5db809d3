//! Names of accounts.

use std::fmt;
use std::str::FromStr;

use common::escape_line;
use identity::{ROBOT_PREFIX, TOKEN_USER, is_unambiguous_name};

/// The longest name, in bytes.
pub const MAX_ACCOUNT_NAME: usize = 128;

/// A name that an account of the database may have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountName(String);

/// Why a text cannot be the name of an account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccountNameError {
    /// It is the anonymous account's.
    #[error("the name is empty, which is the anonymous account's name")]
    Empty,
    /// It is too long.
    #[error("the name has {0} bytes, and at most {MAX_ACCOUNT_NAME} are allowed")]
    TooLong(usize),
    /// A user name in HTTP Basic ends at a colon (RFC 7617 §2).
    #[error("the name has a colon, which ends the user name in a client's request")]
    Colon,
    /// It could be read as another name.
    #[error(
        "the name has a control character, or one that hides or reorders others, or begins or ends \
         with white space"
    )]
    Ambiguous,
    /// It would be taken for something else.
    #[error(
        "names that begin with {ROBOT_PREFIX} are reserved for robots, {TOKEN_USER} stands for a \
         token, and * for all accounts"
    )]
    Reserved,
}

impl AccountName {
    /// The name as a text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountName {
    type Err = AccountNameError;

    fn from_str(text: &str) -> Result<Self, AccountNameError> {
        if text.is_empty() {
            return Err(AccountNameError::Empty);
        }
        if text.len() > MAX_ACCOUNT_NAME {
            return Err(AccountNameError::TooLong(text.len()));
        }
        if text.contains(':') {
            return Err(AccountNameError::Colon);
        }
        let is_shown_as_it_is = escape_line(text) == text && !text.chars().any(is_invisible);
        if !is_unambiguous_name(text) || !is_shown_as_it_is || text.trim() != text {
            return Err(AccountNameError::Ambiguous);
        }
        if text.starts_with(ROBOT_PREFIX) || text == TOKEN_USER || text == "*" {
            return Err(AccountNameError::Reserved);
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a character is shown as nothing: `Default_Ignorable_Code_Point` (Unicode,
/// `DerivedCoreProperties.txt`).
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
            | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_accounts() {
        for name in ["bob", "ann@example.com", "Zoë Q.", "robot", "b+c", "-x"] {
            assert_eq!(name.parse::<AccountName>().unwrap().as_str(), name);
        }
        let long = "x".repeat(MAX_ACCOUNT_NAME + 1);
        for (name, error) in [
            ("", AccountNameError::Empty),
            ("*", AccountNameError::Reserved),
            ("admin\u{200b}", AccountNameError::Ambiguous),
            ("ad\u{ad}min", AccountNameError::Ambiguous),
            ("admin\u{e0041}", AccountNameError::Ambiguous),
            (&*long, AccountNameError::TooLong(129)),
            ("a:b", AccountNameError::Colon),
            ("a\nb", AccountNameError::Ambiguous),
            ("a\0", AccountNameError::Ambiguous),
            ("a\u{202e}b", AccountNameError::Ambiguous),
            (" bob", AccountNameError::Ambiguous),
            ("bob\t", AccountNameError::Ambiguous),
            ("robot+ci", AccountNameError::Reserved),
            ("<token>", AccountNameError::Reserved),
        ] {
            assert_eq!(name.parse::<AccountName>(), Err(error), "{name:?}");
        }
        assert!("x".repeat(MAX_ACCOUNT_NAME).parse::<AccountName>().is_ok());
    }
}
