//! How much is read from a connection at once.
//!
//! hyper has one buffer for the head of a request and for the pieces of its body, with one bound. A
//! head needs a small bound, because every client may send one. A large body costs less in large
//! pieces: with 1 MiB instead of 32 KiB, a push takes a sixth less of the server's time. So hyper
//! gets a large buffer, and this stream bounds what arrives in it. HTTP/2 has bounds of its own.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most that is read at once, and the size of hyper's buffer.
pub(super) const LARGEST_READ: usize = 1 << 20;

/// How much of a body is read at once before it counts as large. A body that is refused without
/// being read never does.
const SMALL_READ: usize = 32 << 10;

/// A body of which a service has read so much is large.
const LARGE_BODY: u64 = 256 << 10;

/// What may be read at once for all large bodies together.
const BUDGET: usize = 64 << 20;

/// What an HTTP/2 client sends first (RFC 9113 §3.4).
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The first byte of a TLS handshake (RFC 8446 §5.1, ContentType).
const TLS_HANDSHAKE: u8 = 22;

/// How many large bodies arrive at the moment, on all connections.
#[derive(Clone, Debug, Default)]
pub(super) struct LargeBodies(Arc<AtomicUsize>);

/// What is being read from one connection.
#[derive(Clone)]
pub(super) struct ReadPhase(Arc<Reading>);

struct Reading {
    /// The most bytes that a head may have.
    head: usize,
    large_bodies: LargeBodies,
    phase: Mutex<Phase>,
    /// Whether the first byte was that of a TLS handshake.
    began_with_tls: AtomicBool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The head of a request, which may have so many more bytes.
    Head {
        left: usize,
    },
    /// A body, of which a service has read so many bytes.
    Body {
        read: u64,
    },
    LargeBody,
    Http2,
}

impl LargeBodies {
    /// What each of them may read at once.
    fn share(&self) -> usize {
        let open = self.0.load(Ordering::Relaxed).max(1);
        (BUDGET / open).clamp(SMALL_READ, LARGEST_READ)
    }
}

impl ReadPhase {
    /// The beginning of a connection whose heads may have `head` bytes.
    pub(super) fn new(head: usize, large_bodies: LargeBodies) -> Self {
        Self(Arc::new(Reading {
            head,
            large_bodies,
            phase: Mutex::new(Phase::Head { left: head }),
            began_with_tls: AtomicBool::new(false),
        }))
    }

    /// A head has arrived. Its body follows, or the next head.
    pub(super) fn begin_request(&self, has_body: bool) {
        self.0.change(|phase| match phase {
            Phase::Http2 => Phase::Http2,
            _ if has_body => Phase::Body { read: 0 },
            _ => Phase::Head { left: self.0.head },
        });
    }

    /// A service has read a piece of the body.
    pub(super) fn note_body(&self, length: usize) {
        self.0.change(|phase| match phase {
            Phase::Body { read } => match read.saturating_add(length as u64) {
                LARGE_BODY.. => Phase::LargeBody,
                read => Phase::Body { read },
            },
            other => other,
        });
    }

    /// The body has ended. The next head follows.
    pub(super) fn end_body(&self) {
        self.begin_request(false);
    }

    /// Whether the client began a TLS handshake, where nothing but HTTP is read.
    pub(super) fn began_with_tls(&self) -> bool {
        self.0.began_with_tls.load(Ordering::Relaxed)
    }
}

impl Reading {
    fn change(&self, change: impl FnOnce(Phase) -> Phase) {
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *phase;
        *phase = change(before);
        let open = &self.large_bodies.0;
        match (before == Phase::LargeBody, *phase == Phase::LargeBody) {
            (false, true) => open.fetch_add(1, Ordering::Relaxed),
            (true, false) => open.fetch_sub(1, Ordering::Relaxed),
            _ => return,
        };
    }

    fn phase(&self) -> Phase {
        *self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.change(|_| Phase::Http2);
    }
}

/// A stream that gives hyper no more than the phase of its connection allows.
pub(super) struct BoundedReads<S> {
    stream: S,
    reading: ReadPhase,
    /// How much of the HTTP/2 preface has arrived; `None` if something else came.
    preface: Option<usize>,
}

impl<S> BoundedReads<S> {
    pub(super) fn new(stream: S, reading: ReadPhase) -> Self {
        Self {
            stream,
            reading,
            preface: Some(0),
        }
    }

    /// Whether `bytes`, which arrived at the beginning of the connection, end the preface.
    fn ends_preface(&mut self, bytes: &[u8]) -> bool {
        let Some(expected) = self.preface.and_then(|seen| HTTP2_PREFACE.get(seen..)) else {
            return false;
        };
        let (length, compared) = (bytes.len(), bytes.len().min(expected.len()));
        let is_same = bytes[..compared] == expected[..compared];
        self.preface = self.preface.filter(|_| is_same).map(|seen| seen + length);
        is_same && compared == expected.len()
    }
}

impl<S: AsyncRead + Unpin> BoundedReads<S> {
    /// Reads at most `most` bytes. Returns how many.
    fn poll_at_most(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        let before = buffer.filled().len();
        if buffer.remaining() <= most {
            ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        } else {
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut part))?;
            let length = part.filled().len();
            buffer.advance(length);
        }
        Poll::Ready(Ok(buffer.filled().len() - before))
    }

    fn poll_head(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
        left: usize,
    ) -> Poll<io::Result<()>> {
        if left == 0 {
            // The head is too long. hyper answers that with 431 when its buffer is full, so the rest
            // of the buffer is filled. Letters without an end of line never complete a head.
            buffer.initialize_unfilled().fill(b'x');
            buffer.advance(buffer.remaining());
            return Poll::Ready(Ok(()));
        }
        let length = ready!(self.poll_at_most(context, buffer, left))?;
        let arrived = buffer.filled().len() - length;
        if self.preface == Some(0) && buffer.filled().get(arrived) == Some(&TLS_HANDSHAKE) {
            self.reading.0.began_with_tls.store(true, Ordering::Relaxed);
        }
        let is_http2 = self.ends_preface(&buffer.filled()[arrived..]);
        self.reading.0.change(|phase| match phase {
            _ if is_http2 => Phase::Http2,
            Phase::Head { left } => Phase::Head {
                left: left.saturating_sub(length),
            },
            other => other,
        });
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for BoundedReads<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most = match self.reading.0.phase() {
            Phase::Head { left } => return self.poll_head(context, buffer, left),
            Phase::Body { .. } => SMALL_READ,
            Phase::LargeBody => self.reading.0.large_bodies.share(),
            Phase::Http2 => usize::MAX,
        };
        self.poll_at_most(context, buffer, most).map_ok(|_| ())
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for BoundedReads<S> {
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
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    const HEAD: usize = 40 << 10;

    /// A connection whose client has sent `sent`, and what is being read from it.
    async fn connection(sent: &[u8]) -> (BoundedReads<DuplexStream>, DuplexStream, ReadPhase) {
        let (near, mut far) = duplex(4 << 20);
        far.write_all(sent).await.unwrap();
        let phase = ReadPhase::new(HEAD, LargeBodies::default());
        (BoundedReads::new(near, phase.clone()), far, phase)
    }

    async fn read(stream: &mut BoundedReads<DuplexStream>) -> Vec<u8> {
        let mut buffer = vec![0; LARGEST_READ];
        let length = stream.read(&mut buffer).await.unwrap();
        buffer.truncate(length);
        buffer
    }

    #[tokio::test]
    async fn a_head_has_its_bound_and_what_follows_is_filled_up() {
        let (mut stream, _far, _) = connection(&[b'h'; HEAD + 1]).await;
        assert_eq!(read(&mut stream).await, [b'h'; HEAD]);
        // Not a byte more of the client's.
        assert_eq!(read(&mut stream).await, [b'x'; LARGEST_READ]);
    }

    #[tokio::test]
    async fn each_head_has_the_whole_bound() {
        let (mut stream, mut far, phase) = connection(&[b'h'; HEAD]).await;
        for has_body in [false, true, false] {
            assert_eq!(read(&mut stream).await.len(), HEAD);
            phase.begin_request(has_body);
            phase.end_body();
            far.write_all(&[b'h'; HEAD]).await.unwrap();
        }
    }

    #[tokio::test]
    async fn only_a_large_body_is_read_in_large_pieces() {
        let (mut stream, _far, phase) = connection(&[b'b'; 2 << 20]).await;
        phase.begin_request(true);
        phase.note_body(LARGE_BODY as usize - 1);
        assert_eq!(read(&mut stream).await.len(), SMALL_READ);
        phase.note_body(1);
        assert_eq!(read(&mut stream).await.len(), LARGEST_READ);
        phase.end_body();
        assert_eq!(read(&mut stream).await.len(), HEAD);
    }

    #[tokio::test]
    async fn many_large_bodies_share_a_budget() {
        let large_bodies = LargeBodies::default();
        let phases: Vec<ReadPhase> = (0..1000)
            .map(|_| ReadPhase::new(HEAD, large_bodies.clone()))
            .collect();
        for (number, phase) in phases.iter().enumerate() {
            phase.begin_request(true);
            phase.note_body(LARGE_BODY as usize);
            let share = large_bodies.share();
            assert!(share == SMALL_READ || share * (number + 1) <= BUDGET);
        }
        assert_eq!(large_bodies.share(), BUDGET / 1000);
        phases.iter().take(500).for_each(ReadPhase::end_body);
        assert_eq!(large_bodies.share(), BUDGET / 500);
        drop(phases);
        assert_eq!(large_bodies.share(), LARGEST_READ);
    }

    #[tokio::test]
    async fn http2_is_not_bounded_here() {
        for pieces in [vec![24], vec![1, 2, 21], vec![10, 14]] {
            let (mut stream, mut far, phase) = connection(b"").await;
            let mut rest = HTTP2_PREFACE;
            for length in pieces {
                let (piece, after) = rest.split_at(length);
                far.write_all(piece).await.unwrap();
                assert_eq!(read(&mut stream).await, piece);
                rest = after;
            }
            assert!(phase.0.phase() == Phase::Http2);
            far.write_all(&[0; LARGEST_READ]).await.unwrap();
            phase.begin_request(false);
            assert_eq!(read(&mut stream).await.len(), LARGEST_READ);
        }
        for other in [
            &b"PRI * HTTP/1.1\r\n\r\n      "[..],
            b"GET / HTTP/1.1\r\n\r\nPRI * HTTP/2.0",
        ] {
            let (mut stream, mut far, phase) = connection(other).await;
            assert_eq!(read(&mut stream).await, other);
            far.write_all(HTTP2_PREFACE).await.unwrap();
            assert_eq!(read(&mut stream).await, HTTP2_PREFACE);
            assert!(phase.0.phase() != Phase::Http2);
        }
    }
}
