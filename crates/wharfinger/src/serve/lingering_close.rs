//! Closing a connection whose client still sends.
//!
//! If a socket is closed while input waits to be read, the system resets the connection, and a
//! client that has not read the response yet loses it (RFC 9112 §9.6). So the server ends its own
//! side first. Then it reads and discards until the client ends, too, or time is up.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Sleep, sleep};

/// How long a client may go on sending after its response.
pub(super) const LIMIT: Duration = Duration::from_secs(30);

/// How long the client may send nothing.
pub(super) const PAUSE: Duration = Duration::from_secs(5);

/// How much is read at once, in bytes.
const PIECE: usize = 16 << 10;

/// Whether a connection's client was still sending when it got its last response.
#[derive(Clone, Debug, Default)]
pub(super) struct StillSending(Arc<AtomicBool>);

impl StillSending {
    /// Notes that the client still sends a body that the server will not read.
    pub(super) fn note(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_noted(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Reads on after the server's own end if the client is [`StillSending`].
pub(super) struct LingeringClose {
    still_sending: StillSending,
    times: WaitTimes,
    limit: Option<Pin<Box<Sleep>>>,
    pause: Option<Pin<Box<Sleep>>>,
}

/// How long a client is waited for.
#[derive(Clone, Copy)]
pub(super) struct WaitTimes {
    /// In all.
    pub(super) limit: Duration,
    /// While it sends nothing.
    pub(super) pause: Duration,
}

impl LingeringClose {
    pub(super) fn new(still_sending: StillSending) -> Self {
        Self {
            still_sending,
            times: WaitTimes {
                limit: LIMIT,
                pause: PAUSE,
            },
            limit: None,
            pause: None,
        }
    }

    /// Reads from `stream` and discards until the client ends or time is up.
    pub(super) fn poll_discard<S: AsyncRead + Unpin>(
        &mut self,
        stream: &mut S,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        if !self.still_sending.is_noted() {
            return Poll::Ready(());
        }
        let times = self.times;
        let limit = self
            .limit
            .get_or_insert_with(|| Box::pin(sleep(times.limit)));
        let mut piece = [0; PIECE];
        loop {
            if limit.as_mut().poll(context).is_ready() {
                return Poll::Ready(());
            }
            let mut buffer = ReadBuf::new(&mut piece);
            match Pin::new(&mut *stream).poll_read(context, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => self.pause = None,
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => {
                    let pause = self
                        .pause
                        .get_or_insert_with(|| Box::pin(sleep(times.pause)));
                    return pause.as_mut().poll(context);
                }
            }
        }
    }

    /// The same with other times.
    #[cfg(test)]
    pub(super) fn waiting(self, times: WaitTimes) -> Self {
        Self { times, ..self }
    }
}
