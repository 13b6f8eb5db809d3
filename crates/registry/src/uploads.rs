//! Uploads, from their beginning to a blob; and mounts, which make them unnecessary.

use common::Entropy;
use event::EventKind;
use http::StatusCode;
use http::header::{HeaderName, LOCATION, RANGE};
use oci::{Digest, DigestAlgorithm, RepositoryName};
use storage::{Blob, Error, LinkedBlob, QuotaRoom, Upload, UploadId};

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
    // What has no room is refused before a byte of it is read: the client sees it before it has sent all.
    let room = BlobRoom::for_body(proof, 0, Some(&digest), body.length()).await?;
    let mut upload = proof.put(id, client, algorithm).await?;
    receive(proof, &mut upload, body, room).await?;
    let linked = upload.finish_within_quotas(digest, proof.quotas()).await?;
    Ok(blob_created(proof, &linked, call))
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
    let Some((LinkedBlob { blob, warnings }, from)) = proof.mount(digest, source).await? else {
        return Ok(None);
    };
    call.observe(EventKind::BlobMounted {
        blob: blob_event(proof, &blob),
        from: &from,
    });
    call.observe_warnings(proof.repository(), &warnings);
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
    let upload = append_body(proof, id, None, call, body).await?;
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
    let digest: Digest = call
        .query
        .first("digest")
        .ok_or(RegistryError::MissingDigest)?
        .parse()?;
    let upload = append_body(proof, id, Some(&digest), call, body).await?;
    match upload.finish_within_quotas(digest, proof.quotas()).await {
        Ok(linked) => Ok(blob_created(proof, &linked, call)),
        Err(error) => Err(discard_if_no_room(proof, id, error.into()).await),
    }
}

/// `DELETE` of an upload (end-14).
pub(crate) async fn cancel(
    proof: &Authorized<'_, Cancel>,
    id: UploadId,
) -> Result<HttpResponse, RegistryError> {
    proof.cancel(id).await?;
    Ok(response::empty(StatusCode::NO_CONTENT))
}

/// The upload, with the request's body appended. With a `digest`, it ends with this body.
async fn append_body(
    proof: &Authorized<'_, Push>,
    id: UploadId,
    digest: Option<&Digest>,
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
    let room = match BlobRoom::for_body(proof, before, digest, body.length()).await {
        Ok(room) => room,
        Err(error) => {
            drop(upload);
            return Err(discard_if_no_room(proof, id, error.into()).await);
        }
    };
    if let Err(refusal) = receive(proof, &mut upload, body, room).await {
        if matches!(
            refusal,
            RegistryError::RequestBody(RequestBodyError::Broken | RequestBodyError::Stalled)
        ) {
            // What came is kept: the client asks how much that is and goes on from there.
            upload.save().await?;
            return Err(refusal);
        }
        drop(upload);
        return Err(discard_if_no_room(proof, id, refusal).await);
    }
    let arrived = upload.length() - before;
    match claimed {
        Some(claimed) if claimed != arrived => Err(RegistryError::ChunkLength { claimed, arrived }),
        _ => Ok(upload),
    }
}

/// The room that quotas leave for a blob.
struct BlobRoom<'a> {
    /// The blob's digest, if the client has said it. A quota that has the blob needs no room for it.
    digest: Option<&'a Digest>,
    left: QuotaRoom,
}

impl<'a> BlobRoom<'a> {
    /// The room for an upload of which `received` bytes have come. The length of the body is `announced`,
    /// or it comes in chunks.
    ///
    /// This is asked before the body is read: no `100 Continue` is sent for a body that has no room.
    async fn for_body(
        proof: &Authorized<'_, Push>,
        received: u64,
        digest: Option<&'a Digest>,
        announced: Option<u64>,
    ) -> Result<Self, Error> {
        let left = match announced {
            // The end of an upload: its commit decides.
            Some(0) => QuotaRoom::Unlimited,
            announced => {
                let bytes = received.saturating_add(announced.unwrap_or_default());
                // Only a request that names the digest is the last one of its blob.
                let is_whole = digest.is_some() && announced.is_some();
                let left = proof.room_for(bytes, digest).await;
                left.map_err(|error| match is_whole {
                    true => error,
                    false => so_far(error),
                })?
            }
        };
        Ok(Self { digest, left })
    }

    /// Fails if the upload is to have `length` bytes, and they have no room. The quotas are only asked
    /// again for more than there was room for.
    async fn require(&mut self, proof: &Authorized<'_, Push>, length: u64) -> Result<(), Error> {
        if QuotaRoom::Bytes(length) > self.left {
            let left = proof.room_for(length, self.digest).await;
            self.left = left.map_err(so_far)?;
        }
        Ok(())
    }
}

/// `error`, of a blob of which more may come than was asked for.
fn so_far(error: Error) -> Error {
    match error {
        Error::QuotaExceeded(mut exceeded) => {
            exceeded.is_partial = true;
            Error::QuotaExceeded(exceeded)
        }
        other => other,
    }
}

async fn receive(
    proof: &Authorized<'_, Push>,
    upload: &mut Upload,
    body: &mut BoundedBody,
    mut room: BlobRoom<'_>,
) -> Result<(), RegistryError> {
    while let Some(piece) = body.next().await? {
        let length = upload.length() + piece.len() as u64;
        room.require(proof, length).await?;
        upload.write(piece).await?;
    }
    Ok(())
}

/// Ends an upload that failed because it has no room: nothing else would remove what it has stored until
/// it expires. Returns the error.
async fn discard_if_no_room(
    proof: &Authorized<'_, Push>,
    id: UploadId,
    error: RegistryError,
) -> RegistryError {
    if let RegistryError::Storage(Error::QuotaExceeded(_)) = &error
        && let Err(failed) = proof.discard(id).await
    {
        let failed = &failed as &dyn std::error::Error;
        tracing::warn!(upload = %id, error = failed, "an upload that has no room stays until it expires");
    }
    error
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
fn blob_created(
    proof: &Authorized<'_, Push>,
    linked: &LinkedBlob,
    call: &ApiRequest<'_>,
) -> HttpResponse {
    let LinkedBlob { blob, warnings } = linked;
    call.observe(EventKind::BlobPushed(blob_event(proof, blob)));
    call.observe_warnings(proof.repository(), warnings);
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
