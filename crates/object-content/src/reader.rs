//! Reading an object.
//!
//! All of a range is one request. If the connection breaks, the rest is asked for, and only if the
//! object is still the same.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{BoxStream, try_unfold};
use futures_util::{Stream, StreamExt};
use object_store::{GetOptions, GetRange, GetResult, ObjectStore};
use oci::{Digest, DigestAlgorithm};
use storage::{BlobReader, Error};
use tokio::time::{Instant, timeout};

use crate::error::{StoreFailure, unavailable};
use crate::in_use::ObjectUse;
use crate::shared_store::SharedStore;
use crate::small_content::SMALL;

/// How often one request is made: once, and again after failures that may pass.
const ATTEMPTS: u32 = 4;
/// How long a request waits after its first failure, about. Twice as long after each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Content of up to so many bytes is asked for again if it does not begin to arrive in time. A store
/// is often slow for one connection only.
const IMPATIENT: u64 = 1 << 20;
/// How long the first attempt to read small content waits.
const FIRST_BYTE: Duration = Duration::from_secs(2);
/// How long requests are repeated.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often in a row a connection may break before anything arrives.
const BREAKS: u32 = 4;

/// The content of a blob as it arrives.
pub(crate) struct ObjectReader {
    /// `None` if nothing is to be read.
    pub(crate) stream: Option<BoxStream<'static, Result<Bytes, Error>>>,
    pub(crate) digest: Digest,
    /// How much is still to come, in bytes.
    pub(crate) left: u64,
    /// As long as it is read, the object is not removed by this process.
    pub(crate) _in_use: ObjectUse,
}

impl ObjectReader {
    /// Content that is in memory.
    pub(crate) fn of(content: Bytes, in_use: ObjectUse) -> Self {
        let left = content.len() as u64;
        Self {
            stream: Some(futures_util::stream::iter([Ok(content)]).boxed()),
            digest: storage::hash::digest(DigestAlgorithm::Sha256, b""),
            left,
            _in_use: in_use,
        }
    }
}

impl BlobReader for ObjectReader {
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        let Some(stream) = self.stream.as_mut().filter(|_| self.left > 0) else {
            return Poll::Ready(None);
        };
        let chunk = ready!(Pin::new(stream).poll_next(context));
        let checked = match chunk {
            Some(Ok(chunk)) => {
                self.left = self.left.saturating_sub(chunk.len() as u64);
                return Poll::Ready(Some(Ok(chunk)));
            }
            Some(Err(Error::Damaged { .. })) | None => Error::Damaged {
                digest: self.digest,
            },
            Some(Err(error)) => error,
        };
        self.stream = None;
        Poll::Ready(Some(Err(checked)))
    }
}

/// A range of an object, with what is needed to continue.
struct RangeStream {
    shared: Arc<SharedStore>,
    key: String,
    /// What has not arrived yet.
    left: Range<u64>,
    /// The size of the whole object.
    size: u64,
    etag: Option<String>,
    content: BoxStream<'static, object_store::Result<Bytes>>,
    /// How often in a row the connection broke before anything arrived.
    breaks: u32,
    /// What the reader says if the object is not the same any more.
    digest: Digest,
}

impl RangeStream {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let error = match self.content.next().await {
                Some(Ok(chunk)) => {
                    self.breaks = 0;
                    self.left.start += chunk.len() as u64;
                    return Ok(Some(chunk));
                }
                Some(Err(error)) => error,
                None => return Ok(None),
            };
            self.breaks += 1;
            if self.breaks > BREAKS || self.left.is_empty() {
                return Err(unavailable("read content")(error));
            }
            tracing::debug!(
                at = self.left.start,
                "the object store broke the connection: the rest is read again"
            );
            self.resume().await?;
        }
    }

    async fn resume(&mut self) -> Result<(), Error> {
        let (shared, left) = (&self.shared, self.left.clone());
        let found = shared.get_range(&self.key, left, self.etag.clone()).await;
        match found {
            Ok(found) if found.meta.size == self.size => {
                self.content = found.into_stream();
                Ok(())
            }
            Err(failure) if !failure.is_about_content() => Err(failure.unavailable("read content")),
            Ok(_) | Err(_) => Err(Error::Damaged {
                digest: self.digest,
            }),
        }
    }
}

/// The content of `found`, which continues after a connection that breaks.
fn resuming(
    shared: Arc<SharedStore>,
    key: &str,
    found: GetResult,
    digest: Digest,
) -> BoxStream<'static, Result<Bytes, Error>> {
    let state = RangeStream {
        shared,
        key: key.to_owned(),
        left: found.range.clone(),
        size: found.meta.size,
        // A weak tag never matches (RFC 9110 §13.1.1).
        etag: found
            .meta
            .e_tag
            .clone()
            .filter(|tag| !tag.starts_with("W/")),
        content: found.into_stream(),
        breaks: 0,
        digest,
    };
    try_unfold(state, |mut state| async move {
        let chunk = state.next().await?;
        Ok(chunk.map(|chunk| (chunk, state)))
    })
    .boxed()
}

impl SharedStore {
    /// Reads an object that an upload has.
    pub(crate) async fn read(
        self: &Arc<Self>,
        key: &str,
        range: Range<u64>,
    ) -> Result<Box<dyn BlobReader>, Error> {
        match self.get(key, range, None).await? {
            Some(reader) => Ok(Box::new(reader)),
            None => Err(Error::UploadUnknown),
        }
    }

    /// A reader of a range. `None` if the object is missing, or is not of this size.
    async fn get(
        self: &Arc<Self>,
        key: &str,
        range: Range<u64>,
        size: Option<u64>,
    ) -> Result<Option<ObjectReader>, Error> {
        let left = range.end.saturating_sub(range.start);
        // The digest is only for messages about damaged content.
        let digest = storage::hash::digest(DigestAlgorithm::Sha256, b"");
        let in_use = self.in_use.enter(key);
        let stream = match left {
            0 => None,
            _ => match self.get_range(key, range, None).await {
                Ok(found) if size.is_some_and(|size| size != found.meta.size) => return Ok(None),
                Ok(found) => Some(resuming(Arc::clone(self), key, found, digest)),
                Err(failure) if failure.is_missing() || failure.is_short() => return Ok(None),
                Err(failure) => return Err(failure.unavailable("read content")),
            },
        };
        Ok(Some(ObjectReader {
            stream,
            digest,
            left,
            _in_use: in_use,
        }))
    }

    /// A range of a blob's object. Small content is read as a whole, and kept. `None` as for `get`.
    pub(crate) async fn get_blob(
        self: &Arc<Self>,
        key: &str,
        range: Range<u64>,
        size: u64,
    ) -> Result<Option<ObjectReader>, Error> {
        if size > SMALL {
            return self.get(key, range, Some(size)).await;
        }
        let content = match self.small.find(key) {
            Some(content) => content,
            None => {
                let Some(mut reader) = self.get(key, 0..size, Some(size)).await? else {
                    return Ok(None);
                };
                let mut content = BytesMut::new();
                while let Some(chunk) = (&mut reader as &mut dyn BlobReader).next().await {
                    content.extend_from_slice(&chunk?);
                }
                let content = content.freeze();
                self.small.keep(key, content.clone());
                content
            }
        };
        let bounds = usize::try_from(range.start)
            .ok()
            .zip(usize::try_from(range.end).ok());
        let part = bounds
            .filter(|(start, end)| start <= end && *end <= content.len())
            .map(|(start, end)| content.slice(start..end));
        let in_use = self.in_use.enter(key);
        Ok(part.map(|part| ObjectReader::of(part, in_use)))
    }

    /// Asks for a range, again if that may help.
    async fn get_range(
        &self,
        key: &str,
        range: Range<u64>,
        if_match: Option<String>,
    ) -> Result<GetResult, StoreFailure> {
        let path = self.path(key);
        let is_small = range.end.saturating_sub(range.start) <= IMPATIENT;
        let began = now();
        let mut failures = 0;
        loop {
            let options = GetOptions {
                range: Some(GetRange::Bounded(range.clone())),
                if_match: if_match.clone(),
                ..GetOptions::default()
            };
            let request = self.reading_client.get_opts(&path, options);
            let answered = if is_small && failures == 0 {
                timeout(FIRST_BYTE, request).await.ok()
            } else {
                Some(request.await)
            };
            failures += 1;
            let failure = match answered {
                Some(Ok(found)) => return Ok(found),
                Some(Err(error)) => StoreFailure::new(&error),
                // The connection is closed, and the next request takes another one.
                None => continue,
            };
            let is_over = failures == ATTEMPTS || began.elapsed() > PATIENCE;
            if is_over || !failure.may_pass() {
                return Err(failure);
            }
            tokio::time::sleep(self.pause(failures)).await;
        }
    }

    /// How long a request waits after so many failures: half the time to one and a half times, so that
    /// clients that failed together do not come back together.
    fn pause(&self, failures: u32) -> Duration {
        let mut random = [0];
        if self.entropy.fill(&mut random).is_err() {
            random = [128];
        }
        let time = FIRST_PAUSE * 2_u32.saturating_pow(failures.saturating_sub(1));
        time / 2 + time * u32::from(random[0]) / 255
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a request took on the runtime's timer"
)]
fn now() -> Instant {
    Instant::now()
}
