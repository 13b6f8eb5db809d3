//! The list of a repository's tags.

use serde::Serialize;
use storage::Page;

use crate::answer;
use crate::body::Answer;
use crate::call::Call;
use crate::door::{Authorized, Pull};
use crate::paging::{Bounds, link};
use crate::refusal::Refusal;

/// Who does not say how many gets them all, up to a number that still makes a page.
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
pub(crate) async fn list(proof: &Authorized<'_, Pull>, call: &Call<'_>) -> Result<Answer, Refusal> {
    let size = BOUNDS.page_size(call.query.first("n"))?;
    let page = Page {
        after: call.query.first("last").map(str::to_owned),
        limit: size,
    };
    let tags = proof
        .storage()
        .manifests()
        .tags(proof.repository(), page)
        .await?;
    let name = proof.repository().as_str();
    let mut answer = answer::json(&Tags {
        name,
        tags: &tags.entries,
    });
    if let (true, Some(last)) = (tags.more, tags.entries.last()) {
        link(
            &mut answer,
            call,
            &format!("/v2/{name}/tags/list"),
            &[("n", &size.to_string()), ("last", last)],
        );
    }
    Ok(answer)
}
