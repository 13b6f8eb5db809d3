//! Lists that come in pages: tags and repositories.

use oci::Tag;
use reqwest::header::LINK;
use reqwest::{StatusCode, Url};
use serde::Deserialize;

use super::{RegistryClient, RepositoryClient};
use crate::session::Scopes;
use crate::transport::{HttpRequest, HttpResponse};
use crate::{Error, RegistrySession};

/// The longest page that is read, in bytes.
const LONGEST_PAGE: usize = 16 * 1024 * 1024;
/// How many names are taken before a list counts as endless. The largest registries have some
/// million repositories.
const MOST_NAMES: usize = 20_000_000;
/// How many pages.
const MOST_PAGES: usize = 1_000_000;

/// A list, page by page. One that never ends is the caller's to stop.
pub struct NamePages {
    session: RegistrySession,
    scopes: Scopes,
    /// Where the next page is; none after the last.
    next: Option<Url>,
    /// The member of the JSON that holds the names.
    member: Member,
}

#[derive(Clone, Copy)]
enum Member {
    Tags,
    Repositories,
}

impl RegistryClient {
    /// The names of all repositories that the caller may see (Docker Registry HTTP API V2,
    /// "Catalog").
    ///
    /// # Errors
    /// When there is no such address.
    pub fn catalog(&self, page: Option<usize>) -> Result<NamePages, Error> {
        let next = Some(paged(self.session.url("_catalog")?, page));
        Ok(NamePages {
            session: self.session.clone(),
            scopes: Scopes::catalog(),
            next,
            member: Member::Repositories,
        })
    }
}

impl RepositoryClient {
    /// The repository's tags (OCI distribution-spec, "Listing Tags").
    ///
    /// # Errors
    /// When there is no such address.
    pub fn tags(&self, page: Option<usize>) -> Result<NamePages, Error> {
        let next = Some(paged(self.url("tags/list")?, page));
        Ok(NamePages {
            session: self.session.clone(),
            scopes: Scopes::pull(&self.name),
            next,
            member: Member::Tags,
        })
    }

    /// All of the repository's tags, sorted.
    ///
    /// # Errors
    /// When a page does not come.
    pub async fn all_tags(&self) -> Result<Vec<Tag>, Error> {
        let names = self.tags(None)?.all().await?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }
}

impl NamePages {
    /// The next page; none after the last.
    ///
    /// # Errors
    /// When it does not come, or is none.
    pub async fn next(&mut self) -> Result<Option<Vec<String>>, Error> {
        #[derive(Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
            repositories: Option<Vec<String>>,
        }
        let Some(url) = self.next.take() else {
            return Ok(None);
        };
        let answer = self
            .session
            .send(&self.scopes, HttpRequest::get(url.clone()))
            .await?;
        let mut answer = answer.success().await?;
        self.next = next_page(&answer)?;
        if self.next.as_ref() == Some(&url) {
            return Err(answer.malformed("names itself as the page that follows"));
        }
        if answer.status() == StatusCode::NO_CONTENT {
            return Ok(Some(Vec::new()));
        }
        let page: Page = answer.json(LONGEST_PAGE).await?;
        // Go writes an empty list as `null`.
        Ok(Some(match self.member {
            Member::Tags => page.tags.unwrap_or_default(),
            Member::Repositories => page.repositories.unwrap_or_default(),
        }))
    }

    /// All that is left, sorted as bytes and each once: registries do not agree on an order.
    ///
    /// # Errors
    /// When a page does not come, or there is no end of them.
    pub async fn all(mut self) -> Result<Vec<String>, Error> {
        let (mut all, mut pages) = (Vec::new(), 0);
        while let Some(page) = self.next().await? {
            all.extend(page);
            pages += 1;
            if pages > MOST_PAGES || all.len() > MOST_NAMES {
                let what = format!(
                    "the list of {} has no end: {} names on {pages} pages",
                    self.session.host(),
                    all.len()
                );
                return Err(Error::Unsupported(what));
            }
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }
}

fn paged(mut url: Url, page: Option<usize>) -> Url {
    if let Some(page) = page {
        url.query_pairs_mut().append_pair("n", &page.to_string());
    }
    url
}

/// RFC 8288: `</v2/a/tags/list?n=2&last=b>; rel="next"`, on the same host.
pub(super) fn next_page(answer: &HttpResponse) -> Result<Option<Url>, Error> {
    let Some(link) = answer.header(LINK.as_str()) else {
        return Ok(None);
    };
    let Some(target) = next_link(link) else {
        return Ok(None);
    };
    let next = answer
        .url
        .join(target)
        .map_err(|_| answer.malformed(format!("its Link {link:?} is no URL")))?;
    if next.host() != answer.url.host() || next.scheme() != answer.url.scheme() {
        return Err(answer.malformed(format!("its Link leads to another host: {link}")));
    }
    Ok(Some(next))
}

fn next_link(link: &str) -> Option<&str> {
    let mut rest = link;
    while let Some((_, after)) = rest.split_once('<') {
        let (target, parameters) = after.split_once('>')?;
        let (parameters, others) = parameters.split_once(",<").unwrap_or((parameters, ""));
        let is_next = |parameter: &str| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            name.trim().eq_ignore_ascii_case("rel")
                && value.trim().trim_matches('"').eq_ignore_ascii_case("next")
        };
        if parameters.split(';').any(is_next) {
            return Some(target);
        }
        rest = others;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found() {
        assert_eq!(
            next_link(r#"</v2/a/tags/list?last=b&n=2>; rel="next""#),
            Some("/v2/a/tags/list?last=b&n=2")
        );
        assert_eq!(next_link("<x>; title=\"a;b\";REL=next"), Some("x"));
        assert_eq!(next_link(r#"<x>; rel="prev""#), None);
        assert_eq!(next_link("nothing"), None);
        assert_eq!(next_link("<open"), None);
    }
}
