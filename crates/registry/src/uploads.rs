//! Uploads, from their beginning to a blob; and mounts, which make them unnecessary.

use common::Entropy;
use event::EventKind;
use http::StatusCode;
use http::header::{HeaderName, LOCATION, RANGE};
use oci::{Digest, DigestAlgorithm, RepositoryName};
use storage::{Blob, Error, Upload, UploadId};

use crate::authorized::{Authorized, Cancel, MountSource, Pull, Push};
use crate::error::RegistryError;
use crate::ranges::{ContentRange, progress};
use crate::request::ApiRequest;
use crate::request_body::{BoundedBody, RequestBodyError};
use crate::response;
use crate::response_body::HttpResponse;

/// The upload's id, in the header that Docker's clients read.
const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// The repository in `from`; `None` if it is not a valid name.
pub(crate) fn mount_source(call: &ApiRequest<'_>) -> Option<RepositoryName> {
    call.query.first("mount")?;
    call.query.first("from")?.parse().ok()
}

/// `POST`: a mount (end-11), a blob in one request (end-4b), or the beginning of an upload (end-4a,
/// end-4c).
pub(crate) async fn post(
    proof: &Authorized<'_, Push>,
    from: Option<RepositoryName>,
    call: &ApiRequest<'_>,
    body: &mut BoundedBody,
    entropy: &dyn Entropy,
) -> Result<HttpResponse, RegistryError> {
    // A malformed digest, or one of an algorithm that is not known here, cannot be mounted either.
    if let Some(Ok(digest)) = call.query.first("mount").map(str::parse)
        && let Some(response) = mount(proof, &digest, from, call).await?
    {
        return Ok(response);
    }
    let monolithic_digest: Option<Digest> =
        call.query.first("digest").map(str::parse).transpose()?;
    let algorithm = match (&monolithic_digest, call.query.first("digest-algorithm")) {
        (Some(digest), _) => digest.algorithm(),
        (None, Some(name)) => name.parse()?,
        (None, None) => DigestAlgorithm::default(),
    };
    let mut random = [0; 16];
    entropy.fill(&mut random)?;
    let (id, client) = (UploadId::from_random(random), call.client());
    let Some(digest) = monolithic_digest else {
        proof.begin(id, client, algorithm).await?;
        return Ok(upload_progress(StatusCode::ACCEPTED, proof, id, 0, call));
    };
    let mut upload = proof.put(id, client, algorithm).await?;
    receive(&mut upload, body).await?;
    let blob = upload.finish(digest).await?;
    Ok(blob_created(proof, &blob, call))
}

/// The response to a mount. `None` if the blob cannot be mounted. An upload then begins, so the
/// response does not tell why.
async fn mount(
    proof: &Authorized<'_, Push>,
    digest: &Digest,
    from: Option<RepositoryName>,
    call: &ApiRequest<'_>,
) -> Result<Option<HttpResponse>, Error> {
    let source = match from {
        Some(from) => MountSource::Repository(from),
        // `from` is not a valid repository name.
        None if call.query.first("from").is_some() => return Ok(None),
        None => MountSource::Any,
    };
    let Some((blob, from)) = proof.mount(digest, source).await? else {
        return Ok(None);
    };
    call.observe(EventKind::BlobMounted {
        blob: blob_event(proof, &blob),
        from: &from,
    });
    Ok(Some(created(proof, &blob, call)))
}

/// `GET` and `HEAD` of an upload: how much of it has arrived (end-13).
pub(crate) async fn status(
    proof: &Authorized<'_, Pull>,
    id: UploadId,
    call: &ApiRequest<'_>,
) -> Result<HttpResponse, RegistryError> {
    let received = proof.received(id).await?;
    Ok(upload_progress(
        StatusCode::NO_CONTENT,
        proof,
        id,
        received,
        call,
    ))
}

/// `PATCH`: a chunk (end-5), or the whole content.
pub(crate) async fn append(
    proof: &Authorized<'_, Push>,
    id: UploadId,
    call: &ApiRequest<'_>,
    body: &mut BoundedBody,
) -> Result<HttpResponse, RegistryError> {
    let upload = append_body(proof, id, call, body).await?;
    let received = upload.save().await?;
    Ok(upload_progress(
        StatusCode::ACCEPTED,
        proof,
        id,
        received,
        call,
    ))
}

/// `PUT`: the end of an upload, perhaps with its last chunk (end-6).
pub(crate) async fn finish(
    proof: &Authorized<'_, Push>,
    id: UploadId,
    call: &ApiRequest<'_>,
    body: &mut BoundedBody,
) -> Result<HttpResponse, RegistryError> {
    let digest = call
        .query
        .first("digest")
        .ok_or(RegistryError::MissingDigest)?
        .parse()?;
    let upload = append_body(proof, id, call, body).await?;
    let blob = upload.finish(digest).await?;
    Ok(blob_created(proof, &blob, call))
}

/// `DELETE` of an upload (end-14).
pub(crate) async fn cancel(
    proof: &Authorized<'_, Cancel>,
    id: UploadId,
) -> Result<HttpResponse, RegistryError> {
    proof.cancel(id).await?;
    Ok(response::empty(StatusCode::NO_CONTENT))
}

/// The upload, with the request's body appended.
async fn append_body(
    proof: &Authorized<'_, Push>,
    id: UploadId,
    call: &ApiRequest<'_>,
    body: &mut BoundedBody,
) -> Result<Upload, RegistryError> {
    let range = ContentRange::of(call.headers())?;
    // A PUT that only ends an upload has no chunk whose length could be wrong.
    let claimed = range
        .filter(|_| body.length() != Some(0))
        .map(|range| range.length);
    if let (Some(claimed), Some(arrived)) = (claimed, body.length())
        && claimed != arrived
    {
        return Err(RegistryError::ChunkLength { claimed, arrived });
    }
    let upload = proof.upload(id, range.map(|range| range.start)).await;
    let mut upload = upload.map_err(|error| match error {
        // The upload stays, and the client learns where it goes on.
        Error::OutOfOrder { received } => RegistryError::OutOfOrder {
            received,
            location: call.location(&path(proof, id)),
        },
        other => other.into(),
    })?;
    let before = upload.length();
    if let Err(refusal) = receive(&mut upload, body).await {
        if matches!(
            refusal,
            RegistryError::RequestBody(RequestBodyError::Broken | RequestBodyError::Stalled)
        ) {
            // What came is kept: the client asks how much that is and goes on from there.
            upload.save().await?;
        }
        return Err(refusal);
    }
    let arrived = upload.length() - before;
    match claimed {
        Some(claimed) if claimed != arrived => Err(RegistryError::ChunkLength { claimed, arrived }),
        _ => Ok(upload),
    }
}

async fn receive(upload: &mut Upload, body: &mut BoundedBody) -> Result<(), RegistryError> {
    while let Some(piece) = body.next().await? {
        upload.write(piece).await?;
    }
    Ok(())
}

fn path<A>(proof: &Authorized<'_, A>, id: UploadId) -> String {
    format!("/v2/{}/blobs/uploads/{id}", proof.repository())
}

/// An upload that goes on: where, and from which byte.
fn upload_progress<A>(
    status: StatusCode,
    proof: &Authorized<'_, A>,
    id: UploadId,
    received: u64,
    call: &ApiRequest<'_>,
) -> HttpResponse {
    let mut response = response::empty(status);
    response::set(&mut response, LOCATION, &call.location(&path(proof, id)));
    response::set(&mut response, RANGE, &progress(received));
    response::set(&mut response, UPLOAD_ID, &id.to_string());
    response
}

/// Tells the observers that a blob was pushed, and makes the response.
fn blob_created(proof: &Authorized<'_, Push>, blob: &Blob, call: &ApiRequest<'_>) -> HttpResponse {
    call.observe(EventKind::BlobPushed(blob_event(proof, blob)));
    created(proof, blob, call)
}

fn blob_event<'a>(proof: &'a Authorized<'_, Push>, blob: &'a Blob) -> event::BlobEvent<'a> {
    event::BlobEvent {
        repository: proof.repository(),
        digest: &blob.digest,
        size: blob.size,
    }
}

fn created(proof: &Authorized<'_, Push>, blob: &Blob, call: &ApiRequest<'_>) -> HttpResponse {
    let location = call.location(&format!("/v2/{}/blobs/{}", proof.repository(), blob.digest));
    response::made(StatusCode::CREATED, &location, Some(&blob.digest))
}
