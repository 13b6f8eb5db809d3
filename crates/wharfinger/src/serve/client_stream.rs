//! The stream under every connection: writes time out, and the end waits for a client that still
//! sends.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::lingering_close::{LingeringClose, StillSending};
use super::write_timeout::WriteTimeout;

/// A stream to a client, with a [`WriteTimeout`] and a [`LingeringClose`].
pub(super) struct ClientStream<S> {
    stream: S,
    /// What [`first_byte`](Self::first_byte) has read ahead.
    read_ahead: Option<u8>,
    write_timeout: WriteTimeout,
    lingering_close: LingeringClose,
    /// Whether the server's side has ended.
    is_shut_down: bool,
}

impl<S> ClientStream<S> {
    /// `stream`, whose client must read something within `write_limit`.
    pub(super) fn new(stream: S, write_limit: Duration, still_sending: StillSending) -> Self {
        Self {
            stream,
            read_ahead: None,
            write_timeout: WriteTimeout::new(write_limit),
            lingering_close: LingeringClose::new(still_sending),
            is_shut_down: false,
        }
    }
}

impl<S: AsyncRead + Unpin> ClientStream<S> {
    /// What the client sends first; `None` if it ends the connection. It will be read again.
    pub(super) async fn first_byte(&mut self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        let length = self.read(&mut byte).await?;
        self.read_ahead = (length > 0).then_some(byte[0]);
        Ok(self.read_ahead)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ClientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buffer.remaining() > 0
            && let Some(byte) = self.read_ahead.take()
        {
            buffer.put_slice(&[byte]);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ClientStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.write_timeout.check(polled, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.write_timeout.check(polled, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(context);
        self.write_timeout.check(polled, context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if !this.is_shut_down {
            let polled = Pin::new(&mut this.stream).poll_shutdown(context);
            ready!(this.write_timeout.check(polled, context))?;
            this.is_shut_down = true;
        }
        this.lingering_close
            .poll_discard(&mut this.stream, context)
            .map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::sleep;

    use super::super::lingering_close::WaitTimes;
    use super::*;

    const LONG: Duration = Duration::from_secs(600);
    const SHORT: Duration = Duration::from_millis(20);

    /// A stream whose client still sends, and is waited for so long.
    fn lingering(
        stream: DuplexStream,
        limit: Duration,
        pause: Duration,
    ) -> ClientStream<DuplexStream> {
        let still_sending = StillSending::default();
        still_sending.note();
        let lingering_close = LingeringClose::new(still_sending);
        ClientStream {
            lingering_close: lingering_close.waiting(WaitTimes { limit, pause }),
            ..ClientStream::new(stream, LONG, StillSending::default())
        }
    }

    #[tokio::test]
    async fn a_client_that_stops_reading_is_not_waited_for() {
        let (near, _far) = duplex(4);
        let mut near = ClientStream::new(near, SHORT, StillSending::default());
        let error = near.write_all(b"more than fits").await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_client_that_reads_slowly_is_waited_for() {
        let (near, mut far) = duplex(4);
        let mut near = ClientStream::new(near, LONG, StillSending::default());
        let (written, mut read) = (near.write_all(b"more than fits"), [0; 14]);
        let (written, _) = tokio::join!(written, far.read_exact(&mut read));
        written.unwrap();
        assert_eq!(&read, b"more than fits");
    }

    #[tokio::test]
    async fn the_first_byte_is_read_again() {
        let (near, mut far) = duplex(4);
        let mut near = ClientStream::new(near, LONG, StillSending::default());
        far.write_all(b"ab").await.unwrap();
        assert_eq!(near.first_byte().await.unwrap(), Some(b'a'));
        far.shutdown().await.unwrap();
        let mut read = Vec::new();
        near.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"ab");
        assert_eq!(near.first_byte().await.unwrap(), None);
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
        let mut near = ClientStream::new(near, LONG, StillSending::default());
        let times = WaitTimes {
            limit: LONG,
            pause: LONG,
        };
        near.lingering_close = near.lingering_close.waiting(times);
        near.shutdown().await.unwrap();
    }
}
