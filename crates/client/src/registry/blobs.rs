//! Blobs: looked up, downloaded (continued after a broken connection), deleted.

use bytes::{Buf, Bytes};
use common::BoxFuture;
use oci::{Descriptor, Digest};
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Method, StatusCode};

use super::RepositoryClient;
use crate::Error;
use crate::content::ContentReader;
use crate::hasher::DigestHasher;
use crate::session::Scopes;
use crate::transport::{Backoff, ClientRequest, ClientResponse, is_transient};

impl RepositoryClient {
    /// Whether the repository has the blob.
    ///
    /// # Errors
    /// When the registry does not tell.
    pub async fn has_blob(&self, digest: &Digest) -> Result<bool, Error> {
        let request = ClientRequest::head(self.url(&format!("blobs/{digest}"))?);
        self.exists(request).await
    }

    /// Whether what `request` asks for exists. The scopes are those of a push, which follows if it
    /// does not.
    pub(super) async fn exists(&self, request: ClientRequest) -> Result<bool, Error> {
        let scopes = Scopes::push(&self.name);
        let response = self.session.send(&scopes, request).await?;
        match response.status() {
            StatusCode::NOT_FOUND => Ok(false),
            _ => response.success().await.map(|_| true),
        }
    }

    /// Begins to download a blob at `offset`. The caller must verify the digest.
    #[must_use]
    pub fn download(&self, blob: &Descriptor, offset: u64) -> Download {
        Download {
            repository: self.clone(),
            digest: blob.digest,
            size: Some(blob.size),
            position: offset,
            response: None,
            skip: 0,
            attempts: Backoff::default(),
            hasher: DigestHasher::new(blob.digest.algorithm()),
        }
    }

    /// [`download`](Self::download) of a blob whose size is not known.
    #[must_use]
    pub fn download_unsized(&self, digest: Digest) -> Download {
        let (size, position, skip, attempts) = (None, 0, 0, Backoff::default());
        let hasher = DigestHasher::new(digest.algorithm());
        Download {
            repository: self.clone(),
            digest,
            size,
            position,
            response: None,
            skip,
            attempts,
            hasher,
        }
    }

    /// Deletes a blob.
    ///
    /// # Errors
    /// When the blob does not exist, or the registry does not delete.
    pub async fn delete_blob(&self, digest: &Digest) -> Result<(), Error> {
        let request = ClientRequest::new(Method::DELETE, self.url(&format!("blobs/{digest}"))?);
        let response = self
            .session
            .send(&Scopes::delete(&self.name), request)
            .await?;
        response.success().await.map(|_| ())
    }
}

/// A blob that is being downloaded.
pub struct Download {
    repository: RepositoryClient,
    digest: Digest,
    size: Option<u64>,
    /// How many of the blob's bytes have been returned.
    position: u64,
    response: Option<ClientResponse>,
    /// How many bytes of the present response were returned before: a server that does not know
    /// ranges begins at the start.
    skip: u64,
    attempts: Backoff,
    hasher: DigestHasher,
}

impl Download {
    /// The next piece; `None` at the end. After a broken connection the download continues where it
    /// stopped, as long as it makes progress.
    ///
    /// # Errors
    /// When the blob does not exist, does not have its size, or no more bytes arrive.
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
                Err(error) if error.is_transient() => self.pause_after(error).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// [`chunk`](Self::chunk), with an error at the end if the content does not match the digest. Only
    /// for a download from the start.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk), and [`Error::Digest`].
    pub async fn verified_chunk(&mut self) -> Result<Option<Bytes>, Error> {
        match self.chunk().await? {
            Some(piece) => {
                self.hasher.update(&piece);
                Ok(Some(piece))
            }
            None => {
                let (expected, found) =
                    (self.digest.into(), Box::new(self.hasher.clone().finish()));
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
        if self.response.is_none() {
            self.response = Some(self.begin().await?);
        }
        let Some(response) = &mut self.response else {
            return Ok(None);
        };
        let Some(mut chunk) = response.chunk().await? else {
            return Ok(None);
        };
        let skipped = usize::try_from(self.skip)
            .unwrap_or(usize::MAX)
            .min(chunk.len());
        chunk.advance(skipped);
        self.skip -= skipped as u64;
        Ok(Some(chunk))
    }

    /// Requests the blob from `position` on (RFC 9110 §14). A server that cannot send a part of it
    /// is asked for all of it.
    async fn begin(&mut self) -> Result<ClientResponse, Error> {
        let url = self.repository.url(&format!("blobs/{}", self.digest))?;
        let scopes = Scopes::pull(&self.repository.name);
        let session = &self.repository.session;
        if self.position > 0 {
            let range = format!("bytes={}-", self.position);
            let request = ClientRequest::get(url.clone()).header(RANGE, &range);
            match session.send(&scopes, request).await {
                Ok(response) if self.is_rest(&response) => {
                    self.skip = 0;
                    return Ok(response);
                }
                Ok(response) if response.status() == StatusCode::OK => {
                    self.skip = self.position;
                    return Ok(response);
                }
                Ok(response)
                    if response.status() == StatusCode::NOT_FOUND
                        || is_transient(response.status()) =>
                {
                    return response.success().await;
                }
                Err(error) if error.is_transient() => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        let response = session.send(&scopes, ClientRequest::get(url)).await?;
        self.skip = self.position;
        response.success().await
    }

    /// Whether a response is the part of the blob that was requested.
    fn is_rest(&self, response: &ClientResponse) -> bool {
        let begin = response.header(CONTENT_RANGE.as_str()).and_then(first_byte);
        response.status() == StatusCode::PARTIAL_CONTENT && begin == Some(self.position)
    }

    async fn pause_after(&mut self, error: Error) -> Result<(), Error> {
        self.response = None;
        let transport = self.repository.session.transport();
        match self
            .attempts
            .pause(error.retry_after(), &*transport.options().entropy)
        {
            Some(pause) => {
                transport.pause(pause, &error.to_string()).await;
                Ok(())
            }
            None => Err(error),
        }
    }

    /// The blob's name, for messages.
    fn place(&self) -> String {
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

impl ContentReader for Download {
    fn chunk(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, Error>> {
        Box::pin(Self::chunk(self))
    }

    fn name(&self) -> String {
        self.place()
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
    fn the_first_byte_of_a_range() {
        assert_eq!(first_byte("bytes 5-9/10"), Some(5));
        assert_eq!(first_byte("bytes 0-0/*"), Some(0));
        assert_eq!(first_byte("bytes */10"), None);
        assert_eq!(first_byte("lines 1-2/3"), None);
    }
}
