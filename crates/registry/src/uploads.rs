//! Uploads, from their beginning to a blob; and mounts, which make them unnecessary.

use common::Entropy;
use event::EventKind;
use http::StatusCode;
use http::header::{HeaderName, LOCATION, RANGE};
use oci::{Digest, DigestAlgorithm, RepositoryName};
use storage::{Blob, Error, Upload, UploadId};

use crate::authorized::{Authorized, Cancel, MountSource, Pull, Push};
use crate::body::HttpResponse;
use crate::error::RegistryError;
use crate::payload::{Payload, PayloadError};
use crate::ranges::{ContentRange, progress};
use crate::request::ApiRequest;
use crate::response;

/// The upload's id, in the header that Docker's clients read.
const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// The repository that a mount names as its source, if that can be one.
pub(crate) fn mounted_from(call: &ApiRequest<'_>) -> Option<RepositoryName> {
    call.query.first("mount")?;
    call.query.first("from")?.parse().ok()
}

/// `POST`: a mount (end-11), a blob in one request (end-4b), or the beginning of an upload (end-4a,
/// end-4c).
pub(crate) async fn begin(
    proof: &Authorized<'_, Push>,
    from: Option<RepositoryName>,
    call: &ApiRequest<'_>,
    payload: &mut Payload,
    entropy: &dyn Entropy,
) -> Result<HttpResponse, RegistryError> {
    if let Some(mount) = call.query.first("mount") {
        let digest = mount.parse()?;
        if let Some(response) = self::mount(proof, &digest, from, call).await? {
            return Ok(response);
        }
    }
    let whole: Option<Digest> = call.query.first("digest").map(str::parse).transpose()?;
    let algorithm = match (&whole, call.query.first("digest-algorithm")) {
        (Some(digest), _) => digest.algorithm(),
        (None, Some(name)) => name.parse()?,
        (None, None) => DigestAlgorithm::default(),
    };
    let mut random = [0; 16];
    entropy
        .fill(&mut random)
        .map_err(|error| RegistryError::Internal(error.into()))?;
    let (id, client) = (UploadId::from_random(random), client(proof, call));
    let Some(digest) = whole else {
        proof.begin(id, client, algorithm).await?;
        return Ok(under_way(StatusCode::ACCEPTED, proof, id, 0, call));
    };
    let mut upload = proof.put(id, client, algorithm).await?;
    receive(&mut upload, payload).await?;
    let blob = upload.finish(digest).await?;
    Ok(pushed(proof, &blob, call))
}

/// The response to a mount that succeeds; `None` if the blob cannot be mounted, for whatever
/// reason: an ordinary upload begins then, and does not tell which reason it was.
async fn mount(
    proof: &Authorized<'_, Push>,
    digest: &Digest,
    from: Option<RepositoryName>,
    call: &ApiRequest<'_>,
) -> Result<Option<HttpResponse>, Error> {
    let source = match from {
        Some(from) => MountSource::Repository(from),
        // It names something that no repository can be called.
        None if call.query.first("from").is_some() => return Ok(None),
        None => MountSource::Any,
    };
    let Some((blob, from)) = proof.mount(digest, source).await? else {
        return Ok(None);
    };
    call.observe(EventKind::BlobMounted {
        blob: described(proof, &blob),
        from: &from,
    });
    Ok(Some(created(proof, &blob, call)))
}

/// Whose uploads are counted together: the account, or the address of an anonymous client.
fn client(proof: &Authorized<'_, Push>, call: &ApiRequest<'_>) -> String {
    // A limit never counts an address that a client can choose.
    let address = call.context.attributable_address().or(call.context.peer);
    match (proof.account(), address) {
        ("", Some(address)) => address.to_string(),
        (account, _) => account.to_owned(),
    }
}

/// `GET` and `HEAD` of an upload: how much of it has arrived (end-13).
pub(crate) async fn status(
    proof: &Authorized<'_, Pull>,
    id: UploadId,
    call: &ApiRequest<'_>,
) -> Result<HttpResponse, RegistryError> {
    let received = proof.received(id).await?;
    Ok(under_way(StatusCode::NO_CONTENT, proof, id, received, call))
}

/// `PATCH`: a chunk (end-5), or the whole content.
pub(crate) async fn append(
    proof: &Authorized<'_, Push>,
    id: UploadId,
    call: &ApiRequest<'_>,
    payload: &mut Payload,
) -> Result<HttpResponse, RegistryError> {
    let upload = take_in(proof, id, call, payload).await?;
    let received = upload.save().await?;
    Ok(under_way(StatusCode::ACCEPTED, proof, id, received, call))
}

/// `PUT`: the end of an upload, perhaps with its last chunk (end-6).
pub(crate) async fn finish(
    proof: &Authorized<'_, Push>,
    id: UploadId,
    call: &ApiRequest<'_>,
    payload: &mut Payload,
) -> Result<HttpResponse, RegistryError> {
    let digest = call
        .query
        .first("digest")
        .ok_or(RegistryError::NoDigest)?
        .parse()?;
    let upload = take_in(proof, id, call, payload).await?;
    let blob = upload.finish(digest).await?;
    Ok(pushed(proof, &blob, call))
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
async fn take_in(
    proof: &Authorized<'_, Push>,
    id: UploadId,
    call: &ApiRequest<'_>,
    payload: &mut Payload,
) -> Result<Upload, RegistryError> {
    let range = ContentRange::of(call.headers())?;
    // A PUT that only ends an upload has no chunk whose length could be wrong.
    let claimed = range
        .filter(|_| payload.length() != Some(0))
        .map(|range| range.length);
    if let (Some(claimed), Some(arrived)) = (claimed, payload.length())
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
    if let Err(refusal) = receive(&mut upload, payload).await {
        if matches!(
            refusal,
            RegistryError::Payload(PayloadError::Broken | PayloadError::Stalled)
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

async fn receive(upload: &mut Upload, payload: &mut Payload) -> Result<(), RegistryError> {
    while let Some(piece) = payload.next().await? {
        upload.write(piece).await?;
    }
    Ok(())
}

fn path<A>(proof: &Authorized<'_, A>, id: UploadId) -> String {
    format!("/v2/{}/blobs/uploads/{id}", proof.repository())
}

/// An upload that goes on: where, and from which byte.
fn under_way<A>(
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

/// The response to the end of an upload.
fn pushed(proof: &Authorized<'_, Push>, blob: &Blob, call: &ApiRequest<'_>) -> HttpResponse {
    call.observe(EventKind::BlobPushed(described(proof, blob)));
    created(proof, blob, call)
}

fn described<'a>(proof: &'a Authorized<'_, Push>, blob: &'a Blob) -> event::BlobEvent<'a> {
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
