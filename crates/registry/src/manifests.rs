//! Manifests: handed out exactly as they came, taken in, and taken away.

use std::sync::Arc;

use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use oci::{Reference, Tag};
use storage::{Error, NewManifest, StoredManifest};

use crate::access::{Authorized, Delete, Pull, Push};
use crate::body::{Body, HttpResponse};
use crate::conditions::{etag, has_already};
use crate::error::RegistryError;
use crate::payload::{Payload, PayloadError};
use crate::request::ApiRequest;
use crate::response;

/// Which manifest a pushed one is about (OCI distribution-spec, "Pushing Manifests with Subject").
const OCI_SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
/// Which tags a pushed manifest was given (OCI distribution-spec, "Pushing Manifests").
const OCI_TAG: HeaderName = HeaderName::from_static("oci-tag");

/// How many tags one request may give. The specification wants ten at least.
const MOST_TAGS: usize = 100;

/// `GET` and `HEAD` of a manifest: its bytes and its type, whatever the client says it would rather
/// have. Another form of it would have another digest.
pub(crate) async fn fetch(
    proof: &Authorized<'_, Pull>,
    reference: &Reference,
    call: &ApiRequest<'_>,
) -> Result<HttpResponse, RegistryError> {
    let manifest = find(proof, reference, call).await?;
    let tag = etag(&manifest.digest);
    let mut answer = response::empty(StatusCode::OK);
    if has_already(call.headers(), &tag) {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
    } else if call.is_head() {
        answer
            .headers_mut()
            .insert(CONTENT_LENGTH, manifest.bytes.len().into());
    } else {
        *answer.body_mut() = Body::from(manifest.bytes.clone());
    }
    response::set(&mut answer, CONTENT_TYPE, &manifest.media_type);
    response::name(&mut answer, tag);
    Ok(answer)
}

/// The manifest. Somebody who may push and asks whether it is there is about to refer to it, so it
/// is leased.
async fn find(
    proof: &Authorized<'_, Pull>,
    reference: &Reference,
    call: &ApiRequest<'_>,
) -> Result<Arc<StoredManifest>, Error> {
    let (manifests, repository) = (proof.storage().manifests(), proof.repository());
    if call.is_head() && proof.pushes() {
        match manifests.lease(repository, reference).await {
            // A disk that takes no writes can still be read.
            Err(Error::Full | Error::ReadOnly | Error::Busy) => {}
            leased => return leased,
        }
    }
    manifests.find(repository, reference).await
}

/// `PUT` of a manifest.
pub(crate) async fn push(
    proof: &Authorized<'_, Push>,
    reference: Reference,
    call: &ApiRequest<'_>,
    payload: &mut Payload,
    limit: usize,
) -> Result<HttpResponse, RegistryError> {
    let given = given_tags(call)?;
    let bytes = payload.collect(limit).await.map_err(|error| match error {
        PayloadError::TooLarge(limit) => RegistryError::ManifestTooLarge { limit },
        other => other.into(),
    })?;
    let (claimed, mut tags) = match reference {
        Reference::Digest(digest) => (Some(digest), Vec::new()),
        Reference::Tag(tag) => (None, vec![tag]),
    };
    tags.extend(given.iter().cloned());
    let content_type = call
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let manifest = NewManifest::parse(content_type, bytes, claimed)?;
    let (digest, subject) = (
        manifest.digest(),
        manifest
            .manifest()
            .subject
            .as_ref()
            .map(|subject| subject.digest),
    );
    let names: Vec<&str> = tags.iter().map(Tag::as_str).collect();
    let names = names.join(" ");
    proof
        .storage()
        .manifests()
        .push(proof.repository(), manifest, tags)
        .await?;
    tracing::info!(repository = %proof.repository(), %digest, tags = names, account = proof.account(), "manifest pushed");
    let location = call.location(&format!("/v2/{}/manifests/{digest}", proof.repository()));
    let mut answer = response::made(StatusCode::CREATED, &location, Some(&digest));
    if let Some(subject) = subject {
        response::set(&mut answer, OCI_SUBJECT, &subject.to_string());
    }
    for tag in given {
        if let Ok(tag) = HeaderValue::from_str(tag.as_str()) {
            answer.headers_mut().append(OCI_TAG, tag);
        }
    }
    Ok(answer)
}

/// The tags of `?tag=…&tag=…` (end-7b).
fn given_tags(call: &ApiRequest<'_>) -> Result<Vec<Tag>, RegistryError> {
    if call.query.all("tag").count() > MOST_TAGS {
        return Err(RegistryError::TooManyTags { most: MOST_TAGS });
    }
    Ok(call
        .query
        .all("tag")
        .map(str::parse)
        .collect::<Result<_, _>>()?)
}

/// `DELETE` of a manifest with its tags, or of one tag.
pub(crate) async fn delete(
    proof: &Authorized<'_, Delete>,
    reference: &Reference,
) -> Result<HttpResponse, RegistryError> {
    let (manifests, repository) = (proof.storage().manifests(), proof.repository());
    match reference {
        Reference::Digest(digest) => manifests.remove(repository, digest).await?,
        Reference::Tag(tag) => manifests.untag(repository, tag).await?,
    }
    tracing::info!(%repository, %reference, account = proof.account(), "manifest deleted");
    Ok(response::empty(StatusCode::ACCEPTED))
}
