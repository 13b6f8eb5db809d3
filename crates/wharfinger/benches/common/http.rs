//! A client that costs little: one connection, one request at a time, bodies thrown away as they
//! come.

use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How much is read at once: large answers must not wait for the client.
const BUFFER: usize = 256 << 10;
/// How long an answer may take. A server may wait for what another one has.
const PATIENCE: Duration = Duration::from_secs(90);

/// How long a client waits after an answer 503.
const RETRY: Duration = Duration::from_millis(100);
/// How many of these answers there may be.
const MOST_REFUSED: u64 = 1000;

static REFUSED: AtomicU64 = AtomicU64::new(0);

/// How many answers were 503 until now.
pub(crate) fn refused() -> u64 {
    REFUSED.load(Ordering::Relaxed)
}

/// A connection that is kept.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// What was read and not yet looked at.
    waiting: std::ops::Range<usize>,
}

/// What a server said.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The path of `Location`.
    pub(crate) location: String,
    /// The length of the body, in bytes.
    pub(crate) length: u64,
    /// The status line and the header fields.
    head: String,
}

impl Answer {
    /// The value of a header field.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

impl Connection {
    pub(crate) fn open(address: &str) -> Self {
        Self::try_open(address).unwrap()
    }

    /// A connection to a server that may be away.
    pub(crate) fn try_open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream,
            buffer: vec![0; BUFFER],
            waiting: 0..0,
        })
    }

    /// Sends a request that has no body.
    pub(crate) fn ask(&mut self, method: &str, path: &str, headers: &str) -> Answer {
        self.send(method, path, headers, &[])
    }

    /// Sends a request whose body is all of `parts`. It is sent again if the server answers 503, as
    /// it does while a database or a disk does not answer: other work of the machine may be the cause.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        parts: &[&[u8]],
    ) -> Answer {
        loop {
            let answer = self.try_send(method, path, headers, parts);
            let answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
            if answer.status != 503 {
                return answer;
            }
            // The server may close the connection, and the next request would fail.
            let refused = REFUSED.fetch_add(1, Ordering::Relaxed);
            assert!(
                refused < MOST_REFUSED,
                "{method} {path}: too many answers 503"
            );
            std::thread::sleep(RETRY);
            let address = self.stream.peer_addr().unwrap();
            *self = Self::open(&address.to_string());
        }
    }

    /// Sends a request to a server that may end meanwhile.
    pub(crate) fn try_send(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        parts: &[&[u8]],
    ) -> io::Result<Answer> {
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let length = if method == "GET" {
            String::new()
        } else {
            format!("Content-Length: {length}\r\n")
        };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: bench\r\n{headers}{length}\r\n");
        let mut slices: Vec<IoSlice<'_>> = vec![IoSlice::new(head.as_bytes())];
        slices.extend(parts.iter().map(|part| IoSlice::new(part)));
        let mut slices = slices.as_mut_slice();
        while !slices.is_empty() {
            let written = self.stream.write_vectored(slices)?;
            IoSlice::advance_slices(&mut slices, written);
        }
        self.receive(method == "HEAD")
    }

    fn receive(&mut self, is_head: bool) -> io::Result<Answer> {
        let end = loop {
            let seen = &self.buffer[self.waiting.clone()];
            if let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
                break self.waiting.start + end;
            }
            self.read()?;
        };
        let head = String::from_utf8_lossy(&self.buffer[self.waiting.start..end]).into_owned();
        self.waiting.start = end + 4;
        let status = head[9..12].parse().unwrap();
        let location = header(&head, "location").map(path);
        let location = location.unwrap_or_default().to_owned();
        let length = match header(&head, "content-length") {
            _ if is_head || status == 204 || status == 304 => 0,
            Some(length) => self.skip(length.parse().unwrap())?,
            None => self.skip_chunks()?,
        };
        Ok(Answer {
            status,
            location,
            length,
            head,
        })
    }

    /// Reads more behind what waits.
    fn read(&mut self) -> io::Result<()> {
        self.buffer.copy_within(self.waiting.clone(), 0);
        self.waiting = 0..self.waiting.len();
        let read = self.stream.read(&mut self.buffer[self.waiting.end..])?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.waiting.end += read;
        Ok(())
    }

    fn skip(&mut self, length: u64) -> io::Result<u64> {
        let mut left = length;
        loop {
            let now = self
                .waiting
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            self.waiting.start += now;
            left -= now as u64;
            if left == 0 {
                return Ok(length);
            }
            self.read()?;
        }
    }

    /// A body in chunks (RFC 9112 §7.1), without trailers.
    fn skip_chunks(&mut self) -> io::Result<u64> {
        let mut total = 0;
        loop {
            let seen = &self.buffer[self.waiting.clone()];
            let Some(end) = seen.windows(2).position(|two| two == b"\r\n") else {
                self.read()?;
                continue;
            };
            let size = u64::from_str_radix(std::str::from_utf8(&seen[..end]).unwrap(), 16).unwrap();
            self.skip(end as u64 + 2 + size + 2)?;
            total += size;
            if size == 0 {
                return Ok(total);
            }
        }
    }
}

/// The path of a URL that may be a path already.
fn path(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| {
        rest.find('/').map_or("/", |slash| &rest[slash..])
    })
}

/// The value of a field of a head.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(": "));
    let found = fields.find(|(key, _)| key.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value)
}
