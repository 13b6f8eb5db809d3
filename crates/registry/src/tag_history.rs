//! The history of a tag. The specification has none yet (opencontainers/distribution-spec #606), so
//! this is an extension of ours.

use common::rfc3339;
use oci::{Reference, Tag, TagError};
use serde::Serialize;
use storage::{PageRequest, TagChange, TagChangeId};

use crate::authorized::{Authorized, Pull};
use crate::error::RegistryError;
use crate::paging::{Bounds, link};
use crate::request::ApiRequest;
use crate::response;
use crate::response_body::HttpResponse;

const BOUNDS: Bounds = Bounds {
    default: 100,
    max: 1000,
    strict: false,
};

#[derive(Serialize)]
struct TagHistory<'a> {
    name: &'a str,
    tag: &'a str,
    history: Vec<HistoryEntry<'a>>,
}

/// A change of a tag.
#[derive(Serialize)]
struct HistoryEntry<'a> {
    /// RFC 3339, to the second.
    time: String,
    /// Absent for a new tag.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// Absent for a tag that was removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    /// Not shown to anonymous clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

/// `GET` of the history of `?tag=`, newest first.
pub(crate) async fn list(
    proof: &Authorized<'_, Pull>,
    call: &ApiRequest<'_>,
) -> Result<HttpResponse, RegistryError> {
    let tag = call.query.first("tag").unwrap_or_default();
    let tag: Tag = tag
        .parse()
        .map_err(|error: TagError| RegistryError::HistoryTag(error))?;
    let size = BOUNDS.page_size(call.query.first("n"))?;
    let after = match call.query.first("last") {
        Some(text) => Some(TagChangeId(
            text.parse().map_err(|_| RegistryError::InvalidLast)?,
        )),
        None => None,
    };
    let is_first = after.is_none();
    let page = PageRequest { after, limit: size };
    let changes = proof.tag_history(&tag, page).await?;
    if is_first && changes.entries.is_empty() && !changes.more {
        // A tag from before the history began has none. One that never was is unknown.
        proof.manifest(&Reference::Tag(tag.clone())).await?;
    }
    let name = proof.repository().as_str();
    let shows_accounts = !proof.is_anonymous();
    let list = TagHistory {
        name,
        tag: tag.as_str(),
        history: changes
            .entries
            .iter()
            .map(|change| entry(change, shows_accounts))
            .collect(),
    };
    let mut response = response::json_bytes(call.hold(response::encoded(&list))?);
    if let (true, Some(last)) = (changes.more, changes.entries.last()) {
        link(
            &mut response,
            call,
            &format!("/v2/{name}/_wharfinger/tags/history"),
            &[
                ("tag", tag.as_str()),
                ("n", &size.to_string()),
                ("last", &last.id.0.to_string()),
            ],
        );
    }
    Ok(response)
}

fn entry(change: &TagChange, shows_accounts: bool) -> HistoryEntry<'_> {
    let author = shows_accounts.then_some(&change.author);
    HistoryEntry {
        time: rfc3339(u64::try_from(change.at).unwrap_or_default()),
        from: change.from.map(|digest| digest.to_string()),
        to: change.to.map(|digest| digest.to_string()),
        account: author.map(|author| author.account.as_str()),
        request_id: author.map(|author| author.request_id.as_str()),
    }
}
