//! When a client that does not read is given up.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// Fails a stream's writes when nothing can be written for too long. Otherwise a client that
/// requests a large blob and stops reading would keep its connection and buffers for ever.
///
/// The code that knows what it reads sets deadlines for reads. `http2_streams` has those of single
/// HTTP/2 streams.
pub(super) struct WriteTimeout {
    limit: Duration,
    /// Runs while the client does not read.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl WriteTimeout {
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            deadline: None,
        }
    }

    /// `polled`, or an error if writes have been pending for too long.
    pub(super) fn check<T>(
        &mut self,
        polled: Poll<io::Result<T>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.deadline = None;
            return polled;
        }
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(sleep(self.limit)));
        match deadline.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => Poll::Ready(Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the client stopped reading",
            ))),
        }
    }
}
