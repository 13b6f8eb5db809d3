//! A server whose answers a test makes, for protocols in JSON.

use peers::{HttpStub, StubAnswer};

/// Stands for no status at all.
const SILENCE: u16 = 0;

/// A request, whole.
#[derive(Clone, Debug)]
pub(crate) struct StubRequest {
    request: peers::StubRequest,
    /// The path, not decoded.
    pub(crate) path: String,
    /// What comes after the question mark, not decoded.
    pub(crate) query: String,
    /// The body.
    pub(crate) body: String,
}

/// The answer to one.
#[derive(Clone, Debug)]
pub(crate) struct StubResponse {
    pub(crate) status: u16,
    pub(crate) headers: String,
    pub(crate) body: String,
}

/// A server on a free loopback port.
pub(crate) struct StubServer(HttpStub);

impl StubRequest {
    fn of(request: &peers::StubRequest) -> Self {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        Self {
            path: path.to_owned(),
            query: query.to_owned(),
            body: request.body.clone(),
            request: request.clone(),
        }
    }

    /// The value of the first header field called `name` (in lower case).
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.request.header(name)
    }
}

impl StubResponse {
    /// 200 with this JSON.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers make the body where they pass it"
    )]
    pub(crate) fn json(body: impl ToString) -> Self {
        Self {
            status: 200,
            headers: "Content-Type: application/json\r\n".to_owned(),
            body: body.to_string(),
        }
    }

    /// A status without a body.
    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            headers: String::new(),
            body: String::new(),
        }
    }

    /// No answer: the connection stays open.
    pub(crate) fn silence() -> Self {
        Self::status(SILENCE)
    }

    /// The same with a further header field.
    #[allow(dead_code, reason = "not every test binary with this file needs it")]
    pub(crate) fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers += &format!("{name}: {value}\r\n");
        self
    }
}

impl StubServer {
    /// Starts a server that answers as `answer` says. It gets the server's own address
    /// (`http://127.0.0.1:PORT`) with each request.
    pub(crate) fn start(
        answer: impl Fn(&str, &StubRequest) -> StubResponse + Send + Sync + 'static,
    ) -> Self {
        Self(HttpStub::start(move |request| {
            let origin = format!("http://{}", request.header("host").unwrap_or_default());
            let response = answer(&origin, &StubRequest::of(request));
            match response.status {
                SILENCE => StubAnswer::Silence,
                status => StubAnswer::WithHeaders(status, response.headers, response.body),
            }
        }))
    }

    /// The URL of `path`, which begins with a slash or is empty.
    pub(crate) fn url(&self, path: &str) -> String {
        self.0.url(path)
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<StubRequest> {
        self.0.requests().iter().map(StubRequest::of).collect()
    }
}
