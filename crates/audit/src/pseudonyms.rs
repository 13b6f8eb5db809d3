//! What of names and addresses is recorded.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use aws_lc_rs::hmac;
use data_encoding::HEXLOWER;
use serde_json::{Map, Value};

/// What is recorded of the persons that an event is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PersonalData {
    /// Of accounts: their names, labels, and what else tells who they are.
    pub accounts: Recording,
    /// Of clients' addresses.
    pub addresses: Recording,
}

/// How something personal is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Recording {
    /// As it is.
    #[default]
    Keep,
    /// As a keyed hash: equal ones stay equal, and only the database's key tells whose it is.
    Hash,
    /// Not at all.
    Omit,
}

impl Recording {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Keep, Self::Hash, Self::Omit];

    /// The word of the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Hash => "hash",
            Self::Omit => "omit",
        }
    }
}

impl fmt::Display for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Recording {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|one| one.word() == text);
        found.ok_or_else(|| format!("unknown word {text:?}: use keep, hash or omit"))
    }
}

/// Replaces names and addresses as [`PersonalData`] says.
pub struct Pseudonyms {
    data: PersonalData,
    key: hmac::Key,
}

/// Members of an event that tell more of a person than its account does.
const ABOUT_THE_ACCOUNT: [&str; 3] = ["labels", "origin", "user_agent"];
/// Members that are sentences, in which the account may be named.
const SENTENCES: [&str; 2] = ["reason", "response"];

impl Pseudonyms {
    /// Hashes with this key, which the database keeps.
    #[must_use]
    pub fn new(data: PersonalData, key: &[u8; 32]) -> Self {
        Self {
            data,
            key: hmac::Key::new(hmac::HMAC_SHA256, key),
        }
    }

    /// Whether everything is recorded as it is.
    pub(crate) fn keeps_all(&self) -> bool {
        self.data == PersonalData::default()
    }

    /// What is recorded of an account; the anonymous one has no name to hide.
    #[must_use]
    pub fn account<'a>(&self, name: &'a str) -> Cow<'a, str> {
        if name.is_empty() {
            return Cow::Borrowed(name);
        }
        self.recorded(self.data.accounts, "account", name)
    }

    /// Replaces what is personal in an event.
    pub(crate) fn replace(&self, event: &mut Map<String, Value>) {
        let text = |event: &Map<String, Value>, member: &str| {
            event.get(member).and_then(Value::as_str).map(str::to_owned)
        };
        if let Some(address) = text(event, "address") {
            let recorded = self.recorded(self.data.addresses, "address", &address);
            set(event, "address", &recorded);
        }
        if self.data.accounts == Recording::Keep {
            return;
        }
        for member in ABOUT_THE_ACCOUNT {
            event.remove(member);
        }
        let Some(account) = text(event, "account") else {
            return;
        };
        let recorded = self.account(&account).into_owned();
        for member in SENTENCES {
            if let Some(sentence) = text(event, member) {
                set(event, member, &sentence.replace(&account, &recorded));
            }
        }
        set(event, "account", &recorded);
    }

    fn recorded<'a>(&self, how: Recording, what: &str, text: &'a str) -> Cow<'a, str> {
        match how {
            Recording::Keep => Cow::Borrowed(text),
            Recording::Omit => Cow::Borrowed(""),
            Recording::Hash => {
                let tag = hmac::sign(&self.key, format!("{what} {text}").as_bytes());
                Cow::Owned(format!("hash:{}", HEXLOWER.encode(&tag.as_ref()[..16])))
            }
        }
    }
}

/// An empty text is no member.
fn set(event: &mut Map<String, Value>, member: &str, text: &str) {
    match text {
        "" => drop(event.remove(member)),
        text => drop(event.insert(member.to_owned(), text.into())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn replaced(accounts: Recording, addresses: Recording) -> Value {
        let data = PersonalData {
            accounts,
            addresses,
        };
        let mut event = json!({
            "event": "access_refused", "account": "ann", "address": "192.0.2.7", "labels": "team=red",
            "reason": "no rule lets \"ann\" pull from app", "repository": "app",
        });
        Pseudonyms::new(data, &[7; 32]).replace(event.as_object_mut().unwrap());
        event
    }

    #[test]
    fn names_are_kept_hashed_or_left_out() {
        let kept = replaced(Recording::Keep, Recording::Keep);
        assert_eq!(
            (&kept["account"], &kept["labels"]),
            (&"ann".into(), &"team=red".into())
        );
        let hashed = replaced(Recording::Hash, Recording::Hash).to_string();
        assert!(hashed.contains("\"account\":\"hash:") && hashed.contains("\"address\":\"hash:"));
        assert!(
            !hashed.contains("ann") && !hashed.contains("192.0.2.7") && !hashed.contains("red")
        );
        let left_out = replaced(Recording::Omit, Recording::Omit);
        let expected = json!({
            "event": "access_refused", "reason": "no rule lets \"\" pull from app", "repository": "app",
        });
        assert_eq!(left_out, expected);
        let only_addresses = replaced(Recording::Keep, Recording::Omit);
        assert_eq!(
            (&only_addresses["account"], only_addresses.get("address")),
            (&"ann".into(), None)
        );
    }

    #[test]
    fn a_hash_depends_on_the_key_and_on_what_it_is_of() {
        let data = PersonalData {
            accounts: Recording::Hash,
            addresses: Recording::Hash,
        };
        let (one, other) = (
            Pseudonyms::new(data, &[1; 32]),
            Pseudonyms::new(data, &[2; 32]),
        );
        assert_eq!(one.account("ann"), one.account("ann"));
        assert_ne!(one.account("ann"), other.account("ann"));
        assert_ne!(one.account("ann"), one.account("bob"));
        assert_ne!(
            one.account("x"),
            one.recorded(Recording::Hash, "address", "x")
        );
        assert_eq!(one.account(""), "");
    }
}
