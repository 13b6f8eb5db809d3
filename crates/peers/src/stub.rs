//! An HTTP server whose answers the test writes, the wrong ones among them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use crate::ReservedAddress;

/// The server. It ends when this is dropped, with all its connections.
pub struct HttpStub {
    address: ReservedAddress,
    server: Arc<Stub>,
    accepting: Option<JoinHandle<()>>,
}

/// A request that it got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StubRequest {
    /// The method.
    pub method: String,
    /// The path, with the query.
    pub path: String,
    /// The header fields in their order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

/// What it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StubAnswer {
    /// A status and a body.
    Status(u16, String),
    /// The same with header fields, each with its line end.
    WithHeaders(u16, String, String),
    /// These bytes; then the connection is closed.
    Raw(Vec<u8>),
    /// Nothing: the connection is closed.
    Close,
    /// Nothing: the connection stays open until the client closes it.
    Silence,
}

type Handler = dyn Fn(&StubRequest) -> StubAnswer + Send + Sync;

struct Stub {
    handler: Box<Handler>,
    requests: Mutex<Vec<StubRequest>>,
    connections: Mutex<Vec<TcpStream>>,
    accepted: AtomicUsize,
    at_once: AtomicUsize,
    most_at_once: AtomicUsize,
    ended: AtomicBool,
}

impl StubRequest {
    /// The value of the first header field called `name` (in lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let field = self.headers.iter().find(|(field, _)| field == name);
        field.map(|(_, value)| value.as_str())
    }
}

impl HttpStub {
    /// A server on a free loopback port.
    ///
    /// # Panics
    /// If there is no port.
    #[must_use]
    pub fn start(handler: impl Fn(&StubRequest) -> StubAnswer + Send + Sync + 'static) -> Self {
        Self::start_at(ReservedAddress::new(), handler)
    }

    /// A server at an address where nothing listens, for example that of a server that was stopped.
    ///
    /// # Panics
    /// If another server listens there.
    #[must_use]
    pub fn start_at(
        address: ReservedAddress,
        handler: impl Fn(&StubRequest) -> StubAnswer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address.address()).expect("an address to listen on");
        let server = Arc::new(Stub {
            handler: Box::new(handler),
            requests: Mutex::default(),
            connections: Mutex::default(),
            accepted: AtomicUsize::new(0),
            at_once: AtomicUsize::new(0),
            most_at_once: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&server);
        let accepting = thread::spawn(move || accepting.accept(&listener));
        Self {
            address,
            server,
            accepting: Some(accepting),
        }
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address.address().into()
    }

    /// Ends it. Connections to the address that this returns are refused.
    #[must_use = "the address is reserved as long as this is kept"]
    pub fn stop(self) -> ReservedAddress {
        self.address.clone()
    }

    /// The URL of `path`, which begins with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests so far.
    ///
    /// # Panics
    /// If a handler panicked.
    #[must_use]
    pub fn requests(&self) -> Vec<StubRequest> {
        self.server.requests.lock().unwrap().clone()
    }

    /// How many connections it accepted.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.server.accepted.load(Ordering::SeqCst)
    }

    /// The most requests that it answered at the same moment.
    #[must_use]
    pub fn most_at_once(&self) -> usize {
        self.server.most_at_once.load(Ordering::SeqCst)
    }
}

impl Drop for HttpStub {
    fn drop(&mut self) {
        self.server.ended.store(true, Ordering::SeqCst);
        // The listener waits for one more connection, and sees then that this is the end.
        let woken = TcpStream::connect(self.address.address()).is_ok();
        if let (true, Some(accepting)) = (woken, self.accepting.take()) {
            let _ = accepting.join();
        }
        for connection in self.server.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

impl Stub {
    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for connection in listener.incoming() {
            if self.ended.load(Ordering::SeqCst) {
                return;
            }
            let Ok(connection) = connection else {
                continue;
            };
            self.accepted.fetch_add(1, Ordering::SeqCst);
            let handle = connection.try_clone().expect("a second handle of a socket");
            self.connections.lock().unwrap().push(handle);
            let server = Arc::clone(&self);
            thread::spawn(move || server.serve(connection));
        }
    }

    fn serve(&self, connection: TcpStream) {
        let mut writer = connection.try_clone().expect("a second handle of a socket");
        let mut reader = BufReader::new(connection);
        while let Some(request) = read(&mut reader) {
            let at_once = self.at_once.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_at_once.fetch_max(at_once, Ordering::SeqCst);
            self.requests.lock().unwrap().push(request.clone());
            let answer = (self.handler)(&request);
            self.at_once.fetch_sub(1, Ordering::SeqCst);
            let (status, headers, body) = match answer {
                StubAnswer::Status(status, body) => (status, String::new(), body),
                StubAnswer::WithHeaders(status, headers, body) => (status, headers, body),
                StubAnswer::Raw(bytes) => {
                    let _ = writer.write_all(&bytes);
                    break;
                }
                StubAnswer::Close => break,
                StubAnswer::Silence => {
                    let _ = reader.read(&mut [0]);
                    break;
                }
            };
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} Answer\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
            );
            if writer.write_all(answer.as_bytes()).is_err() {
                break;
            }
        }
        let _ = writer.shutdown(Shutdown::Both);
    }
}

/// The next request of a connection; `None` at its end.
fn read(reader: &mut BufReader<TcpStream>) -> Option<StubRequest> {
    let line = read_line(reader)?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let line = read_line(reader)?;
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':')?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = StubRequest {
        method,
        path,
        headers,
        body: String::new(),
    };
    let length = request.header("content-length").map_or(Ok(0), str::parse);
    let mut body = vec![0; length.ok()?];
    reader.read_exact(&mut body).ok()?;
    request.body = String::from_utf8(body).ok()?;
    Some(request)
}

fn read_line(reader: &mut BufReader<TcpStream>) -> Option<String> {
    let mut line = String::new();
    match reader.read_line(&mut line) {
        Ok(1..) => Some(line.trim_end().to_owned()),
        Ok(0) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http;

    #[test]
    fn it_answers_as_it_is_told() {
        let stub = HttpStub::start(|request| match request.path.as_str() {
            "/close" => StubAnswer::Close,
            "/raw" => StubAnswer::Raw(b"HTTP/1.1 299 Raw\r\nContent-Length: 0\r\n\r\n".to_vec()),
            "/header" => StubAnswer::WithHeaders(200, "X-One: 1\r\n".into(), String::new()),
            _ => StubAnswer::Status(201, request.body.clone()),
        });
        let answer = http::request(&["-d", "hello", &stub.url("/a?b")]);
        assert_eq!((answer.status, answer.body.as_str()), (201, "hello"));
        assert!(http::try_request(&[&stub.url("/close")]).is_none());
        assert_eq!(http::get(&stub.url("/raw")).status, 299);
        assert_eq!(http::get(&stub.url("/header")).header("x-one"), Some("1"));
        let first = &stub.requests()[0];
        assert_eq!(
            (first.method.as_str(), first.path.as_str()),
            ("POST", "/a?b")
        );
        let url = stub.url("/");
        let address = stub.stop();
        assert!(http::try_request(&[&url]).is_none());
        let again = HttpStub::start_at(address, |_| StubAnswer::Status(204, String::new()));
        assert_eq!(http::get(&url).status, 204);
        drop(again);
    }
}
