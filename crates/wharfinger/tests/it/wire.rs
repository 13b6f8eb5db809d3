//! HTTP/1.1 written by hand: requests that no client would send, over connections that a test can
//! watch.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;

/// How long the other side may keep a test waiting.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to a server.
pub(crate) struct Connection {
    stream: BufReader<Box<dyn Stream>>,
}

/// What a connection is made of: TCP or a Unix socket.
trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// An answer as it came.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Connection {
    /// Connects to `HOST:PORT`, or to the Unix socket whose path has a slash.
    pub(crate) fn open(address: &str) -> Self {
        let stream: Box<dyn Stream> = if address.contains('/') {
            let stream = UnixStream::connect(address).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            Box::new(stream)
        } else {
            return Self::to_server(address).unwrap();
        };
        Self {
            stream: BufReader::new(stream),
        }
    }

    /// Connects to `HOST:PORT`, if a server listens there.
    pub(crate) fn to_server(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: BufReader::new(Box::new(stream)),
        })
    }

    /// Sends `bytes` as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends a request with `headers` and, where there is one, a form body.
    pub(crate) fn request(
        &mut self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Answer {
        let mut request = format!("{method} {url} HTTP/1.1\r\nHost: test\r\n");
        for (name, value) in headers {
            request += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = body {
            request += "Content-Type: application/x-www-form-urlencoded\r\n";
            request += &format!("Content-Length: {}\r\n", body.len());
        }
        request += "\r\n";
        request += body.unwrap_or_default();
        self.send(request.as_bytes()).unwrap();
        self.answer(method == "HEAD").unwrap()
    }

    /// Reads the next answer; one to HEAD has no body.
    pub(crate) fn answer(&mut self, is_head: bool) -> io::Result<Answer> {
        let status = self.line()?;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.ok_or(io::ErrorKind::InvalidData)?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut answer = Answer {
            status,
            headers,
            body: String::new(),
        };
        let length = answer
            .header("content-length")
            .and_then(|length| length.parse().ok())
            .unwrap_or(0);
        if !is_head {
            let mut body = vec![0; length];
            self.stream.read_exact(&mut body)?;
            answer.body = String::from_utf8(body).map_err(|_| io::ErrorKind::InvalidData)?;
        }
        Ok(answer)
    }

    /// Whether the other side has ended the connection.
    pub(crate) fn is_ended(&mut self) -> bool {
        self.stream.fill_buf().is_ok_and(<[u8]>::is_empty)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.stream.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(field, _)| field == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The claims of the token in a token endpoint's answer, not verified.
    pub(crate) fn claims(&self) -> serde_json::Value {
        claims(self.json()["token"].as_str().unwrap())
    }
}

/// The claims of `token`, not verified.
pub(crate) fn claims(token: &str) -> serde_json::Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap()).unwrap()
}

/// Sends one GET over a connection of its own.
pub(crate) fn get(address: &str, url: &str) -> Answer {
    Connection::open(address).request("GET", url, &[], None)
}
