//! Uploads: sent in one piece, and continued after a broken connection (OCI distribution-spec,
//! "Pushing blobs").

use std::io;

use bytes::Bytes;
use oci::{Descriptor, RepositoryName};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::{Method, StatusCode, Url};
use tokio::sync::mpsc;

use super::RepositoryClient;
use crate::Error;
use crate::content::{BlobProgress, ContentReader, ContentSource, Reuse, UploadOutcome};
use crate::hasher::DigestHasher;
use crate::session::Scopes;
use crate::transport::{Backoff, ClientRequest, ClientResponse, StreamedBody};

/// An upload in progress.
struct UploadSession {
    location: Url,
    /// How many bytes the registry has.
    offset: u64,
}

/// What came of an attempt to mount a blob.
enum MountOutcome {
    Mounted,
    /// The registry began an ordinary upload instead.
    Upload(UploadSession),
}

impl RepositoryClient {
    /// Makes sure that the blob is in the repository: mounts it from the repository `from` of the
    /// same registry, or sends the content of `source`. The digest is verified before the last piece
    /// is sent.
    ///
    /// Asking whether the blob is there, and mounting, only save time. When they fail, or `reuse`
    /// rules them out, the content is sent.
    ///
    /// # Errors
    /// When the registry does not accept the blob, or `source` does not have it.
    pub(crate) async fn upload(
        &self,
        blob: &Descriptor,
        from: Option<&RepositoryName>,
        reuse: Reuse,
        source: &dyn ContentSource,
        meter: &dyn BlobProgress,
    ) -> Result<UploadOutcome, Error> {
        let may_reuse = reuse != Reuse::Nothing;
        if may_reuse && self.has_blob(&blob.digest).await.unwrap_or(false) {
            return Ok(UploadOutcome::Present);
        }
        let mut upload = match self.mount(blob, from.filter(|_| may_reuse)).await {
            Some(MountOutcome::Mounted) => return Ok(UploadOutcome::Mounted),
            Some(MountOutcome::Upload(upload)) => upload,
            None => self.begin_upload().await?,
        };
        let mut hasher = DigestHasher::new(blob.digest.algorithm());
        let (mut backoff, mut renewed) = (Backoff::default(), false);
        loop {
            let Err(error) = self
                .continue_upload(blob, &upload, source, &mut hasher, meter)
                .await
            else {
                return Ok(UploadOutcome::Sent);
            };
            let transport = self.session.transport();
            let lost = is_lost(&error, &upload);
            // The token may have expired since the upload began; asking for its status gets another.
            let expired = !std::mem::replace(&mut renewed, true) && is_unauthorized(&error);
            if !(error.is_transient() || lost || expired) {
                return Err(error);
            }
            let wanted = error.retry_after();
            let Some(pause) = backoff.pause(wanted, &*transport.options().entropy) else {
                return Err(error);
            };
            transport.pause(pause, &error.to_string()).await;
            let before = upload.offset;
            let status = match lost {
                true => None,
                false => self.upload_status(&upload).await,
            };
            upload = match status {
                Some(upload) if upload.offset <= hasher.length() => upload,
                _ => self.begin_upload().await?,
            };
            if upload.offset > before {
                backoff.progress(upload.offset - before);
            }
        }
    }

    /// Tries to mount the blob from another repository; `None` if that brought nothing. Registries
    /// that cannot mount answer in every way (OCI distribution-spec, "Mounting a blob from another
    /// repository": 202; others 400 to 501), and so do token servers when they are asked for the
    /// other repository.
    async fn mount(
        &self,
        blob: &Descriptor,
        from: Option<&RepositoryName>,
    ) -> Option<MountOutcome> {
        let from = from?;
        let mut url = self.url("blobs/uploads/").ok()?;
        url.query_pairs_mut()
            .append_pair("mount", &blob.digest.to_string())
            .append_pair("from", from.as_str());
        let scopes = Scopes::push(&self.name).and(&Scopes::pull(from));
        let request = ClientRequest::new(Method::POST, url)
            .header(CONTENT_LENGTH, "0")
            .once();
        let response = self.session.send(&scopes, request).await.ok()?;
        match response.status() {
            StatusCode::CREATED => Some(MountOutcome::Mounted),
            StatusCode::ACCEPTED => Some(MountOutcome::Upload(UploadSession {
                location: self.location(&response).ok()?,
                offset: 0,
            })),
            _ => None,
        }
    }

    /// Begins an upload.
    async fn begin_upload(&self) -> Result<UploadSession, Error> {
        let url = self.url("blobs/uploads/")?;
        let request = ClientRequest::new(Method::POST, url).header(CONTENT_LENGTH, "0");
        let scopes = Scopes::push(&self.name);
        let response = self.session.send(&scopes, request).await?.success().await?;
        Ok(UploadSession {
            location: self.location(&response)?,
            offset: 0,
        })
    }

    /// How far an upload has come; `None` if that is not known. Registry 2 responds `0-0` for no
    /// byte and for one byte, so that is not known either.
    async fn upload_status(&self, upload: &UploadSession) -> Option<UploadSession> {
        let request = ClientRequest::get(upload.location.clone());
        let scopes = Scopes::push(&self.name);
        let response = self.session.send(&scopes, request).await.ok()?;
        let response = response.success().await.ok()?;
        let range = response.header(RANGE.as_str())?;
        let last: u64 = range.rsplit_once('-')?.1.trim().parse().ok()?;
        let location = self
            .location(&response)
            .unwrap_or_else(|_| upload.location.clone());
        (last > 0).then_some(UploadSession {
            location,
            offset: last + 1,
        })
    }

    /// Sends the bytes that the registry does not have, and closes the upload.
    async fn continue_upload(
        &self,
        blob: &Descriptor,
        upload: &UploadSession,
        source: &dyn ContentSource,
        hasher: &mut DigestHasher,
        meter: &dyn BlobProgress,
    ) -> Result<(), Error> {
        let close = |location: &Url| {
            let mut url = location.clone();
            url.query_pairs_mut()
                .append_pair("digest", &blob.digest.to_string());
            self.upload_request(Method::PUT, url)
        };
        let left = blob.size.saturating_sub(upload.offset);
        if upload.offset == 0 {
            let request = close(&upload.location);
            return self
                .send_rest(blob, 0, request, source, hasher, meter)
                .await
                .map(|_| ());
        }
        let mut location = upload.location.clone();
        if left > 0 {
            let range = format!("{}-{}", upload.offset, blob.size - 1);
            let request = self
                .upload_request(Method::PATCH, location)
                .header(CONTENT_RANGE, &range);
            location = self.location(
                &self
                    .send_rest(blob, upload.offset, request, source, hasher, meter)
                    .await?,
            )?;
        }
        let request = close(&location).header(CONTENT_LENGTH, "0");
        self.session
            .send(&Scopes::push(&self.name), request)
            .await?
            .success()
            .await
            .map(|_| ())
    }

    async fn send_rest(
        &self,
        blob: &Descriptor,
        offset: u64,
        request: ClientRequest,
        source: &dyn ContentSource,
        hasher: &mut DigestHasher,
        meter: &dyn BlobProgress,
    ) -> Result<ClientResponse, Error> {
        let (pieces, body) = StreamedBody::new(blob.size - offset);
        let reader = source.open(blob, offset).await?;
        let scopes = Scopes::push(&self.name);
        let sending = self.session.send_streamed(&scopes, request, body);
        let (sent, read) = tokio::join!(sending, pump(blob, offset, reader, hasher, pieces, meter));
        // An error of the content explains the registry's response to half of it.
        read?;
        sent?.success().await
    }

    fn upload_request(&self, method: Method, location: Url) -> ClientRequest {
        ClientRequest::new(method, location).header(CONTENT_TYPE, "application/octet-stream")
    }

    /// The URL at which the upload continues. It may be relative.
    fn location(&self, response: &ClientResponse) -> Result<Url, Error> {
        let text = response
            .header(LOCATION.as_str())
            .ok_or_else(|| response.malformed("it has no Location header"))?;
        let wrong = |why| Error::Redirect {
            step: response.step,
            from: Box::new(response.url.clone()),
            to: text.to_owned(),
            why,
        };
        let url = response
            .url
            .join(text)
            .map_err(|_| wrong("which is not a URL"))?;
        let in_clear = url.scheme() == "http" && response.url.scheme() == "https";
        if in_clear && !self.session.transport().options().insecure {
            return Err(wrong("from https to plain http"));
        }
        Ok(url)
    }
}

/// Whether the token was rejected.
fn is_unauthorized(error: &Error) -> bool {
    matches!(error, Error::Denied { source, .. } if source.status == StatusCode::UNAUTHORIZED)
}

/// Whether the registry no longer knows the upload, or does not let it continue. It then begins
/// anew. An error of the source, which is read with GET, is something else.
fn is_lost(error: &Error, upload: &UploadSession) -> bool {
    match error {
        Error::NotFound { source, .. } => source.method != Method::GET,
        Error::HttpErrorResponse { source, .. } => {
            upload.offset > 0 && source.status.is_client_error() && !error.is_transient()
        }
        _ => false,
    }
}

/// Reads, hashes and sends. One piece is always kept back: the last is sent only when the digest is
/// verified.
async fn pump(
    blob: &Descriptor,
    offset: u64,
    mut reader: Box<dyn ContentReader>,
    hasher: &mut DigestHasher,
    pieces: mpsc::Sender<io::Result<Bytes>>,
    meter: &dyn BlobProgress,
) -> Result<(), Error> {
    let mut position = offset;
    let mut kept: Option<Bytes> = None;
    let broken = |error: Error, pieces: mpsc::Sender<io::Result<Bytes>>| {
        // The registry must see a body that breaks off, not one that ends.
        let _ = pieces.try_send(Err(io::Error::other("the content cannot be read")));
        error
    };
    loop {
        let piece = match reader.chunk().await {
            Ok(Some(piece)) => piece,
            Ok(None) => break,
            Err(error) => return Err(broken(error, pieces)),
        };
        hasher.update_at(position, &piece);
        position += piece.len() as u64;
        meter.at(position);
        // The receiver is gone when the registry has responded already.
        if let Some(earlier) = kept.replace(piece)
            && pieces.send(Ok(earlier)).await.is_err()
        {
            return Ok(());
        }
    }
    let found = hasher.clone().finish();
    if found != blob.digest {
        let error = Error::Digest {
            what: reader.name(),
            expected: blob.digest.into(),
            found: found.into(),
        };
        return Err(broken(error, pieces));
    }
    if let Some(last) = kept {
        let _ = pieces.send(Ok(last)).await;
    }
    Ok(())
}
