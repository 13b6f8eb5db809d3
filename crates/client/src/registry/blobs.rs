//! Blobs: asked for, downloaded (and taken up again where the connection broke), deleted.

use bytes::{Buf, Bytes};
use oci::{Descriptor, Digest};
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Method, StatusCode};

use super::RepositoryClient;
use crate::Error;
use crate::hasher::ContentHasher;
use crate::session::Scopes;
use crate::transport::{Backoff, HttpRequest, HttpResponse};

impl RepositoryClient {
    /// Whether the blob is there.
    ///
    /// # Errors
    /// When the registry does not say.
    pub async fn has_blob(&self, digest: &Digest) -> Result<bool, Error> {
        let call = HttpRequest::head(self.url(&format!("blobs/{digest}"))?);
        let answer = self.session.send(&Scopes::push(&self.name), call).await?;
        match answer.status() {
            StatusCode::NOT_FOUND => Ok(false),
            _ => answer.success().await.map(|_| true),
        }
    }

    /// Begins to download a blob at `offset`. What comes is not proved yet: whoever takes it hashes
    /// it.
    #[must_use]
    pub fn download(&self, blob: &Descriptor, offset: u64) -> Download {
        Download {
            repository: self.clone(),
            digest: blob.digest,
            size: Some(blob.size),
            position: offset,
            answer: None,
            skip: 0,
            attempts: Backoff::default(),
            proof: ContentHasher::new(blob.digest.algorithm()),
        }
    }

    /// [`download`](Self::download) of a blob whose size nobody has said.
    #[must_use]
    pub fn download_unsized(&self, digest: Digest) -> Download {
        let (size, position, skip, attempts) = (None, 0, 0, Backoff::default());
        let proof = ContentHasher::new(digest.algorithm());
        Download {
            repository: self.clone(),
            digest,
            size,
            position,
            answer: None,
            skip,
            attempts,
            proof,
        }
    }

    /// Deletes a blob.
    ///
    /// # Errors
    /// When it is not there, or the registry does not delete.
    pub async fn delete_blob(&self, digest: &Digest) -> Result<(), Error> {
        let call = HttpRequest::new(Method::DELETE, self.url(&format!("blobs/{digest}"))?);
        let answer = self.session.send(&Scopes::delete(&self.name), call).await?;
        answer.success().await.map(|_| ())
    }
}

/// A blob on its way here.
pub struct Download {
    repository: RepositoryClient,
    digest: Digest,
    size: Option<u64>,
    /// How many of the blob's bytes have been handed out.
    position: u64,
    answer: Option<HttpResponse>,
    /// How many bytes of the present answer were handed out before: a server that knows no ranges
    /// begins at the start.
    skip: u64,
    attempts: Backoff,
    proof: ContentHasher,
}

impl Download {
    /// The next piece; none at the end. A connection that breaks is made anew, from where it broke,
    /// as long as anything comes of it.
    ///
    /// # Errors
    /// When the blob is not there, is longer or shorter than its size, or nothing more comes.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if self.size == Some(self.position) {
                return Ok(None);
            }
            match self.try_chunk().await {
                Ok(Some(chunk)) if chunk.is_empty() => {}
                Ok(Some(chunk)) => {
                    self.position += chunk.len() as u64;
                    self.attempts.progress(chunk.len() as u64);
                    return self.within_size().map(|()| Some(chunk));
                }
                Ok(None) if self.size.is_none() => return Ok(None),
                Ok(None) => return Err(self.wrong_size()),
                Err(error) if error.may_pass() => self.pause_after(error).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// [`chunk`](Self::chunk), and at the end an error when all that came is not what the digest
    /// says. Only for a download from the start.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk), and [`Error::Digest`].
    pub async fn proved_chunk(&mut self) -> Result<Option<Bytes>, Error> {
        match self.chunk().await? {
            Some(piece) => {
                self.proof.update(&piece);
                Ok(Some(piece))
            }
            None => {
                let (expected, found) = (self.digest.into(), Box::new(self.proof.clone().finish()));
                if expected == found {
                    Ok(None)
                } else {
                    Err(Error::Digest {
                        what: self.place(),
                        expected,
                        found,
                    })
                }
            }
        }
    }

    async fn try_chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if self.answer.is_none() {
            self.answer = Some(self.begin().await?);
        }
        let Some(answer) = &mut self.answer else {
            return Ok(None);
        };
        let Some(mut chunk) = answer.chunk().await? else {
            return Ok(None);
        };
        let skipped = usize::try_from(self.skip)
            .unwrap_or(usize::MAX)
            .min(chunk.len());
        chunk.advance(skipped);
        self.skip -= skipped as u64;
        Ok(Some(chunk))
    }

    /// Asks for the blob from `position` on (RFC 9110 §14).
    async fn begin(&mut self) -> Result<HttpResponse, Error> {
        let mut call = HttpRequest::get(self.repository.url(&format!("blobs/{}", self.digest))?);
        if self.position > 0 {
            call = call.header(RANGE, &format!("bytes={}-", self.position));
        }
        let scopes = Scopes::pull(&self.repository.name);
        let answer = self
            .repository
            .session
            .send(&scopes, call)
            .await?
            .success()
            .await?;
        self.skip = match answer.status() {
            StatusCode::PARTIAL_CONTENT => {
                let begin = answer.header(CONTENT_RANGE.as_str()).and_then(first_byte);
                if begin != Some(self.position) {
                    return Err(answer.malformed("with another range than asked for"));
                }
                0
            }
            _ => self.position,
        };
        Ok(answer)
    }

    async fn pause_after(&mut self, error: Error) -> Result<(), Error> {
        self.answer = None;
        let transport = self.repository.session.transport();
        match self.attempts.pause(None, &*transport.options().entropy) {
            Some(pause) => {
                transport.pause(pause, &error.to_string()).await;
                Ok(())
            }
            None => Err(error),
        }
    }

    /// Where it comes from, for messages.
    pub(crate) fn place(&self) -> String {
        self.repository.place(&self.digest)
    }

    fn within_size(&self) -> Result<(), Error> {
        if self.size.is_some_and(|size| self.position > size) {
            Err(self.wrong_size())
        } else {
            Ok(())
        }
    }

    fn wrong_size(&self) -> Error {
        let what = self.place();
        Error::Size {
            what,
            expected: self.size.unwrap_or_default(),
            found: self.position,
        }
    }
}

/// `bytes 5-9/10` as 5.
fn first_byte(range: &str) -> Option<u64> {
    range
        .trim()
        .strip_prefix("bytes")?
        .trim_start()
        .split_once('-')?
        .0
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_range_begins() {
        assert_eq!(first_byte("bytes 5-9/10"), Some(5));
        assert_eq!(first_byte("bytes 0-0/*"), Some(0));
        assert_eq!(first_byte("bytes */10"), None);
        assert_eq!(first_byte("lines 1-2/3"), None);
    }
}
