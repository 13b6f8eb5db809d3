//! Closing a connection whose client still sends.
//!
//! If a socket is closed while input waits to be read, the system resets the connection, and a
//! client that has not read the response yet loses it (RFC 9112 §9.6). So the server ends its own
//! side first. Then it reads and discards until the client ends, too, or time is up.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
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

/// A stream that reads on after its own end if its client is [`StillSending`].
pub(super) struct LingeringClose<S> {
    stream: S,
    still_sending: StillSending,
    /// Whether the server's side has ended.
    ended: bool,
    times: Times,
    limit: Option<Pin<Box<Sleep>>>,
    pause: Option<Pin<Box<Sleep>>>,
}

/// How long a client is waited for.
#[derive(Clone, Copy)]
struct Times {
    /// In all.
    limit: Duration,
    /// While it sends nothing.
    pause: Duration,
}

impl<S> LingeringClose<S> {
    pub(super) fn new(stream: S, still_sending: StillSending) -> Self {
        Self {
            stream,
            still_sending,
            ended: false,
            times: Times {
                limit: LIMIT,
                pause: PAUSE,
            },
            limit: None,
            pause: None,
        }
    }
}

impl<S: AsyncRead + Unpin> LingeringClose<S> {
    /// Reads and discards until the client ends or time is up.
    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<()> {
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
            match Pin::new(&mut self.stream).poll_read(context, &mut buffer) {
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
}

impl<S: AsyncRead + Unpin> AsyncRead for LingeringClose<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for LingeringClose<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.ended {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            self.ended = true;
        }
        if self.still_sending.is_noted() {
            ready!(self.poll_discard(context));
        }
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const LONG: Duration = Duration::from_secs(600);
    const SHORT: Duration = Duration::from_millis(20);

    fn lingering(
        stream: DuplexStream,
        limit: Duration,
        pause: Duration,
    ) -> LingeringClose<DuplexStream> {
        let still_sending = StillSending::default();
        still_sending.note();
        let mut stream = LingeringClose::new(stream, still_sending);
        stream.times = Times { limit, pause };
        stream
    }

    #[tokio::test]
    async fn a_client_that_still_sends_comes_to_its_end() {
        let (near, mut far) = duplex(4);
        let mut near = lingering(near, LONG, LONG);
        let client = async {
            far.write_all(&[b'x'; 1000]).await.unwrap();
            far.shutdown().await.unwrap();
            assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
        };
        let (ended, ()) = tokio::join!(near.shutdown(), client);
        ended.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_neither_sends_nor_ends_is_not_waited_for() {
        let (near, _far) = duplex(4);
        lingering(near, LONG, SHORT).shutdown().await.unwrap();
    }

    #[tokio::test]
    async fn a_client_that_sends_without_an_end_is_cut_off() {
        let (near, mut far) = duplex(4);
        let mut near = lingering(near, SHORT * 5, LONG);
        let client = async {
            while far.write_all(b"x").await.is_ok() {
                sleep(SHORT).await;
            }
        };
        let server = async move { near.shutdown().await };
        let (ended, ()) = tokio::join!(server, client);
        ended.unwrap();
    }

    #[tokio::test]
    async fn other_clients_are_not_waited_for() {
        let (near, _far) = duplex(4);
        let mut near = LingeringClose::new(near, StillSending::default());
        near.times = Times {
            limit: LONG,
            pause: LONG,
        };
        near.shutdown().await.unwrap();
    }
}
