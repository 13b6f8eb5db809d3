//! Docker's list of repositories: all of them, or those that the client may pull.

use std::sync::Arc;

use common::Entropy;
use event::EventKind;
use serde::Serialize;
use storage::PageRequest;

use crate::access::CatalogAccess;
use crate::cursor::CursorKey;
use crate::error::RegistryError;
use crate::paging::{Bounds, link};
use crate::pull_permissions::VisibleRepositories;
use crate::request::ApiRequest;
use crate::response;
use crate::response_body::HttpResponse;

/// Docker's default.
const DEFAULT: u32 = 100;

/// How many repositories are examined for one page of a filtered list. A client that may see few
/// gets short pages, each for a bounded amount of work, and a `Link` to go on.
const EXAMINED: u32 = 5000;

/// How many repositories are read at once.
const BATCH: u32 = 500;

const PATH: &str = "/v2/_catalog";

#[derive(Serialize)]
struct Repositories {
    repositories: Vec<String>,
}

/// Pages of the list of repositories.
pub(crate) struct CatalogPages {
    pub(crate) max: u32,
    pub(crate) cursors: Arc<CursorKey>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

/// What follows a page.
enum PageEnd {
    /// Nothing that the client may see.
    Nothing,
    /// More that the client may see.
    More,
    /// The client may see nothing up to this repository. What comes after it was not examined.
    Unexamined(String),
}

impl CatalogPages {
    /// `GET` of the catalog.
    pub(crate) async fn page(
        &self,
        proof: &CatalogAccess<'_>,
        call: &ApiRequest<'_>,
    ) -> Result<HttpResponse, RegistryError> {
        let bounds = Bounds {
            default: DEFAULT.min(self.max),
            max: self.max,
            strict: true,
        };
        let size = bounds.page_size(call.query.first("n"))?;
        let after = match call.query.first("next") {
            Some(cursor) => Some(
                self.cursors
                    .open(cursor, proof.account())
                    .ok_or(RegistryError::InvalidCursor)?,
            ),
            None => call.query.first("last").map(str::to_owned),
        };
        let (repositories, end) = match proof.filter() {
            VisibleRepositories::Everything => whole(proof, after, size).await?,
            filter => filtered(proof, filter, after, size).await?,
        };
        let last = repositories.last().cloned().unwrap_or_default();
        call.observe(EventKind::CatalogRead {
            repositories: repositories.len(),
        });
        let list = response::encoded(&Repositories { repositories });
        let mut response = response::json_bytes(call.hold(list)?);
        let n = size.to_string();
        match end {
            PageEnd::Nothing => {}
            PageEnd::More => link(&mut response, call, PATH, &[("n", &n), ("last", &last)]),
            PageEnd::Unexamined(name) => {
                let cursor = self
                    .cursors
                    .seal(&name, proof.account(), self.entropy.as_ref());
                let cursor = cursor?;
                link(&mut response, call, PATH, &[("n", &n), ("next", &cursor)]);
            }
        }
        Ok(response)
    }
}

async fn whole(
    proof: &CatalogAccess<'_>,
    after: Option<String>,
    size: u32,
) -> Result<(Vec<String>, PageEnd), RegistryError> {
    let page = PageRequest { after, limit: size };
    let listing = proof.repositories(page).await?;
    let end = if listing.more && !listing.entries.is_empty() {
        PageEnd::More
    } else {
        PageEnd::Nothing
    };
    Ok((listing.entries, end))
}

/// A page of what `filter` shows. Only what it shows counts: a page that is full has a next one only
/// if that shows something, so its `Link` does not tell of hidden repositories.
async fn filtered(
    proof: &CatalogAccess<'_>,
    filter: &VisibleRepositories,
    mut after: Option<String>,
    size: u32,
) -> Result<(Vec<String>, PageEnd), RegistryError> {
    let (mut shown, mut examined) = (Vec::new(), 0);
    if size == 0 || matches!(filter, VisibleRepositories::Nothing) {
        return Ok((shown, PageEnd::Nothing));
    }
    loop {
        let page = PageRequest {
            after,
            limit: BATCH,
        };
        let listing = proof.repositories(page).await?;
        let Some(last) = listing.entries.last().cloned() else {
            return Ok((shown, PageEnd::Nothing));
        };
        for name in listing.entries {
            if !filter.allows(&name) {
                continue;
            }
            if shown.len() >= size as usize {
                return Ok((shown, PageEnd::More));
            }
            shown.push(name);
        }
        if !listing.more {
            return Ok((shown, PageEnd::Nothing));
        }
        examined += BATCH;
        if examined >= EXAMINED {
            let is_shown = shown.last() == Some(&last);
            return Ok((
                shown,
                if is_shown {
                    PageEnd::More
                } else {
                    PageEnd::Unexamined(last)
                },
            ));
        }
        after = Some(last);
    }
}
