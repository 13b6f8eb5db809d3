//! htpasswd files: `name:hash`, one account a line.

use std::collections::HashMap;

use crate::password::{HashError, PasswordHash};
use crate::{Account, Accounts};

/// Reads an htpasswd file. Empty lines and those that begin with `#` say nothing; white space
/// around a line is dropped.
///
/// ```
/// let text = "# pushers\nci:$2y$05$WuwBasGDAgr.QCbGIjKJaep4dhxeai9gNZdmBnQXqpKly57oNutya\n";
/// let accounts = identity::htpasswd::parse(text).unwrap();
/// assert!(accounts.find("ci").is_some());
/// ```
///
/// # Errors
/// Every line that is wrong, with its number.
pub fn parse(text: &str) -> Result<Accounts, Vec<HtpasswdError>> {
    let mut accounts = Accounts::default();
    let mut seen = HashMap::new();
    let mut errors = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (line, entry) in (1..).zip(text.lines()) {
        let entry = entry.trim();
        if entry.is_empty() || entry.starts_with('#') {
            continue;
        }
        let added = account(entry).and_then(|(name, account)| {
            let first = *seen.entry(name.to_owned()).or_insert(line);
            accounts
                .add(name.to_owned(), account)
                .map_err(|_| EntryError::Duplicate {
                    name: name.to_owned(),
                    first,
                })
        });
        errors.extend(added.err().map(|error| HtpasswdError { line, error }));
    }
    if errors.is_empty() {
        Ok(accounts)
    } else {
        Err(errors)
    }
}

/// A line of an htpasswd file that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {error}")]
pub struct HtpasswdError {
    /// The line's number; the first is 1.
    pub line: usize,
    /// What is wrong with it.
    pub error: EntryError,
}

/// What is wrong with one entry of an htpasswd file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// No colon.
    #[error("an entry reads name:hash, and this line has no colon")]
    Colon,
    /// Nothing before the colon.
    #[error("the name before the colon is empty")]
    Name,
    /// The hash is not one that is taken.
    #[error("user {name:?}: {error}")]
    Hash {
        /// Whose hash.
        name: String,
        /// What is wrong with it.
        error: HashError,
    },
    /// The name is there already.
    #[error("user {name:?} is already on line {first}")]
    Duplicate {
        /// Which name.
        name: String,
        /// The number of the line that has it.
        first: usize,
    },
}

fn account(entry: &str) -> Result<(&str, Account), EntryError> {
    let (name, hash) = entry.split_once(':').ok_or(EntryError::Colon)?;
    if name.is_empty() {
        return Err(EntryError::Name);
    }
    let hash: PasswordHash = hash.parse().map_err(|error: HashError| EntryError::Hash {
        name: name.to_owned(),
        error,
    })?;
    Ok((
        name,
        Account {
            passwords: vec![hash],
            ..Account::default()
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2y$05$WuwBasGDAgr.QCbGIjKJaep4dhxeai9gNZdmBnQXqpKly57oNutya";

    fn names(text: &str) -> Vec<String> {
        parse(text)
            .unwrap()
            .iter()
            .map(|(name, _)| name.to_owned())
            .collect()
    }

    fn errors(text: &str) -> Vec<String> {
        parse(text)
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn reads_what_htpasswd_writes() {
        assert_eq!(
            names(&format!(
                "\u{feff}# one\r\nann:{HASH}\r\n\r\n  bob:{HASH}  \n\n"
            )),
            ["ann", "bob"]
        );
        assert_eq!(names(&format!("a b:{HASH}")), ["a b"]);
        assert_eq!(names(""), Vec::<String>::new());
        let accounts = parse(&format!("ann:{HASH}")).unwrap();
        let ann = accounts.find("ann").unwrap();
        assert!(ann.passwords[0].verify("123") && ann.labels.is_empty());
    }

    #[test]
    fn reports_every_bad_line() {
        let text = format!(
            "ann:{HASH}\nnonsense\n:{HASH}\nold:$apr1$abc$def\nann:{HASH}\nnone:\ncut:$2y$05$abc"
        );
        assert_eq!(
            errors(&text),
            [
                "line 2: an entry reads name:hash, and this line has no colon",
                "line 3: the name before the colon is empty",
                "line 4: user \"old\": this is an Apache MD5 hash ($apr1$), not a bcrypt or argon2id hash: make one with \
                 `wharfinger hash`",
                "line 5: user \"ann\" is already on line 1",
                "line 6: user \"none\": the password hash is empty: make one with `wharfinger hash`",
                "line 7: user \"cut\": bad bcrypt hash: after the cost come 53 characters, not 3; was it cut off, or \
                 its `$` eaten by a shell?",
            ]
        );
    }
}
