//! Lists that come in pages.

use std::collections::HashSet;

use reqwest::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{ApiClient, ApiError, ApiRoute};

/// How much of a list is read, in bytes.
pub(super) const MAX_LIST_BYTES: usize = 64 * 1024 * 1024;
/// How many pages of a list are read.
const MAX_PAGES: usize = 2000;
/// How many objects a page has, if the server has so many for one.
const PAGE: usize = 1000;
/// The longest cursor, in bytes.
const MAX_CURSOR_BYTES: usize = 4096;

/// One page.
#[derive(Deserialize)]
struct ListPage<T> {
    items: Vec<T>,
    #[serde(default)]
    next: Option<ListCursor>,
}

/// Where the next page begins, as only the server understands it.
#[derive(Deserialize)]
#[serde(untagged)]
enum ListCursor {
    Text(String),
    Number(i64),
}

impl ApiClient {
    /// The objects of the list at `route`, at most `most` of them, page by page. `cursor` is the
    /// parameter that says where a page begins.
    ///
    /// # Errors
    /// When a page cannot be read, or the list does not end.
    pub async fn list<T: DeserializeOwned>(
        &self,
        route: ApiRoute,
        cursor: &'static str,
        most: usize,
    ) -> Result<Vec<T>, ApiError> {
        let route = route.with("limit", &most.min(PAGE).to_string());
        let (mut all, mut bytes) = (Vec::new(), 0);
        let (mut page_route, mut cursors) = (route.clone(), HashSet::new());
        for _ in 0..MAX_PAGES {
            let request = self.request(Method::GET, &page_route)?;
            let sent = self.send(&page_route, request, MAX_LIST_BYTES - bytes);
            let sent = sent.await?;
            bytes += sent.body.len();
            let page: ListPage<T> = self.parsed(&sent)?;
            all.extend(page.items);
            let next = match page.next {
                Some(next) if all.len() < most => next.text(),
                _ => {
                    all.truncate(most);
                    return Ok(all);
                }
            };
            if next.len() > MAX_CURSOR_BYTES || !cursors.insert(next.clone()) {
                break;
            }
            page_route = route.clone().with(cursor, &next);
        }
        Err(ApiError::Endless {
            address: self.address().to_string(),
            objects: all.len(),
        })
    }
}

impl ListCursor {
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
        }
    }
}
