//! A request's body that is produced while it is sent.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::mpsc;

/// How many pieces may wait to be sent: enough to keep both sides busy, few enough to stay small.
const WAITING: usize = 4;

/// The receiving end of a body: hyper takes from it what the sender puts in.
pub(crate) struct StreamedBody {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    /// How many bytes are left to send; `None` when the length is not known.
    left: Option<u64>,
    taken: Arc<AtomicU64>,
}

impl StreamedBody {
    /// A body of `length` bytes, and the sender for them. An error ends the request.
    pub(crate) fn new(length: u64) -> (mpsc::Sender<io::Result<Bytes>>, Self) {
        let (sender, pieces) = mpsc::channel(WAITING);
        (
            sender,
            Self {
                pieces,
                left: Some(length),
                taken: Arc::default(),
            },
        )
    }

    /// A body of unknown length, which is sent in chunks (RFC 9112 §7.1).
    pub(crate) fn of_unknown_length() -> (mpsc::Sender<io::Result<Bytes>>, Self) {
        let (sender, pieces) = mpsc::channel(WAITING);
        (
            sender,
            Self {
                pieces,
                left: None,
                taken: Arc::default(),
            },
        )
    }

    /// Counts the bytes that were taken to be sent.
    pub(crate) fn taken(&self) -> Arc<AtomicU64> {
        self.taken.clone()
    }
}

impl Body for StreamedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.pieces.poll_recv(context).map(|piece| {
            let piece = match piece? {
                Ok(piece) => piece,
                Err(error) => return Some(Err(error)),
            };
            let length = piece.len() as u64;
            self.left = self.left.map(|left| left.saturating_sub(length));
            self.taken.fetch_add(length, Ordering::Relaxed);
            Some(Ok(Frame::data(piece)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left
            .map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
