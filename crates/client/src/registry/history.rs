//! The history of a tag, an extension of wharfinger (`_wharfinger` in the registry's list of
//! extensions).

use oci::{Digest, Tag};
use serde::Deserialize;

use super::RepositoryClient;
use super::list::next_page;
use crate::session::Scopes;
use crate::transport::ClientRequest;
use crate::{Error, HttpErrorResponse};

/// The largest page that is read, in bytes.
const MAX_PAGE_BYTES: usize = 16 * 1024 * 1024;
/// The largest page that is asked for.
const PAGE: usize = 1000;

/// A change of a tag.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct TagHistoryEntry {
    /// When it was made: RFC 3339.
    pub time: String,
    /// What the tag pointed at before. `None`: it is new.
    #[serde(default)]
    pub from: Option<Digest>,
    /// What it points at since then. `None`: it was removed.
    #[serde(default)]
    pub to: Option<Digest>,
    /// The account that made the change, if the registry shows it.
    #[serde(default)]
    pub account: Option<String>,
    /// The id of its request, which is in the registry's log.
    #[serde(default)]
    pub request_id: Option<String>,
}

#[derive(Deserialize)]
struct HistoryPage {
    #[serde(default)]
    history: Vec<TagHistoryEntry>,
}

impl RepositoryClient {
    /// What became of a tag, newest first, at most `limit` changes.
    ///
    /// # Errors
    /// When the tag is unknown, or the registry has no history of tags.
    pub async fn tag_history(
        &self,
        tag: &Tag,
        limit: usize,
    ) -> Result<Vec<TagHistoryEntry>, Error> {
        let mut url = self.url("_wharfinger/tags/history")?;
        url.query_pairs_mut()
            .append_pair("tag", tag.as_str())
            .append_pair("n", &limit.min(PAGE).to_string());
        let (mut next, mut changes) = (Some(url), Vec::new());
        while let Some(url) = next.take().filter(|_| changes.len() < limit) {
            let request = ClientRequest::get(url.clone());
            let response = self
                .session
                .send(&Scopes::pull(&self.name), request)
                .await?;
            let mut response = response.success().await.map_err(|error| match error {
                Error::NotFound { source, .. } if !knows_the_address(&source) => {
                    Error::Unsupported(format!(
                        "{} has no history of tags, which is an extension of wharfinger",
                        self.session.host()
                    ))
                }
                error => error,
            })?;
            next = next_page(&response)?;
            if next.as_ref() == Some(&url) {
                return Err(response.malformed("its Link header leads to the same page again"));
            }
            let page: HistoryPage = response.json(MAX_PAGE_BYTES).await?;
            if page.history.is_empty() {
                break;
            }
            changes.extend(page.history);
        }
        changes.truncate(limit);
        Ok(changes)
    }
}

/// Whether the registry knows the address, and lacks the tag or the repository.
fn knows_the_address(response: &HttpErrorResponse) -> bool {
    let mut codes = response.errors.iter().map(|error| error.code.as_str());
    codes.any(|code| matches!(code, "MANIFEST_UNKNOWN" | "NAME_UNKNOWN"))
}
