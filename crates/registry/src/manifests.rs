//! Manifests: sent exactly as they were pushed, taken in, and removed.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use common::Entropy;
use event::{EventKind, ManifestEvent};
use http::StatusCode;
use http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use oci::{Digest, Reference, Tag};
use storage::{BlobReader, NewManifest};

use crate::authorized::{Authorized, Delete, Pull, Push};
use crate::conditions::{etag, if_none_match_matches};
use crate::error::RegistryError;
use crate::manifest_validation::{ManifestValidation, SparseManifests};
use crate::multipart;
use crate::ranges::{RequestedRange, requested_range};
use crate::request::ApiRequest;
use crate::request_body::{BoundedBody, RequestBodyError};
use crate::response;
use crate::response_body::{Body, HttpResponse};
use crate::upstream::MemoryReader;

/// The subject of a pushed manifest (OCI distribution-spec, "Pushing Manifests with Subject").
const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
/// The tags that a pushed manifest was given (OCI distribution-spec, "Pushing Manifests").
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");

/// How many tags one request may give. The specification requires at least ten.
const MOST_TAGS: usize = 100;

/// `GET` and `HEAD` of a manifest: its bytes and its type. `Accept` changes neither: another form
/// of it would have another digest.
pub(crate) async fn fetch(
    proof: &Authorized<'_, Pull>,
    reference: &Reference,
    call: &ApiRequest<'_>,
    entropy: &dyn Entropy,
) -> Result<HttpResponse, RegistryError> {
    let manifest = if call.is_head() {
        proof.stat_and_lease_manifest(reference).await?
    } else {
        proof.manifest(reference).await?
    };
    let tag = etag(&manifest.digest);
    let size = manifest.bytes.len() as u64;
    let reference = reference.to_string();
    let event = ManifestEvent {
        repository: proof.repository(),
        digest: &manifest.digest,
        reference: &reference,
        media_type: &manifest.media_type,
        size,
        content: &manifest.bytes,
    };
    let mut response = response::empty(StatusCode::OK);
    response::set(&mut response, CONTENT_TYPE, &manifest.media_type);
    if if_none_match_matches(call.headers(), &tag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else if call.is_head() {
        response.headers_mut().insert(CONTENT_LENGTH, size.into());
        call.observe(EventKind::ManifestChecked(event));
    } else {
        let bytes = call.hold(manifest.bytes.clone())?;
        match requested_range(call.headers(), &tag, size) {
            RequestedRange::Whole => *response.body_mut() = Body::from(bytes),
            RequestedRange::Single(range) => {
                multipart::single(&mut response, &range, size);
                *response.body_mut() = Body::from(slice(&bytes, range));
            }
            RequestedRange::Multiple(ranges) => {
                let open = Arc::new(move |range| {
                    let reader = MemoryReader(slice(&bytes, range));
                    let reader = Ok(Box::new(reader) as Box<dyn BlobReader>);
                    Box::pin(std::future::ready(reader)) as _
                });
                multipart::several(&mut response, ranges, size, open, entropy)?;
            }
            RequestedRange::Unsatisfiable => {
                return Err(RegistryError::RangeNotSatisfiable { size });
            }
        }
        call.observe(EventKind::ManifestPulled(event));
    }
    call.note_pull(proof.repository(), &manifest.digest);
    response
        .headers_mut()
        .insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    response::name(&mut response, tag);
    Ok(response)
}

/// A range that is within `bytes`.
fn slice(bytes: &Bytes, range: Range<u64>) -> Bytes {
    bytes.slice(range.start as usize..range.end as usize)
}

/// What a pushed manifest must keep to.
pub(crate) struct ManifestRules {
    /// The largest manifest, in bytes.
    pub(crate) limit: usize,
    pub(crate) validation: ManifestValidation,
}

/// `PUT` of a manifest.
pub(crate) async fn push(
    proof: &Authorized<'_, Push>,
    reference: Reference,
    call: &ApiRequest<'_>,
    body: &mut BoundedBody,
    rules: &ManifestRules,
) -> Result<HttpResponse, RegistryError> {
    let given = given_tags(call)?;
    let mut share = call.body_share();
    let bytes = body
        .collect(rules.limit, &mut share)
        .await
        .map_err(|error| match error {
            RequestBodyError::TooLarge(limit) => RegistryError::ManifestTooLarge { limit },
            other => other.into(),
        })?;
    let (claimed, mut tags) = match &reference {
        Reference::Digest(digest) => (Some(*digest), Vec::new()),
        Reference::Tag(tag) => (None, vec![tag.clone()]),
    };
    tags.extend(given.iter().cloned());
    let content_type = call.headers().get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let size = bytes.len() as u64;
    let manifest = NewManifest::parse(content_type, bytes, claimed)?;
    let content = manifest.bytes().clone();
    rules.validation.check_urls(manifest.manifest())?;
    let needed = rules.validation.needed_children(manifest.manifest());
    proof
        .require_manifests(needed.map(|child| child.digest))
        .await?;
    let manifest = match rules.validation.sparse {
        SparseManifests::None | SparseManifests::Indexes => manifest,
        SparseManifests::All => manifest.without_requiring_blobs(),
    };
    let digest = manifest.digest();
    let media_type = manifest.manifest().media_type.clone();
    let subject = manifest.manifest().subject.as_ref();
    let subject = subject.map(|subject| subject.digest);
    let reference = reference.to_string();
    let pushed = ManifestEvent {
        repository: proof.repository(),
        digest: &digest,
        reference: &reference,
        media_type: &media_type,
        size,
        content: &content,
    };
    // Another push may move a tag between this and the transaction. Its own event says so.
    let before = match call.is_observed() {
        true => proof.tagged(&tags).await,
        false => Vec::new(),
    };
    let moved = tags.iter().zip(&before);
    let moved = moved.filter_map(|(tag, from)| tag_event(&pushed, tag, from.as_ref()));
    let events: Vec<EventKind<'_>> = std::iter::once(EventKind::ManifestPushed(pushed))
        .chain(moved)
        .collect();
    let details = call.change_details(&events)?;
    let warnings = proof.push_manifest(manifest, tags.clone(), details).await?;
    for event in events {
        call.observe(event);
    }
    call.observe_warnings(proof.repository(), &warnings);
    let location = call.location(&format!("/v2/{}/manifests/{digest}", proof.repository()));
    let mut response = response::made(StatusCode::CREATED, &location, Some(&digest));
    if let Some(subject) = subject {
        response::set(&mut response, OCI_SUBJECT, &subject.to_string());
    }
    for tag in given {
        if let Ok(tag) = HeaderValue::from_str(tag.as_str()) {
            response.headers_mut().append(OCI_TAG, tag);
        }
    }
    Ok(response)
}

/// The event of a tag, unless it points at the manifest already.
fn tag_event<'a>(
    pushed: &ManifestEvent<'a>,
    tag: &'a Tag,
    from: Option<&'a Digest>,
) -> Option<EventKind<'a>> {
    (from != Some(pushed.digest)).then_some(EventKind::TagMoved {
        repository: pushed.repository,
        tag,
        from,
        to: pushed.digest,
    })
}

/// The tags of `?tag=…&tag=…` (end-7b).
fn given_tags(call: &ApiRequest<'_>) -> Result<Vec<Tag>, RegistryError> {
    if call.query.all("tag").count() > MOST_TAGS {
        return Err(RegistryError::TooManyTags { most: MOST_TAGS });
    }
    let tags = call.query.all("tag").map(str::parse);
    Ok(tags.collect::<Result<_, _>>()?)
}

/// `DELETE` of a manifest with its tags, or of one tag.
pub(crate) async fn delete(
    proof: &Authorized<'_, Delete>,
    reference: &Reference,
    call: &ApiRequest<'_>,
) -> Result<HttpResponse, RegistryError> {
    let repository = proof.repository();
    let event = deleted(repository, reference);
    let details = call.change_details(std::slice::from_ref(&event))?;
    match reference {
        Reference::Digest(digest) => proof.delete_manifest(digest, details).await?,
        Reference::Tag(tag) => proof.delete_tag(tag, details).await?,
    }
    call.observe(event);
    Ok(response::empty(StatusCode::ACCEPTED))
}

fn deleted<'a>(repository: &'a oci::RepositoryName, reference: &'a Reference) -> EventKind<'a> {
    match reference {
        Reference::Digest(digest) => EventKind::ManifestDeleted {
            repository,
            digest: digest as &Digest,
        },
        Reference::Tag(tag) => EventKind::TagDeleted { repository, tag },
    }
}
