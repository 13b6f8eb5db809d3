//! A server that responds as a test says, and remembers the requests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use client::{
    CopyOptions, CopyReport, Error, ImageSource, ImageTarget, LoginCredentials, RegistryClient,
    RegistrySession, RepositoryClient, Transport, TransportOptions, copy,
};
use oci::Tag;

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// With its query.
    pub(crate) path: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A response.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// The connection breaks after so many bytes of the body.
    breaks_after: Option<usize>,
    /// How long the stub waits before it responds.
    after: Duration,
}

impl Reply {
    pub(crate) fn new(status: u16) -> Self {
        Self {
            status,
            ..Self::default()
        }
    }

    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::new(status)
            .header("Content-Type", "application/json")
            .body(body)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_owned();
        self
    }

    /// Whether it has this status.
    pub(crate) fn is(&self, status: u16) -> bool {
        self.status == status
    }

    pub(crate) fn breaking_after(mut self, bytes: usize) -> Self {
        self.breaks_after = Some(bytes);
        self
    }

    pub(crate) fn after(mut self, pause: Duration) -> Self {
        self.after = pause;
        self
    }

    fn send(&self, stream: &mut TcpStream, with_body: bool) -> std::io::Result<bool> {
        thread::sleep(self.after);
        let mut head = format!("HTTP/1.1 {} Stub\r\n", self.status);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if self.status != 204
            && !self
                .headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        {
            head += &format!("Content-Length: {}\r\n", self.body.len());
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        let length = self.breaks_after.unwrap_or(usize::MAX).min(self.body.len());
        if with_body {
            stream.write_all(&self.body[..length])?;
        }
        stream.flush()?;
        Ok(self.breaks_after.is_none())
    }
}

/// A running stub. Its thread ends with the test's process.
pub(crate) struct Stub {
    address: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Stub {
    /// Answers every request as `answer` says; `@self@` in headers and bodies stands for its
    /// `HOST:PORT`.
    pub(crate) fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (answer, own, remember) = (Arc::new(answer), address.clone(), seen.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, own, remember) = (answer.clone(), own.clone(), remember.clone());
                thread::spawn(move || serve(stream, &own, &remember, &*answer));
            }
        });
        Self { address, seen }
    }

    pub(crate) fn host(&self) -> &str {
        &self.address
    }

    /// All requests, in their order.
    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// Method and path of all requests.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.seen()
            .iter()
            .map(|request| format!("{} {}", request.method, request.path))
            .collect()
    }

    /// A session with it, over plain HTTP.
    pub(crate) async fn session(&self, credentials: LoginCredentials) -> RegistrySession {
        plain_session(&self.address, credentials).await
    }

    /// The tags of its repository `a`.
    pub(crate) async fn tags(&self, credentials: LoginCredentials) -> Result<Vec<Tag>, Error> {
        self.repository("a", credentials).await.all_tags().await
    }

    /// The repository `name` of it.
    pub(crate) async fn repository(
        &self,
        name: &str,
        credentials: LoginCredentials,
    ) -> RepositoryClient {
        RegistryClient::new(self.session(credentials).await).repository(name.parse().unwrap())
    }
}

/// The tag `text`.
pub(crate) fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

/// Copies the image with the tag or digest `reference`, or the only one, to `target` under `to`.
pub(crate) async fn copied(
    source: &ImageSource,
    reference: Option<&str>,
    target: &ImageTarget,
    to: &str,
) -> CopyReport {
    let reference = reference.map(|text| text.parse().unwrap());
    let options = CopyOptions::default();
    copy(source, reference.as_ref(), target, Some(&tag(to)), &options)
        .await
        .unwrap()
}

/// A session over plain HTTP.
pub(crate) async fn plain_session(host: &str, credentials: LoginCredentials) -> RegistrySession {
    let transport = Transport::new(TransportOptions {
        plain_http: true,
        ..TransportOptions::default()
    });
    RegistrySession::begin(transport, host.parse().unwrap(), credentials)
        .await
        .unwrap()
}

pub(crate) fn password(user: &str, password: &str) -> LoginCredentials {
    LoginCredentials::Password {
        user: user.to_owned(),
        password: password.into(),
    }
}

fn serve(
    mut stream: TcpStream,
    own: &str,
    seen: &Mutex<Vec<Request>>,
    answer: &dyn Fn(&Request) -> Reply,
) {
    // Head and body are sent apart, and must not wait for an acknowledgement.
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    while let Some(request) = read(&mut reader) {
        seen.lock().unwrap().push(request.clone());
        let mut reply = answer(&request);
        for (_, value) in &mut reply.headers {
            *value = value.replace("@self@", own);
        }
        if let Ok(text) = String::from_utf8(reply.body.clone()) {
            reply.body = text.replace("@self@", own).into_bytes();
        }
        if !matches!(reply.send(&mut stream, request.method != "HEAD"), Ok(true)) {
            return;
        }
    }
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    reader
        .read_line(&mut line)
        .ok()
        .filter(|&length| length > 0)?;
    let mut words = line.split_whitespace();
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut request = Request {
        method,
        path,
        headers,
        body: Vec::new(),
    };
    if request.header("transfer-encoding") == Some("chunked") {
        request.body = chunks(reader)?;
        return Some(request);
    }
    let length = request
        .header("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    request.body = vec![0; length];
    // Some tests break off a request.
    reader.read_exact(&mut request.body).ok()?;
    Some(request)
}

/// A body in chunks (RFC 9112 §7.1), without trailers.
fn chunks(reader: &mut BufReader<TcpStream>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let length = usize::from_str_radix(line.trim(), 16).ok()?;
        let mut chunk = vec![0; length + 2];
        reader.read_exact(&mut chunk).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(&chunk[..length]);
    }
}
