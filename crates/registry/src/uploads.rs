//! Uploads: begun, gone on with, finished as blobs; and mounts, which spare them.

use common::Entropy;
use http::StatusCode;
use http::header::{HeaderName, LOCATION, RANGE};
use oci::{Digest, DigestAlgorithm, RepositoryName};
use storage::{Blob, Error, NewUpload, PageRequest, Upload, UploadId};

use crate::access::{Authorized, Cancel, Pull, Push};
use crate::body::HttpResponse;
use crate::error::RegistryError;
use crate::payload::{Payload, PayloadError};
use crate::ranges::{ContentRange, progress};
use crate::request::ApiRequest;
use crate::response;

/// The upload's name, as Docker's clients want it told.
const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// The repository that a mount is to be from; none where no such name can be.
pub(crate) fn mounted_from(call: &ApiRequest<'_>) -> Option<RepositoryName> {
    call.query.first("mount")?;
    call.query.first("from")?.parse().ok()
}

/// `POST`: a mount (end-11), a blob in one go (end-4b), or the beginning of an upload (end-4a,
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
        if let Some(blob) = self::mount(proof, &digest, from, call).await? {
            return Ok(created(proof, &blob, call));
        }
    }
    let whole: Option<Digest> = call.query.first("digest").map(str::parse).transpose()?;
    let algorithm = match (&whole, call.query.first("digest-algorithm")) {
        (Some(digest), _) => digest.algorithm(),
        (None, Some(name)) => name.parse()?,
        (None, None) => DigestAlgorithm::default(),
    };
    let upload = new_upload(proof, algorithm, call, entropy)?;
    let id = upload.id;
    let Some(digest) = whole else {
        proof.storage().begin(upload).await?;
        return Ok(under_way(StatusCode::ACCEPTED, proof, id, 0, call));
    };
    let mut upload = proof.storage().put(upload).await?;
    receive(&mut upload, payload).await?;
    let blob = upload.finish(digest).await?;
    Ok(created(proof, &blob, call))
}

/// The blob, mounted; none where it is not to be had, for whatever reason: an ordinary upload
/// begins then, and does not tell which it was.
async fn mount(
    proof: &Authorized<'_, Push>,
    digest: &Digest,
    from: Option<RepositoryName>,
    call: &ApiRequest<'_>,
) -> Result<Option<Blob>, Error> {
    let sources = match from {
        Some(from) if proof.may_pull_from(&from) => vec![from],
        Some(_) => Vec::new(),
        None if call.query.first("from").is_some() => Vec::new(),
        // Without `from` it may come from anywhere that the caller may pull from.
        None => match proof.pulls_from() {
            Some(named) => named,
            None => {
                proof
                    .storage()
                    .blobs()
                    .holders(
                        digest,
                        PageRequest {
                            after: None,
                            limit: 1,
                        },
                    )
                    .await?
                    .entries
            }
        },
    };
    for source in sources {
        proof.storage().ensure_adopted(&source).await?;
        match proof
            .storage()
            .blobs()
            .mount(digest, &source, proof.repository())
            .await
        {
            Ok(blob) => return Ok(Some(blob)),
            Err(Error::BlobUnknown) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn new_upload(
    proof: &Authorized<'_, Push>,
    algorithm: DigestAlgorithm,
    call: &ApiRequest<'_>,
    entropy: &dyn Entropy,
) -> Result<NewUpload, RegistryError> {
    let mut random = [0; 16];
    entropy
        .fill(&mut random)
        .map_err(|error| RegistryError::Internal(error.into()))?;
    // A limit never counts an address that a client can choose.
    let address = call.context.attributable_address().or(call.context.peer);
    let client = match (proof.account(), address) {
        ("", Some(address)) => address.to_string(),
        (account, _) => account.to_owned(),
    };
    Ok(NewUpload {
        id: UploadId::from_random(random),
        repository: proof.repository().clone(),
        client,
        algorithm,
    })
}

/// `GET` and `HEAD` of an upload: how far it is (end-13).
pub(crate) async fn status(
    proof: &Authorized<'_, Pull>,
    id: UploadId,
    call: &ApiRequest<'_>,
) -> Result<HttpResponse, RegistryError> {
    let received = proof.storage().received(proof.repository(), id).await?;
    Ok(under_way(StatusCode::NO_CONTENT, proof, id, received, call))
}

/// `PATCH`: a chunk (end-5), or everything at once.
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
    Ok(created(proof, &blob, call))
}

/// `DELETE` of an upload (end-14).
pub(crate) async fn cancel(
    proof: &Authorized<'_, Cancel>,
    id: UploadId,
) -> Result<HttpResponse, RegistryError> {
    proof.storage().cancel(proof.repository(), id).await?;
    Ok(response::empty(StatusCode::NO_CONTENT))
}

/// The upload with the request's body behind what it had.
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
    let upload = proof
        .storage()
        .upload(proof.repository(), id, range.map(|range| range.start))
        .await;
    let mut upload = upload.map_err(|error| match error {
        // It lives on, and the client is told where.
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
            // What came is kept: the client asks how much it was and goes on from there.
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
    let mut answer = response::empty(status);
    response::set(&mut answer, LOCATION, &call.location(&path(proof, id)));
    response::set(&mut answer, RANGE, &progress(received));
    response::set(&mut answer, UPLOAD_ID, &id.to_string());
    answer
}

fn created(proof: &Authorized<'_, Push>, blob: &Blob, call: &ApiRequest<'_>) -> HttpResponse {
    let location = call.location(&format!("/v2/{}/blobs/{}", proof.repository(), blob.digest));
    response::made(StatusCode::CREATED, &location, Some(&blob.digest))
}
