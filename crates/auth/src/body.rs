//! The body of a request, read within bounds of size and time.

use std::error::Error;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;

/// Bounds of a request's body.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimits {
    /// The largest body, in bytes.
    pub bytes: usize,
    /// How long it may take to arrive.
    pub timeout: Duration,
}

/// Why a body cannot be read: by the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyReadError {
    /// It is longer than this many bytes.
    #[error("the request body is larger than {0} bytes")]
    TooLarge(usize),
    /// It took too long.
    #[error("the request body did not arrive in time")]
    TooSlow,
    /// The connection ended first.
    #[error("the request body ended too early")]
    Incomplete,
}

impl BodyLimits {
    /// The whole body, within its bounds of size and time; chunked or not.
    ///
    /// # Errors
    /// When the body is not within the bounds, or does not arrive as a whole.
    pub async fn read<B>(&self, body: B) -> Result<Bytes, BodyReadError>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        let limit = self.bytes;
        if body.size_hint().lower() > limit as u64 {
            return Err(BodyReadError::TooLarge(limit));
        }
        let collected = Box::pin(Limited::new(body, limit).collect());
        match tokio::time::timeout(self.timeout, collected).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(BodyReadError::TooLarge(limit)),
            Ok(Err(_)) => Err(BodyReadError::Incomplete),
            Err(_) => Err(BodyReadError::TooSlow),
        }
    }
}
