//! The list of manifests that are about another one: signatures, bills of materials.

use http::HeaderValue;
use http::header::HeaderName;
use oci::{Descriptor, Digest, media_type};
use serde::Serialize;
use storage::{Page, Referrer};

use crate::answer;
use crate::body::Answer;
use crate::call::Call;
use crate::door::{Authorized, Pull};
use crate::paging::{Bounds, link};
use crate::refusal::Refusal;

/// How many make a page. Not every client follows a `Link`, so a page is long.
const BOUNDS: Bounds = Bounds { default: 1000, max: 1000, strict: false };

/// How many are read at once: each may bring annotations as large as a manifest.
const BATCH: u32 = 100;

/// When a page is full whatever its number, in bytes: what every client takes for a manifest.
const FULL: usize = 4 << 20;

/// Which filters were applied (OCI distribution-spec, "Listing Referrers").
const FILTERS_APPLIED: HeaderName = HeaderName::from_static("oci-filters-applied");

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u8,
    media_type: &'static str,
    manifests: Vec<Descriptor>,
}

/// `GET` of the referrers (end-12): an index, empty where there are none, even where there is no repository.
pub(crate) async fn list(proof: &Authorized<'_, Pull>, subject: &Digest, call: &Call<'_>) -> Result<Answer, Refusal> {
    let size = BOUNDS.page_size(call.query.first("n"))?;
    let kind = call.query.first("artifactType");
    let after = call.query.first("last").map(str::parse).transpose()?;
    let (manifests, more) = page(proof, subject, kind, after, size).await?;
    let last = manifests.last().map(|descriptor| descriptor.digest.to_string());
    let index = Index { schema_version: 2, media_type: media_type::OCI_INDEX, manifests };
    let mut answer = answer::whole(HeaderValue::from_static(media_type::OCI_INDEX), answer::encoded(&index));
    if kind.is_some() {
        answer.headers_mut().insert(FILTERS_APPLIED, HeaderValue::from_static("artifactType"));
    }
    if let (true, Some(last)) = (more, last) {
        let n = size.to_string();
        let mut parameters = vec![("n", n.as_str()), ("last", &last)];
        parameters.extend(kind.map(|kind| ("artifactType", kind)));
        link(&mut answer, call, &format!("/v2/{}/referrers/{subject}", proof.repository()), &parameters);
    }
    Ok(answer)
}

/// One page of them, and whether there are more.
async fn page(
    proof: &Authorized<'_, Pull>,
    subject: &Digest,
    kind: Option<&str>,
    mut after: Option<Digest>,
    size: u32,
) -> Result<(Vec<Descriptor>, bool), Refusal> {
    let (mut entries, mut bytes) = (Vec::new(), 0);
    loop {
        let missing = size.saturating_sub(u32::try_from(entries.len()).unwrap_or(u32::MAX));
        if missing == 0 {
            return Ok((entries, size > 0));
        }
        let batch = Page { after, limit: missing.min(BATCH) };
        let listing = proof.storage().manifests().referrers(proof.repository(), subject, kind, batch).await?;
        for referrer in listing.entries {
            bytes += weight(&referrer);
            if bytes > FULL && !entries.is_empty() {
                return Ok((entries, true));
            }
            after = Some(referrer.digest);
            entries.push(descriptor(referrer));
        }
        if !listing.more {
            return Ok((entries, false));
        }
    }
}

/// About how many bytes of JSON it takes.
fn weight(referrer: &Referrer) -> usize {
    let annotations: usize = referrer.annotations.iter().map(|(key, value)| key.len() + value.len() + 8).sum();
    256 + annotations + referrer.artifact_type.as_ref().map_or(0, String::len)
}

fn descriptor(referrer: Referrer) -> Descriptor {
    let Referrer { digest, media_type, size, artifact_type, annotations } = referrer;
    Descriptor { media_type, digest, size, artifact_type, annotations }
}
