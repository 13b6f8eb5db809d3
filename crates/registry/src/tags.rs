//! The list of a repository's tags.

use serde::Serialize;
use storage::PageRequest;

use crate::authorized::{Authorized, Pull};
use crate::error::RegistryError;
use crate::paging::{Bounds, link};
use crate::request::ApiRequest;
use crate::response;
use crate::response_body::HttpResponse;

/// A request without `n` gets all tags, up to a number that still makes a page.
const BOUNDS: Bounds = Bounds {
    default: 10_000,
    max: 10_000,
    strict: false,
};

#[derive(Serialize)]
struct Tags<'a> {
    name: &'a str,
    tags: &'a [String],
}

/// `GET` of the tags (end-8), in the order of their bytes.
pub(crate) async fn list(
    proof: &Authorized<'_, Pull>,
    call: &ApiRequest<'_>,
) -> Result<HttpResponse, RegistryError> {
    let size = BOUNDS.page_size(call.query.first("n"))?;
    let page = PageRequest {
        after: call.query.first("last").map(str::to_owned),
        limit: size,
    };
    let tags = proof.tags(page).await?;
    let name = proof.repository().as_str();
    let list = Tags {
        name,
        tags: &tags.entries,
    };
    let mut response = response::json_bytes(call.hold(response::encoded(&list))?);
    if let (true, Some(last)) = (tags.more, tags.entries.last()) {
        link(
            &mut response,
            call,
            &format!("/v2/{name}/tags/list"),
            &[("n", &size.to_string()), ("last", last)],
        );
    }
    Ok(response)
}
