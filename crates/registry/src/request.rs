//! One request, without its body.

use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, Method};

use crate::origin::{Client, Origin, Origins, Peer};
use crate::query::Query;

/// What a handler may know of a request besides its path and its body.
pub(crate) struct ApiRequest<'a> {
    head: &'a Parts,
    peer: &'a Peer,
    origins: &'a Origins,
    pub(crate) query: Query,
}

impl<'a> ApiRequest<'a> {
    pub(crate) fn new(head: &'a Parts, peer: &'a Peer, origins: &'a Origins) -> Self {
        Self {
            head,
            peer,
            origins,
            query: Query::parse(head.uri.query()),
        }
    }

    pub(crate) fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    pub(crate) fn is_head(&self) -> bool {
        self.head.method == Method::HEAD
    }

    /// What stands behind `scheme`, which has no case, in the first `Authorization` line. What is
    /// no text is nobody's.
    pub(crate) fn credentials(&self, scheme: &str) -> Option<&str> {
        let line = self.head.headers.get(AUTHORIZATION)?.to_str().ok()?;
        let (named, rest) = line.split_once(' ').unwrap_or((line, ""));
        named.eq_ignore_ascii_case(scheme).then(|| rest.trim())
    }

    /// Where the client believes us to be.
    pub(crate) fn origin(&self) -> Origin {
        self.origins
            .origin(self.peer, &self.head.uri, &self.head.headers)
    }

    /// `path` as a URL with a host.
    pub(crate) fn absolute(&self, path: &str) -> String {
        self.origins
            .absolute(self.peer, &self.head.uri, &self.head.headers, path)
    }

    /// Where the client is.
    pub(crate) fn client(&self) -> Client {
        self.origins.client(self.peer, &self.head.headers)
    }
}
