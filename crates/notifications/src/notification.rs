//! An event, as an endpoint is told of it.
//!
//! Names, order and omissions are those of Distribution 3 (`notifications/event.go` there).
//! `mediaType`, `digest` and `size` are always there, because its targets embed the OCI descriptor.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::DescriptorRecord;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotificationAction {
    /// Content was read, or asked for with `HEAD`.
    Pull,
    /// Content was stored.
    Push,
    /// A blob was taken from another repository.
    Mount,
    /// A manifest, a tag or a blob was removed.
    Delete,
}

impl NotificationAction {
    /// Its word in the envelope.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "push",
            Self::Mount => "mount",
            Self::Delete => "delete",
        }
    }
}

/// An event, as it stands in the envelope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification<'a> {
    /// A random UUID. A notification that is sent again has the same one.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub id: Cow<'a, str>,
    /// When it happened, as RFC 3339 in UTC.
    pub timestamp: Cow<'a, str>,
    /// What was done.
    pub action: NotificationAction,
    /// To what.
    pub target: NotificationTarget<'a>,
    /// By which request.
    pub request: RequestRecord<'a>,
    /// By which account.
    pub actor: ActorRecord<'a>,
    /// At which server.
    pub source: SourceRecord<'a>,
}

/// What an event is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NotificationTarget<'a> {
    /// The media type of the manifest; of a blob `application/octet-stream`. Empty for a deletion.
    pub media_type: Cow<'a, str>,
    /// Empty if a tag was deleted.
    pub digest: Cow<'a, str>,
    /// In bytes.
    pub size: u64,
    /// The size again, under its old name.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub length: u64,
    /// The repository.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub repository: Cow<'a, str>,
    /// Where a mounted blob was taken from.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub from_repository: Cow<'a, str>,
    /// Where the content is.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub url: Cow<'a, str>,
    /// The tag by which the client named it.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub tag: Cow<'a, str>,
    /// What the manifest refers to, if that is configured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<DescriptorRecord>,
}

/// The request that caused an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestRecord<'a> {
    /// Its id, which the client also sees as `X-Request-Id`.
    pub id: Cow<'a, str>,
    /// The address of the client, without its port.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub addr: Cow<'a, str>,
    /// The host at which the client reached the registry.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub host: Cow<'a, str>,
    /// Its method.
    pub method: Cow<'a, str>,
    /// Its `User-Agent`.
    pub useragent: Cow<'a, str>,
}

/// The account that caused an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorRecord<'a> {
    /// Its name; empty for an anonymous client.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub name: Cow<'a, str>,
}

/// The server at which an event happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRecord<'a> {
    /// The name of its machine, and the port on which it listens.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub addr: Cow<'a, str>,
    /// A random UUID, made at each start.
    #[serde(default, rename = "instanceID", skip_serializing_if = "is_empty")]
    pub instance_id: Cow<'a, str>,
}

#[expect(clippy::ptr_arg, reason = "serde passes a reference to the field")]
fn is_empty(text: &Cow<'_, str>) -> bool {
    text.is_empty()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
