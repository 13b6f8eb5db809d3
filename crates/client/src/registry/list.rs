//! Lists that come in pages: tags and repositories.

use std::collections::BTreeSet;

use oci::Tag;
use reqwest::header::LINK;
use reqwest::{StatusCode, Url};
use serde_json::{Map, Value};

use super::{RegistryClient, RepositoryClient};
use crate::http_error_response::origin;
use crate::session::Scopes;
use crate::transport::{ClientRequest, ClientResponse};
use crate::{Error, Link, RegistrySession, json};

/// The largest page that is read, in bytes.
const MAX_PAGE_BYTES: usize = 16 * 1024 * 1024;
/// How much memory all names of a list may take, in bytes. The largest registries have some million
/// repositories.
const MAX_LIST_BYTES: usize = 512 * 1024 * 1024;
/// What a name takes besides its text.
const NAME_OVERHEAD: usize = 48;
/// How many pages without a new name may follow each other. A registry that filters its catalog may
/// send some empty ones.
const MAX_KNOWN_PAGES: usize = 1000;

/// A list of names, page by page.
pub struct NamePages {
    session: RegistrySession,
    scopes: Scopes,
    /// The URL of the next page; `None` after the last.
    next: Option<Url>,
    kind: NameKind,
}

/// What a list holds.
#[derive(Clone, Copy)]
enum NameKind {
    Tags,
    Repositories,
}

impl NameKind {
    /// The member of a page that holds the names.
    fn member(self) -> &'static str {
        match self {
            Self::Tags => "tags",
            Self::Repositories => "repositories",
        }
    }

    /// The longest legal name, in bytes (OCI distribution-spec, "Pulling manifests").
    fn max_length(self) -> usize {
        match self {
            Self::Tags => 128,
            Self::Repositories => 255,
        }
    }
}

impl RegistryClient {
    /// The names of all repositories that the caller may see (Docker Registry HTTP API V2,
    /// "Catalog"), `page` of them at a time.
    ///
    /// # Errors
    /// When the registry's URL does not lead to a catalog.
    pub fn catalog(&self, page: Option<usize>) -> Result<NamePages, Error> {
        Ok(NamePages {
            session: self.session.clone(),
            scopes: Scopes::catalog(),
            next: Some(with_page_size(self.session.url("_catalog")?, page)),
            kind: NameKind::Repositories,
        })
    }
}

impl RepositoryClient {
    /// The repository's tags (OCI distribution-spec, "Listing Tags"), `page` of them at a time.
    ///
    /// # Errors
    /// When the registry's URL does not lead to a list.
    pub fn tags(&self, page: Option<usize>) -> Result<NamePages, Error> {
        Ok(NamePages {
            session: self.session.clone(),
            scopes: Scopes::pull(&self.name),
            next: Some(with_page_size(self.url("tags/list")?, page)),
            kind: NameKind::Tags,
        })
    }

    /// All of the repository's tags, sorted.
    ///
    /// # Errors
    /// When a page cannot be fetched.
    pub async fn all_tags(&self) -> Result<Vec<Tag>, Error> {
        let names = self.tags(None)?.all().await?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }
}

impl NamePages {
    /// The next page; `None` after the last.
    ///
    /// # Errors
    /// When the page cannot be fetched, or is not a page of names.
    pub async fn next(&mut self) -> Result<Option<Vec<String>>, Error> {
        let Some(url) = self.next.take() else {
            return Ok(None);
        };
        let request = ClientRequest::get(url.clone());
        let response = self.session.send(&self.scopes, request).await?;
        let mut response = response.success().await?;
        self.next = next_page(&response)?;
        if self.next.as_ref() == Some(&url) {
            return Err(response.malformed("its Link header leads to the same page again"));
        }
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(Some(Vec::new()));
        }
        let page: Map<String, Value> = response.json(MAX_PAGE_BYTES).await?;
        let member = self.kind.member();
        let names = json::list(&page, member).iter().filter_map(Value::as_str);
        let names: Vec<String> = names.map(str::to_owned).collect();
        let (length, max) = (self.longest(&names), self.kind.max_length());
        if length > max {
            return Err(response.malformed(format!(
                "its `{member}` hold a name of {length} bytes; the longest legal one has {max}"
            )));
        }
        Ok(Some(names))
    }

    /// All names that are left, each once, sorted as bytes: registries do not agree on an order.
    ///
    /// # Errors
    /// When a page cannot be fetched, or the list does not end.
    pub async fn all(mut self) -> Result<Vec<String>, Error> {
        let (mut all, mut bytes, mut known_pages) = (BTreeSet::new(), 0, 0);
        while let Some(page) = self.next().await? {
            known_pages += 1;
            for name in page {
                let size = name.len() + NAME_OVERHEAD;
                if all.insert(name) {
                    bytes += size;
                    known_pages = 0;
                }
            }
            if bytes > MAX_LIST_BYTES || known_pages > MAX_KNOWN_PAGES {
                return Err(Error::Unsupported(format!(
                    "{} sends a list of {} without end: stopped after {} names",
                    self.session.host(),
                    self.kind.member(),
                    all.len()
                )));
            }
        }
        Ok(all.into_iter().collect())
    }

    fn longest(&self, names: &[String]) -> usize {
        names.iter().map(String::len).max().unwrap_or_default()
    }
}

fn with_page_size(mut url: Url, page: Option<usize>) -> Url {
    if let Some(page) = page {
        url.query_pairs_mut().append_pair("n", &page.to_string());
    }
    url
}

/// The URL of the page that follows, as the `Link` header says (OCI distribution-spec, "Listing
/// Tags"). It must have the origin of this one: a token is never sent elsewhere.
pub(super) fn next_page(response: &ClientResponse) -> Result<Option<Url>, Error> {
    let fields = response.headers().get_all(LINK).iter();
    let fields: Vec<_> = fields
        .map(|field| String::from_utf8_lossy(field.as_bytes()))
        .collect();
    let links = Link::parse_all(fields.iter().map(AsRef::as_ref));
    let Some(link) = links.iter().find(|link| link.has_relation("next")) else {
        return Ok(None);
    };
    let next = response
        .url
        .join(&link.target)
        .map_err(|_| response.malformed(format!("its Link header leads to {:?}", link.target)))?;
    if origin(&next) != origin(&response.url) {
        return Err(response.malformed(format!(
            "its Link header leads to another origin, {}",
            origin(&next)
        )));
    }
    Ok(Some(next))
}
