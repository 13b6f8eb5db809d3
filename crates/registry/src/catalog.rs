//! The list of repositories, Docker's: all of it, or what the caller may pull.

use std::sync::Arc;

use common::Entropy;
use serde::Serialize;
use storage::PageRequest;

use crate::access::CatalogAccess;
use crate::body::HttpResponse;
use crate::cursor::CursorKey;
use crate::error::RegistryError;
use crate::paging::{Bounds, link};
use crate::request::ApiRequest;
use crate::response;
use crate::visibility::CatalogFilter;

/// Docker's default.
const DEFAULT: u32 = 100;

/// How many repositories are looked at for one page of a filtered list. A caller who may see few
/// gets short pages, each for a bounded amount of work, and a `Link` to go on.
const EXAMINED: u32 = 5000;

/// How many of them are read at once.
const BATCH: u32 = 500;

const PATH: &str = "/v2/_catalog";

#[derive(Serialize)]
struct Repositories {
    repositories: Vec<String>,
}

/// Pages of the list of repositories.
pub(crate) struct Lists {
    pub(crate) max: u32,
    pub(crate) cursors: Arc<CursorKey>,
    pub(crate) entropy: Arc<dyn Entropy>,
}

/// Where a filtered page ended.
enum End {
    /// With the list.
    Nothing,
    /// With an entry of the page.
    Entry,
    /// With a repository that the caller does not see.
    Hidden(String),
}

impl Lists {
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
                    .ok_or(RegistryError::Cursor)?,
            ),
            None => call.query.first("last").map(str::to_owned),
        };
        let (repositories, end) = match proof.sight() {
            None => whole(proof, after, size).await?,
            Some(sight) => filtered(proof, sight, after, size).await?,
        };
        let last = repositories.last().cloned().unwrap_or_default();
        let mut answer = response::json(&Repositories { repositories });
        let n = size.to_string();
        match end {
            End::Nothing => {}
            End::Entry => link(&mut answer, call, PATH, &[("n", &n), ("last", &last)]),
            End::Hidden(name) => {
                let cursor = self
                    .cursors
                    .seal(&name, proof.account(), self.entropy.as_ref());
                let cursor = cursor.map_err(|error| RegistryError::Internal(error.into()))?;
                link(&mut answer, call, PATH, &[("n", &n), ("next", &cursor)]);
            }
        }
        Ok(answer)
    }
}

async fn whole(
    proof: &CatalogAccess<'_>,
    after: Option<String>,
    size: u32,
) -> Result<(Vec<String>, End), RegistryError> {
    let listing = proof
        .storage()
        .manifests()
        .repositories(PageRequest { after, limit: size })
        .await?;
    let more = listing.more && !listing.entries.is_empty();
    Ok((
        listing.entries,
        if more { End::Entry } else { End::Nothing },
    ))
}

/// A page of what `sight` reaches.
async fn filtered(
    proof: &CatalogAccess<'_>,
    sight: &CatalogFilter,
    mut after: Option<String>,
    size: u32,
) -> Result<(Vec<String>, End), RegistryError> {
    let (mut seen, mut examined) = (Vec::new(), 0);
    if size == 0 || matches!(sight, CatalogFilter::Nothing) {
        return Ok((seen, End::Nothing));
    }
    loop {
        let listing = proof
            .storage()
            .manifests()
            .repositories(PageRequest {
                after,
                limit: BATCH,
            })
            .await?;
        let Some(last) = listing.entries.last().cloned() else {
            return Ok((seen, End::Nothing));
        };
        let count = listing.entries.len();
        for (index, name) in listing.entries.into_iter().enumerate() {
            if !sight.shows(&name) {
                continue;
            }
            seen.push(name);
            if seen.len() >= size as usize {
                let more = listing.more || index + 1 < count;
                return Ok((seen, if more { End::Entry } else { End::Nothing }));
            }
        }
        if !listing.more {
            return Ok((seen, End::Nothing));
        }
        examined += BATCH;
        if examined >= EXAMINED {
            let is_seen = seen.last() == Some(&last);
            return Ok((
                seen,
                if is_seen {
                    End::Entry
                } else {
                    End::Hidden(last)
                },
            ));
        }
        after = Some(last);
    }
}
