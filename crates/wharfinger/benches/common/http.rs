//! A client that costs little: one connection, one request at a time, bodies thrown away as they
//! come.

use std::io::{IoSlice, Read, Write};
use std::net::TcpStream;

/// How much is read at once: large answers must not wait for the client.
const BUFFER: usize = 256 << 10;

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
}

impl Connection {
    pub(crate) fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: vec![0; BUFFER],
            waiting: 0..0,
        }
    }

    /// Sends a request that has no body.
    pub(crate) fn ask(&mut self, method: &str, path: &str, headers: &str) -> Answer {
        self.send(method, path, headers, &[])
    }

    /// Sends a request whose body is all of `parts`.
    pub(crate) fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &str,
        parts: &[&[u8]],
    ) -> Answer {
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
            let written = self.stream.write_vectored(slices).unwrap();
            IoSlice::advance_slices(&mut slices, written);
        }
        self.receive(method == "HEAD")
    }

    fn receive(&mut self, is_head: bool) -> Answer {
        let end = loop {
            let seen = &self.buffer[self.waiting.clone()];
            if let Some(end) = seen.windows(4).position(|four| four == b"\r\n\r\n") {
                break self.waiting.start + end;
            }
            self.read();
        };
        let head = String::from_utf8_lossy(&self.buffer[self.waiting.start..end]).into_owned();
        self.waiting.start = end + 4;
        let status = head[9..12].parse().unwrap();
        let header = |name: &str| {
            let mut lines = head
                .lines()
                .skip(1)
                .filter_map(|line| line.split_once(": "));
            lines
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value)
        };
        let location = header("location").map(path).unwrap_or_default().to_owned();
        let length = match header("content-length") {
            _ if is_head || status == 204 || status == 304 => 0,
            Some(length) => self.skip(length.parse().unwrap()),
            None => self.skip_chunks(),
        };
        Answer {
            status,
            location,
            length,
        }
    }

    /// Reads more behind what waits.
    fn read(&mut self) {
        self.buffer.copy_within(self.waiting.clone(), 0);
        self.waiting = 0..self.waiting.len();
        let read = self
            .stream
            .read(&mut self.buffer[self.waiting.end..])
            .unwrap();
        assert!(read > 0, "the server closed the connection");
        self.waiting.end += read;
    }

    fn skip(&mut self, length: u64) -> u64 {
        let mut left = length;
        loop {
            let now = self
                .waiting
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            self.waiting.start += now;
            left -= now as u64;
            if left == 0 {
                return length;
            }
            self.read();
        }
    }

    /// A body in chunks (RFC 9112 §7.1), without trailers.
    fn skip_chunks(&mut self) -> u64 {
        let mut total = 0;
        loop {
            let seen = &self.buffer[self.waiting.clone()];
            let Some(end) = seen.windows(2).position(|two| two == b"\r\n") else {
                self.read();
                continue;
            };
            let size = u64::from_str_radix(std::str::from_utf8(&seen[..end]).unwrap(), 16).unwrap();
            self.skip(end as u64 + 2 + size + 2);
            total += size;
            if size == 0 {
                return total;
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
