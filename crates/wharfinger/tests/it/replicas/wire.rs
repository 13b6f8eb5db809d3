//! Requests whose answer may never come.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use oci::Digest;

/// The type of what is no manifest.
pub(in crate::replicas) const BYTES: &str = "application/octet-stream";

/// How long a client waits for a replica, which may be paused, or wait for the end of another one's lease of an upload (35 s).
const PATIENCE: Duration = Duration::from_secs(45);

/// An answer.
#[derive(Debug)]
pub(in crate::replicas) struct Answer {
    pub(in crate::replicas) status: u16,
    headers: Vec<(String, String)>,
    pub(in crate::replicas) body: Vec<u8>,
}

impl Answer {
    pub(in crate::replicas) fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Sends one request on a connection of its own. An error is an answer that did not come: whether the request
/// was carried out is unknown.
pub(in crate::replicas) fn send(
    address: &str,
    method: &str,
    path: &str,
    kind: &str,
    body: &[u8],
) -> io::Result<Answer> {
    let address = address.parse().map_err(io::Error::other)?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    // A refusal may come before the body was read; it is more than the broken pipe says.
    let sent = stream.write_all(body);
    match read(stream, method) {
        Ok(answer) => Ok(answer),
        Err(error) => sent.and(Err(error)),
    }
}

/// The content of a blob, from this replica or from the store that it names.
pub(in crate::replicas) fn pull(address: &str, path: &str) -> io::Result<Answer> {
    let answer = send(address, "GET", path, BYTES, b"")?;
    match answer.status {
        307 => follow(&answer),
        _ => Ok(answer),
    }
}

/// The content that a signed URL leads to.
fn follow(redirect: &Answer) -> io::Result<Answer> {
    let url = redirect.header("location").unwrap_or_default();
    let url = url.strip_prefix("http://").unwrap_or(url);
    let (address, path) = url.split_once('/').ok_or(io::ErrorKind::InvalidData)?;
    let answer = send(address, "GET", &format!("/{path}"), BYTES, b"")?;
    match answer.status {
        // The store is what fails here.
        500.. => Err(io::Error::other(format!("the store: {}", answer.status))),
        _ => Ok(answer),
    }
}

/// The path of the `Location` of an answer, which may be a URL of another replica.
pub(in crate::replicas) fn location(answer: &Answer) -> String {
    let location = answer.header("location").unwrap_or_default();
    match location.find("/v2/") {
        Some(at) => location[at..].to_owned(),
        None => location.to_owned(),
    }
}

/// The address that ends an upload.
pub(in crate::replicas) fn with_digest(location: &str, digest: &Digest) -> String {
    let between = if location.contains('?') { '&' } else { '?' };
    format!("{location}{between}digest={digest}")
}

fn read(stream: TcpStream, method: &str) -> io::Result<Answer> {
    let mut stream = BufReader::new(stream);
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let mut line = || -> io::Result<String> {
        let mut line = String::new();
        if stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    };
    let status = line()?;
    let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(invalid)?;
    let mut headers = Vec::new();
    loop {
        let line = line()?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let mut answer = Answer {
        status,
        headers,
        body: Vec::new(),
    };
    if method != "HEAD" {
        let length = answer
            .header("content-length")
            .and_then(|length| length.parse().ok());
        answer.body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut answer.body)?;
    }
    Ok(answer)
}
