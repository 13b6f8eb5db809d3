//! htpasswd files: `name:hash`, one account a line.

use std::collections::BTreeMap;

use crate::password::{HashError, PasswordHash};
use crate::{Account, Accounts};

/// What an htpasswd file holds.
#[derive(Clone, Debug, Default)]
pub struct Htpasswd {
    /// The accounts that can log in.
    pub accounts: Accounts,
    /// Every line that is wrong or has no effect. The accounts of such lines cannot log in.
    pub problems: Vec<HtpasswdProblem>,
}

/// Reads an htpasswd file. Empty lines and lines that begin with `#` are skipped, and so is white
/// space around a line. If a name stands on several lines the last one counts, as in Distribution.
///
/// A bad line does not stop the others. The caller decides whether its problem is an error.
///
/// ```
/// let text = "# pushers\nci:$2y$05$WuwBasGDAgr.QCbGIjKJaep4dhxeai9gNZdmBnQXqpKly57oNutya\n";
/// let file = identity::htpasswd::parse(text);
/// assert!(file.accounts.find("ci").is_some() && file.problems.is_empty());
/// ```
#[must_use]
pub fn parse(text: &str) -> Htpasswd {
    let mut entries: BTreeMap<&str, HtpasswdLine> = BTreeMap::new();
    let mut problems = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (line, entry) in (1..).zip(text.lines()) {
        let entry = entry.trim();
        if entry.is_empty() || entry.starts_with('#') {
            continue;
        }
        let mut problem = |error| problems.push(HtpasswdProblem { line, error });
        let Some((name, hash)) = entry.split_once(':') else {
            problem(EntryError::Colon);
            continue;
        };
        if name.is_empty() {
            problem(EntryError::Name);
            continue;
        }
        if let Some(earlier) = entries.remove(name) {
            problem(EntryError::Duplicate {
                name: name.to_owned(),
                earlier: earlier.line,
            });
        }
        let hash = parse_hash(name, hash).map_err(problem).ok();
        entries.insert(name, HtpasswdLine { line, hash });
    }
    let mut accounts = Accounts::default();
    for (name, entry) in entries {
        let Some(hash) = entry.hash else { continue };
        let account = Account {
            passwords: vec![hash],
            ..Account::default()
        };
        // Each name is a key of the map, so it comes once.
        let _ = accounts.add(name.to_owned(), account);
    }
    Htpasswd { accounts, problems }
}

/// The account of one line; without a hash it cannot log in.
struct HtpasswdLine {
    line: usize,
    hash: Option<PasswordHash>,
}

fn parse_hash(name: &str, hash: &str) -> Result<PasswordHash, EntryError> {
    if hash.contains(':') {
        return Err(EntryError::Fields {
            name: name.to_owned(),
        });
    }
    hash.parse().map_err(|error: HashError| EntryError::Hash {
        name: name.to_owned(),
        error,
    })
}

/// A line of an htpasswd file that is wrong or has no effect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {error}")]
pub struct HtpasswdProblem {
    /// The line's number; the first is 1.
    pub line: usize,
    /// What is wrong with it.
    pub error: EntryError,
}

/// What is wrong with one line of an htpasswd file.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// No colon. Distribution does not serve with such a file.
    #[error("no colon: write name:hash")]
    Colon,
    /// Nothing before the colon.
    #[error("no name before the colon")]
    Name,
    /// The hash is not of a kind that is supported.
    #[error("user {name:?} cannot log in: {error}")]
    Hash {
        /// The account.
        name: String,
        /// What is wrong with its hash.
        error: HashError,
    },
    /// Something follows the hash.
    #[error("user {name:?} cannot log in: remove the second colon and what follows it")]
    Fields {
        /// The account.
        name: String,
    },
    /// The name stands on an earlier line, too.
    #[error("user {name:?} is on line {earlier}, too: this line counts")]
    Duplicate {
        /// The account.
        name: String,
        /// The number of the line that does not count.
        earlier: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2y$05$WuwBasGDAgr.QCbGIjKJaep4dhxeai9gNZdmBnQXqpKly57oNutya";

    fn names(text: &str) -> Vec<String> {
        let file = parse(text);
        assert_eq!(file.problems, [], "{text}");
        file.accounts
            .iter()
            .map(|(name, _)| name.to_owned())
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
        assert_eq!(names(""), [""; 0]);
        let file = parse(&format!("ann:{HASH}"));
        let ann = file.accounts.find("ann").unwrap();
        assert!(ann.passwords[0].verify("123") && ann.labels.is_empty());
    }

    #[test]
    fn a_hash_that_would_take_hours_is_reported() {
        let costly = HASH.replace("$05$", "$31$");
        let file = parse(&format!("ann:{costly}\nbob:{HASH}"));
        assert!(file.accounts.find("ann").is_none() && file.accounts.find("bob").is_some());
        assert_eq!(
            file.problems[0].to_string(),
            "line 1: user \"ann\" cannot log in: bad bcrypt hash: its cost is 31, and none above 17 is \
             verified: hash the password anew"
        );
    }

    #[test]
    fn a_bad_line_is_reported_and_stops_no_other() {
        let text = format!(
            "nonsense\n:{HASH}\nold:$apr1$abc$def\nsha:{{SHA}}QL0AFWMIX8NRZTKeof9cXsvbvu8=\nplain:hunter2\n\
             empty:\ncut:$2y$05$abc\nextra:{HASH}:more\ntwice:{HASH}\ntwice:$apr1$abc$def\n\
             again:$apr1$abc$def\nagain:{HASH}\nann:{HASH}"
        );
        let file = parse(&text);
        let found: Vec<&str> = file.accounts.iter().map(|(name, _)| name).collect();
        assert_eq!(found, ["again", "ann"]);
        let problems: Vec<String> = file.problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "line 1: no colon: write name:hash",
                "line 2: no name before the colon",
                "line 3: user \"old\" cannot log in: this is an Apache MD5 hash ($apr1$), not a bcrypt or argon2id \
                 hash: make one with `wharfinger hash`",
                "line 4: user \"sha\" cannot log in: this is an unsalted SHA-1 hash ({SHA}), not a bcrypt or argon2id \
                 hash: make one with `wharfinger hash`",
                "line 5: user \"plain\" cannot log in: this is a plain password, or an unknown kind of hash, not a \
                 bcrypt or argon2id hash: make one with `wharfinger hash`",
                "line 6: user \"empty\" cannot log in: the password hash is empty: make one with `wharfinger hash`",
                "line 7: user \"cut\" cannot log in: bad bcrypt hash: after the cost come 53 characters, not 3; was it \
                 cut off, or its `$` eaten by a shell?",
                "line 8: user \"extra\" cannot log in: remove the second colon and what follows it",
                "line 10: user \"twice\" is on line 9, too: this line counts",
                "line 10: user \"twice\" cannot log in: this is an Apache MD5 hash ($apr1$), not a bcrypt or argon2id \
                 hash: make one with `wharfinger hash`",
                "line 11: user \"again\" cannot log in: this is an Apache MD5 hash ($apr1$), not a bcrypt or argon2id \
                 hash: make one with `wharfinger hash`",
                "line 12: user \"again\" is on line 11, too: this line counts",
            ]
        );
        assert!(!problems.concat().contains("hunter2"));
    }
}
