//! Uploads: begun, sent in one piece, and taken up again where the connection broke (OCI
//! distribution-spec, "Pushing blobs").

use std::io;

use bytes::Bytes;
use oci::{Descriptor, RepositoryName};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::{Method, StatusCode, Url};
use tokio::sync::mpsc;

use super::RepositoryClient;
use crate::error_response::origin;
use crate::hasher::ContentHasher;
use crate::session::Scopes;
use crate::transfer::{BlobProgress, BlobReader, BlobSource};
use crate::transport::{Backoff, HttpRequest, HttpResponse, StreamedBody};
use crate::{Error, Step};

/// How a blob came to be in a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UploadOutcome {
    /// It was there.
    Present,
    /// The registry had it in another repository.
    Mounted,
    /// It was sent.
    Sent,
}

/// An upload in progress.
struct UploadSession {
    location: Url,
    /// How much the registry has.
    offset: u64,
}

impl RepositoryClient {
    /// Sees to it that the blob is there: mounts it from another repository of the registry if it
    /// can be, else sends what `source` has. The content's digest is proved before the last piece
    /// of it leaves.
    ///
    /// # Errors
    /// When the registry does not take it, or `source` does not have it.
    pub(crate) async fn upload(
        &self,
        blob: &Descriptor,
        from: Option<&RepositoryName>,
        source: &BlobSource,
        meter: &dyn BlobProgress,
    ) -> Result<UploadOutcome, Error> {
        if self.has_blob(&blob.digest).await? {
            return Ok(UploadOutcome::Present);
        }
        let Some(mut session) = self.begin_upload(blob, from).await? else {
            return Ok(UploadOutcome::Mounted);
        };
        let mut proof = ContentHasher::new(blob.digest.algorithm());
        let (mut attempts, mut renewed) = (Backoff::default(), false);
        loop {
            let Err(error) = self
                .continue_upload(blob, &session, source, &mut proof, meter)
                .await
            else {
                return Ok(UploadOutcome::Sent);
            };
            let transport = self.session.transport();
            let lost = matches!(&error, Error::NotFound { source, .. } if source.has("BLOB_UPLOAD_UNKNOWN"));
            // The token may have ended since the upload began; asking how far that has come gets
            // another one.
            let stale = !std::mem::replace(&mut renewed, true) && is_unauthorized(&error);
            if !(error.may_pass() || lost || stale) {
                return Err(error);
            }
            let Some(pause) = attempts.pause(None, &*transport.options().entropy) else {
                return Err(error);
            };
            transport.pause(pause, &error.to_string()).await;
            let before = session.offset;
            session = match self.upload_status(&session).await {
                Some(session) if session.offset <= proof.length() => session,
                _ => match self.begin_upload(blob, None).await? {
                    Some(session) => session,
                    None => return Ok(UploadOutcome::Mounted),
                },
            };
            if session.offset > before {
                attempts.progress(session.offset - before);
            }
        }
    }

    /// Opens an upload; none when the blob was mounted instead.
    async fn begin_upload(
        &self,
        blob: &Descriptor,
        from: Option<&RepositoryName>,
    ) -> Result<Option<UploadSession>, Error> {
        let mut url = self.url("blobs/uploads/")?;
        let mut scopes = Scopes::push(&self.name);
        if let Some(from) = from {
            url.query_pairs_mut()
                .append_pair("mount", &blob.digest.to_string())
                .append_pair("from", from.as_str());
            scopes = scopes.and(&Scopes::pull(from));
        }
        let call = HttpRequest::new(Method::POST, url).header(CONTENT_LENGTH, "0");
        let answer = self.session.send(&scopes, call).await?.success().await?;
        if answer.status() == StatusCode::CREATED {
            return Ok(None);
        }
        Ok(Some(UploadSession {
            location: self.location(&answer)?,
            offset: 0,
        }))
    }

    /// How far an upload has come; none when nobody knows. Registry 2 says `0-0` of nothing and of
    /// one byte alike, so that is as good as nobody's knowing.
    async fn upload_status(&self, session: &UploadSession) -> Option<UploadSession> {
        let call = HttpRequest::get(session.location.clone());
        let answer = self
            .session
            .send(&Scopes::push(&self.name), call)
            .await
            .ok()?
            .success()
            .await
            .ok()?;
        let last: u64 = answer
            .header(RANGE.as_str())?
            .rsplit_once('-')?
            .1
            .parse()
            .ok()?;
        let location = self
            .location(&answer)
            .unwrap_or_else(|_| session.location.clone());
        (last > 0).then_some(UploadSession {
            location,
            offset: last + 1,
        })
    }

    /// Sends what the registry does not have, and closes the upload.
    async fn continue_upload(
        &self,
        blob: &Descriptor,
        session: &UploadSession,
        source: &BlobSource,
        proof: &mut ContentHasher,
        meter: &dyn BlobProgress,
    ) -> Result<(), Error> {
        let close = |location: &Url| {
            let mut url = location.clone();
            url.query_pairs_mut()
                .append_pair("digest", &blob.digest.to_string());
            self.upload_call(Method::PUT, url)
        };
        let left = blob.size.saturating_sub(session.offset);
        if session.offset == 0 {
            let call = close(&session.location);
            return self
                .send_rest(blob, 0, call, source, proof, meter)
                .await
                .map(|_| ());
        }
        let mut location = session.location.clone();
        if left > 0 {
            let range = format!("{}-{}", session.offset, blob.size - 1);
            let call = self
                .upload_call(Method::PATCH, location)
                .header(CONTENT_RANGE, &range);
            location = self.location(
                &self
                    .send_rest(blob, session.offset, call, source, proof, meter)
                    .await?,
            )?;
        }
        let call = close(&location).header(CONTENT_LENGTH, "0");
        self.session
            .send(&Scopes::push(&self.name), call)
            .await?
            .success()
            .await
            .map(|_| ())
    }

    async fn send_rest(
        &self,
        blob: &Descriptor,
        offset: u64,
        call: HttpRequest,
        source: &BlobSource,
        proof: &mut ContentHasher,
        meter: &dyn BlobProgress,
    ) -> Result<HttpResponse, Error> {
        let (pieces, body) = StreamedBody::new(blob.size - offset);
        let reader = source.open(blob, offset).await?;
        let scopes = Scopes::push(&self.name);
        let sending = self.send_upload(&scopes, call, body);
        let (sent, read) = tokio::join!(sending, pump(blob, offset, reader, proof, pieces, meter));
        // What is wrong with the content comes before what the registry says of half of it.
        read?;
        sent?.success().await
    }

    async fn send_upload(
        &self,
        scopes: &Scopes,
        call: HttpRequest,
        body: StreamedBody,
    ) -> Result<HttpResponse, Error> {
        if call.step == Step::Elsewhere {
            self.session.transport().send_streamed(&call, body).await
        } else {
            self.session.send_streamed(scopes, call, body).await
        }
    }

    /// A call to an upload's location. Elsewhere than at the registry it goes without papers.
    fn upload_call(&self, method: Method, location: Url) -> HttpRequest {
        let elsewhere = origin(&location) != origin(self.session.base());
        let call =
            HttpRequest::new(method, location).header(CONTENT_TYPE, "application/octet-stream");
        if elsewhere {
            call.step(Step::Elsewhere)
        } else {
            call
        }
    }

    /// Where an answer says that the upload goes on. It may be relative.
    fn location(&self, answer: &HttpResponse) -> Result<Url, Error> {
        let text = answer
            .header(LOCATION.as_str())
            .ok_or_else(|| answer.malformed("does not say where (Location)"))?;
        let wrong = |why| Error::Redirect {
            step: answer.step,
            from: Box::new(answer.url.clone()),
            to: text.to_owned(),
            why,
        };
        let url = answer
            .url
            .join(text)
            .map_err(|_| wrong("which is no URL"))?;
        let in_clear = url.scheme() == "http" && answer.url.scheme() == "https";
        if in_clear && !self.session.transport().options().insecure {
            return Err(wrong("from https to plain http"));
        }
        Ok(url)
    }
}

/// Whether the papers were not believed.
fn is_unauthorized(error: &Error) -> bool {
    matches!(error, Error::Denied { source, .. } if source.status == StatusCode::UNAUTHORIZED)
}

/// Reads, hashes and hands on. One piece is always kept back: the last leaves only when the digest
/// is proved.
async fn pump(
    blob: &Descriptor,
    offset: u64,
    mut reader: BlobReader,
    proof: &mut ContentHasher,
    pieces: mpsc::Sender<io::Result<Bytes>>,
    meter: &dyn BlobProgress,
) -> Result<(), Error> {
    let mut position = offset;
    let mut kept: Option<Bytes> = None;
    let broken = |error: Error, pieces: mpsc::Sender<io::Result<Bytes>>| {
        // The registry sees a body that breaks off, never one that ends.
        let _ = pieces.try_send(Err(io::Error::other("the content cannot be read")));
        error
    };
    loop {
        let piece = match reader.chunk().await {
            Ok(Some(piece)) => piece,
            Ok(None) => break,
            Err(error) => return Err(broken(error, pieces)),
        };
        proof.update_at(position, &piece);
        position += piece.len() as u64;
        meter.at(position);
        // Nobody takes it: the registry has answered already.
        if let Some(earlier) = kept.replace(piece)
            && pieces.send(Ok(earlier)).await.is_err()
        {
            return Ok(());
        }
    }
    let found = proof.clone().finish();
    if found != blob.digest {
        let error = Error::Digest {
            what: reader.place(),
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
