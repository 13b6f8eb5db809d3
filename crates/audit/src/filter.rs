//! Which records are read.

use database::ToValue;
use event::EventKind;

use crate::index_range::{AuditStatement, IndexRange};

/// Which records are read: those that fit all of what is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Of this account, as it is recorded.
    pub account: Option<String>,
    /// About this repository.
    pub repository: Option<String>,
    /// About this tag of the repository, or about a manifest that it has pointed at.
    pub tag: Option<String>,
    /// About this manifest or blob.
    pub digest: Option<String>,
    /// Of this kind.
    pub kind: Option<String>,
    /// Not before this time, in milliseconds since the Unix epoch.
    pub since: Option<i64>,
    /// Before this time.
    pub until: Option<i64>,
}

/// The kinds of records that are no events: the database writes the first, the recorder the second.
const OTHER_KINDS: [&str; 2] = ["administration", "events_lost"];

/// The events of which there are no records: a client only asked whether something exists.
const UNRECORDED_KINDS: [&str; 2] = ["manifest_checked", "blob_checked"];

/// With how many digests of a tag a record is compared.
const MOST_COMPARED: usize = 200;

/// A kind of which there are no records.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no event `{0}`: use {kinds}", kinds = known_kinds())]
pub struct UnknownKind(pub String);

/// Requires that records can have this kind.
///
/// # Errors
/// [`UnknownKind`], with all kinds.
pub fn known_kind(name: &str) -> Result<String, UnknownKind> {
    match recorded_events().any(|event| event == name) || OTHER_KINDS.contains(&name) {
        true => Ok(name.to_owned()),
        false => Err(UnknownKind(name.to_owned())),
    }
}

fn recorded_events() -> impl Iterator<Item = &'static str> {
    let events = EventKind::NAMES.into_iter();
    events.filter(|name| !UNRECORDED_KINDS.contains(name))
}

fn known_kinds() -> String {
    let events: Vec<_> = recorded_events().collect();
    let [administration, lost] = OTHER_KINDS;
    format!("{}, {administration} or {lost}", events.join(", "))
}

/// The kinds of which there are most. The table has an index for all others, in which these would be
/// most of the entries. The text is that of the migration.
const FREQUENT: [&str; 4] = [
    "token_issued",
    "login_accepted",
    "manifest_pulled",
    "blob_pulled",
];

impl AuditFilter {
    /// The condition that a record fits what is given, apart from the time. `digests` are those to which the
    /// tag has pointed; `None` leaves the tag out.
    pub(crate) fn condition<'a>(
        &'a self,
        statement: &mut AuditStatement<'a>,
        digests: Option<&'a [String]>,
    ) -> String {
        let texts = [
            ("account", &self.account),
            ("repository", &self.repository),
            ("digest", &self.digest),
            ("kind", &self.kind),
        ];
        let mut conditions = Vec::new();
        for (column, text) in texts {
            if let Some(text) = text {
                conditions.push(format!("{column} = {}", statement.place(text.to_value())));
            }
        }
        if let (Some(tag), Some(digests)) = (&self.tag, digests) {
            let tag = statement.place(tag.to_value());
            // Docker asks for a manifest by its digest after it has asked for the tag.
            let pointed_at: Vec<String> = digests
                .iter()
                .map(|digest| statement.place(digest.to_value()))
                .collect();
            conditions.push(match pointed_at.is_empty() {
                true => format!("reference = {tag}"),
                false => format!(
                    "(reference = {tag} OR digest IN ({}))",
                    pointed_at.join(", ")
                ),
            });
        }
        match conditions.is_empty() {
            true => "1 = 1".to_owned(),
            false => conditions.join(" AND "),
        }
    }

    /// What the database can read to find the records: each is a way, and has all of them.
    pub(crate) fn ways(&self, digests: &[String]) -> Vec<Vec<IndexRange>> {
        let mut ways = Vec::new();
        match (&self.repository, &self.digest, &self.tag) {
            (Some(repository), Some(digest), _) => ways.push(vec![IndexRange::Digest {
                repository: repository.clone(),
                digest: digest.clone(),
            }]),
            // Where the tag has pointed is not known: whatever it was, it is among these.
            (Some(repository), None, Some(_)) if digests.is_empty() => {
                ways.push(vec![IndexRange::Repository(repository.clone())]);
            }
            (Some(repository), None, Some(tag)) => {
                let pointed_at = digests.iter().map(|digest| IndexRange::Digest {
                    repository: repository.clone(),
                    digest: digest.clone(),
                });
                let changes = IndexRange::TagChanges {
                    repository: repository.clone(),
                    tag: tag.clone(),
                };
                ways.push(pointed_at.chain([changes]).collect());
            }
            (Some(repository), None, None) => {
                ways.push(vec![IndexRange::Repository(repository.clone())]);
            }
            (None, ..) => {}
        }
        // Otherwise each record would be compared with too many digests.
        if digests.len() > MOST_COMPARED {
            return ways;
        }
        if let Some(account) = &self.account {
            let kinds = match self.kind.as_deref() {
                Some("token_issued") => &[true][..],
                Some(_) => &[false],
                None => &[true, false],
            };
            let ranges = kinds.iter().map(|are_tokens| IndexRange::Account {
                account: account.clone(),
                are_tokens: *are_tokens,
            });
            ways.push(ranges.collect());
        }
        if let Some(kind) = self.kind.as_deref().filter(|kind| !FREQUENT.contains(kind)) {
            ways.push(vec![IndexRange::RareKind(kind.to_owned())]);
        }
        if ways.is_empty() {
            ways.push(vec![IndexRange::All]);
        }
        ways
    }
}
