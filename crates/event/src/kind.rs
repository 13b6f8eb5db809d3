//! What can happen.

use std::fmt::Display;
use std::time::Duration;

use oci::{Digest, RepositoryName, Tag};
use serde::{Serialize, Serializer};

/// What has happened.
///
/// Administration is not among these: the database records it with the change.
///
/// More kinds come with more features, so a `match` outside this workspace needs a `_` arm.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EventKind<'a> {
    /// The token server signed a token, which may grant less than the client asked for.
    TokenIssued(TokenDecision<'a>),
    /// The token server refused to sign one.
    TokenRefused {
        /// What was asked, as far as it was understood.
        #[serde(flatten)]
        decision: TokenDecision<'a>,
        /// The HTTP status of the response.
        status: u16,
        /// The error in the response.
        response: &'a str,
        /// Why. The response may not say all of it.
        reason: &'a str,
    },
    /// A client logged in with a name and a password.
    LoginAccepted {
        /// Which backend knows the account: `users`, `ext_auth`, `htpasswd`, …
        backend: &'a str,
    },
    /// A client failed to log in.
    LoginRefused {
        /// Why, for the operator.
        reason: &'a str,
    },
    /// A session (a refresh token) began.
    SessionBegun {
        /// The session's id, which is no secret.
        session: &'a str,
        /// For which service.
        service: &'a str,
    },
    /// A session ended before its time.
    SessionEnded {
        /// The session's id.
        session: &'a str,
        /// Why: `revoked`, `account removed`, …
        reason: &'a str,
    },
    /// The registry refused a request because the client lacks access.
    AccessRefused(AccessRefusal<'a>),
    /// A client read a manifest (`GET`, not `HEAD`).
    ManifestPulled(ManifestEvent<'a>),
    /// A client asked whether a manifest exists (`HEAD`). Most clients do so before they read it by its
    /// digest. The audit table has no record of it.
    ManifestChecked(ManifestEvent<'a>),
    /// A client pushed a manifest.
    ManifestPushed(ManifestEvent<'a>),
    /// A client removed a manifest with all its tags.
    ManifestDeleted {
        /// Its repository.
        #[serde(serialize_with = "display")]
        repository: &'a RepositoryName,
        /// The manifest.
        digest: &'a Digest,
    },
    /// A tag was made or pointed at another manifest.
    TagMoved {
        /// Its repository.
        #[serde(serialize_with = "display")]
        repository: &'a RepositoryName,
        /// The tag.
        #[serde(serialize_with = "display")]
        tag: &'a Tag,
        /// What it pointed at before. Absent for a new tag, or if that is not known.
        #[serde(skip_serializing_if = "Option::is_none")]
        from: Option<&'a Digest>,
        /// What it points at now.
        to: &'a Digest,
    },
    /// A change was refused, because a tag is immutable that would move or go, or that needs what would
    /// go.
    TagRefused {
        /// Its repository.
        #[serde(serialize_with = "display")]
        repository: &'a RepositoryName,
        /// The tag.
        #[serde(serialize_with = "display")]
        tag: &'a Tag,
        /// What it points at.
        digest: &'a Digest,
        /// The rule that makes it immutable: `registry.yml:31`, `rule 3 of the database`.
        rule: &'a str,
    },
    /// A change was refused, because it would exceed a quota.
    QuotaExceeded {
        /// The quota.
        #[serde(flatten)]
        quota: QuotaEvent<'a>,
        /// How much the change would add, in bytes or tags. Of a blob whose size is not known, this is what
        /// has come so far.
        requested: u64,
    },
    /// A change has brought the use of a quota over the share at which it warns.
    QuotaWarning(QuotaEvent<'a>),
    /// A client removed a tag.
    TagDeleted {
        /// Its repository.
        #[serde(serialize_with = "display")]
        repository: &'a RepositoryName,
        /// The tag.
        #[serde(serialize_with = "display")]
        tag: &'a Tag,
    },
    /// A client began to read a blob, or a part of one (`GET`, not `HEAD`).
    BlobPulled {
        /// The blob.
        #[serde(flatten)]
        blob: BlobEvent<'a>,
        /// How many bytes the response has.
        length: u64,
    },
    /// A client asked whether a blob exists (`HEAD`). The audit table has no record of it.
    BlobChecked(BlobEvent<'a>),
    /// A client uploaded a blob.
    BlobPushed(BlobEvent<'a>),
    /// A repository was given a blob that another one has.
    BlobMounted {
        /// The blob.
        #[serde(flatten)]
        blob: BlobEvent<'a>,
        /// The other repository.
        #[serde(serialize_with = "display")]
        from: &'a RepositoryName,
    },
    /// A client removed a blob from a repository.
    BlobDeleted {
        /// Its repository.
        #[serde(serialize_with = "display")]
        repository: &'a RepositoryName,
        /// The blob.
        digest: &'a Digest,
    },
    /// A client read a page of the list of repositories.
    CatalogRead {
        /// How many repositories the page has.
        repositories: usize,
    },
    /// A pass of collection removed unused content.
    Collection {
        /// How many manifests.
        manifests: u64,
        /// How many blobs.
        blobs: u64,
        /// Their size in bytes.
        bytes: u64,
        /// How many abandoned uploads.
        uploads: u64,
    },
    /// Retention removed a tag. It can be restored for some time.
    TagRemovedByRetention {
        /// Its repository.
        #[serde(serialize_with = "display")]
        repository: &'a RepositoryName,
        /// The tag.
        #[serde(serialize_with = "display")]
        tag: &'a Tag,
        /// What it pointed at.
        digest: &'a Digest,
        /// Why, with the rule.
        reason: &'a str,
    },
    /// An operator restored a tag that retention had removed.
    TagRestored {
        /// Its repository.
        #[serde(serialize_with = "display")]
        repository: &'a RepositoryName,
        /// The name that it has now.
        #[serde(serialize_with = "display")]
        tag: &'a Tag,
        /// What it points at.
        digest: &'a Digest,
    },
    /// A run of retention ended.
    RetentionRun {
        /// How many repositories have rules.
        repositories: u64,
        /// How many tags they had.
        tags: u64,
        /// How many were removed.
        removed: u64,
        /// How many were planned to go and stayed, because they were changed or used meanwhile.
        skipped: u64,
    },
}

/// What the token server was asked for and what it decided.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct TokenDecision<'a> {
    /// The service that the token is for.
    pub service: &'a str,
    /// The name that the client program gives itself (`client_id`).
    #[serde(skip_serializing_if = "str::is_empty")]
    pub client_id: &'a str,
    /// How the client proved its identity: `anonymous`, `password`, `refresh_token`, …
    pub grant: &'a str,
    /// Which backend knows the account; empty for an anonymous client.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub backend: &'a str,
    /// The backends that were asked before it and do not know the account, separated by spaces.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub asked_before: &'a str,
    /// The labels that the backend gave to the account: `team=red,blue vip=`.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub labels: &'a str,
    /// What the proof says of its origin, if it says more than the account: the rule that trusts its
    /// issuer, the repository, the run.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub origin: &'a str,
    /// The session whose refresh token was used or made.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub session: &'a str,
    /// The scopes that were asked for, separated by spaces.
    pub requested: &'a str,
    /// The scopes that were granted, separated by spaces.
    pub granted: &'a str,
    /// What decided each scope, in the same order: `auth.yml:31`, `ext_authz`, `none`.
    pub rules: &'a str,
    /// How long the decision took, in microseconds.
    #[serde(rename = "took_us", serialize_with = "microseconds")]
    pub duration: Duration,
}

/// A request that the registry refused because the client lacks access.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AccessRefusal<'a> {
    /// The HTTP status of the response.
    pub status: u16,
    /// The scopes that the client lacks, separated by spaces.
    pub requested: &'a str,
    /// Why, for the operator.
    pub reason: &'a str,
}

/// A manifest that was pulled, asked for or pushed.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct ManifestEvent<'a> {
    /// Its repository.
    #[serde(serialize_with = "display")]
    pub repository: &'a RepositoryName,
    /// The manifest.
    pub digest: &'a Digest,
    /// The tag or digest by which the client asked for it.
    pub reference: &'a str,
    /// Its media type.
    pub media_type: &'a str,
    /// Its size in bytes.
    pub size: u64,
    /// Its bytes, for observers that need to know what it refers to.
    #[serde(skip)]
    pub content: &'a [u8],
}

/// A blob that was pulled, asked for, pushed or mounted.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BlobEvent<'a> {
    /// Its repository.
    #[serde(serialize_with = "display")]
    pub repository: &'a RepositoryName,
    /// The blob.
    pub digest: &'a Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// A quota that a change to a repository was refused for, or has brought near its limit.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct QuotaEvent<'a> {
    /// The repository that was changed, or would have been.
    #[serde(serialize_with = "display")]
    pub repository: &'a RepositoryName,
    /// The prefix that has the quota.
    pub prefix: &'a str,
    /// What is limited: `bytes` or `tags`.
    pub resource: &'a str,
    /// How much of it is used.
    pub used: u64,
    /// The limit.
    pub limit: u64,
}

impl EventKind<'_> {
    /// The name of each kind.
    pub const NAMES: [&'static str; 26] = [
        "token_issued",
        "token_refused",
        "login_accepted",
        "login_refused",
        "session_begun",
        "session_ended",
        "access_refused",
        "manifest_pulled",
        "manifest_checked",
        "manifest_pushed",
        "manifest_deleted",
        "tag_moved",
        "tag_refused",
        "quota_exceeded",
        "quota_warning",
        "tag_deleted",
        "blob_pulled",
        "blob_checked",
        "blob_pushed",
        "blob_mounted",
        "blob_deleted",
        "catalog_read",
        "collection",
        "tag_removed_by_retention",
        "tag_restored",
        "retention_run",
    ];

    /// The name of the kind, as in `manifest_pushed`: what [`Event`](crate::Event) has as `event`
    /// in JSON.
    #[must_use]
    pub fn name(&self) -> &'static str {
        Self::NAMES[self.place()]
    }

    /// The place of the kind among [`NAMES`](Self::NAMES), for what is kept of each kind.
    #[must_use]
    pub fn place(&self) -> usize {
        match self {
            Self::TokenIssued(_) => 0,
            Self::TokenRefused { .. } => 1,
            Self::LoginAccepted { .. } => 2,
            Self::LoginRefused { .. } => 3,
            Self::SessionBegun { .. } => 4,
            Self::SessionEnded { .. } => 5,
            Self::AccessRefused(_) => 6,
            Self::ManifestPulled(_) => 7,
            Self::ManifestChecked(_) => 8,
            Self::ManifestPushed(_) => 9,
            Self::ManifestDeleted { .. } => 10,
            Self::TagMoved { .. } => 11,
            Self::TagRefused { .. } => 12,
            Self::QuotaExceeded { .. } => 13,
            Self::QuotaWarning(_) => 14,
            Self::TagDeleted { .. } => 15,
            Self::BlobPulled { .. } => 16,
            Self::BlobChecked(_) => 17,
            Self::BlobPushed(_) => 18,
            Self::BlobMounted { .. } => 19,
            Self::BlobDeleted { .. } => 20,
            Self::CatalogRead { .. } => 21,
            Self::Collection { .. } => 22,
            Self::TagRemovedByRetention { .. } => 23,
            Self::TagRestored { .. } => 24,
            Self::RetentionRun { .. } => 25,
        }
    }
}

fn display<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

fn microseconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_all_kinds() {
        let source = include_str!("kind.rs");
        let arms = source.lines().filter_map(|line| {
            let (kind, place) = line.trim().strip_prefix("Self::")?.split_once(" => ")?;
            let place: usize = place.strip_suffix(',')?.parse().ok()?;
            let kind = kind.split([' ', '(']).next()?;
            let mut name = String::new();
            for character in kind.chars() {
                if character.is_uppercase() && !name.is_empty() {
                    name.push('_');
                }
                name.push(character.to_ascii_lowercase());
            }
            Some((place, name))
        });
        let names = EventKind::NAMES.iter().map(|name| (*name).to_owned());
        assert!(arms.eq(names.enumerate()));
    }
}
