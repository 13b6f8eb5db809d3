//! What is known of a request before a server handles it.
//!
//! The process resolves it once, when the request arrives, and passes it to the server
//! has the path. So rules, limits, logs and the addresses in responses never disagree.

use std::net::IpAddr;
use std::sync::OnceLock;

/// The circumstances of one request.
#[derive(Debug)]
pub struct RequestContext {
    /// The other end of the connection; `None` for a Unix socket.
    pub peer: Option<IpAddr>,
    /// The client, which may stand behind proxies.
    pub client: Result<ClientAddress, ClientAddressError>,
    /// The address at which the client reaches this process.
    pub origin: Origin,
    /// An id that no other request has. The log and the header `X-Request-Id` show it.
    pub request_id: String,
    account: OnceLock<String>,
    personal_token: OnceLock<String>,
}

impl RequestContext {
    /// The context of a request that no account has claimed yet.
    #[must_use]
    pub fn new(
        peer: Option<IpAddr>,
        client: Result<ClientAddress, ClientAddressError>,
        origin: Origin,
        request_id: String,
    ) -> Self {
        Self {
            peer,
            client,
            origin,
            request_id,
            account: OnceLock::new(),
            personal_token: OnceLock::new(),
        }
    }

    /// Notes for the access log which account the request belongs to. Only the first call counts.
    pub fn set_account(&self, account: &str) {
        let _ = self.account.set(account.to_owned());
    }

    /// Notes for events which personal token or robot's token proved the account, by its id; empty for
    /// another login. Only the first call counts.
    pub fn set_personal_token(&self, id: &str) {
        if !id.is_empty() {
            let _ = self.personal_token.set(id.to_owned());
        }
    }

    /// The token that proved the account; empty for another login.
    #[must_use]
    pub fn personal_token(&self) -> &str {
        self.personal_token.get().map_or("", String::as_str)
    }

    /// The account of the request; empty for anonymous requests and for those that failed earlier.
    #[must_use]
    pub fn account(&self) -> &str {
        self.account.get().map_or("", String::as_str)
    }

    /// The address that logs show: the client's, or the peer's when the client's is not known.
    #[must_use]
    pub fn shown_address(&self) -> Option<IpAddr> {
        match &self.client {
            Ok(client) => client.ip,
            Err(_) => self.peer,
        }
    }

    /// The address that limits count: one that the client cannot have chosen.
    #[must_use]
    pub fn attributable_address(&self) -> Option<IpAddr> {
        self.client.as_ref().ok()?.attributable
    }
}

/// A client's address, by the two standards that its uses have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClientAddress {
    /// The address that rules match and logs show; `None` for the peer of a Unix socket that no
    /// header tells more of.
    pub ip: Option<IpAddr>,
    /// The address that limits count; `None` when a client could have chosen it, or shares it with
    /// everyone behind the same proxy.
    pub attributable: Option<IpAddr>,
}

impl ClientAddress {
    /// The address of a client that connects itself.
    #[must_use]
    pub fn direct(peer: Option<IpAddr>) -> Self {
        Self {
            ip: peer,
            attributable: peer,
        }
    }
}

/// Why a forwarding header does not give the client's address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientAddressError {
    /// The configured header is not there.
    #[error(
        "the header {0} is missing or empty: the proxy in front must send the client's address in it"
    )]
    Missing(String),
    /// The configured position does not exist.
    #[error("the header {header} has no address at position {position}")]
    Position {
        /// The header's name.
        header: String,
        /// The configured position.
        position: i32,
    },
    /// The text is not an address.
    #[error("{text:?} in the header {header} is not an IP address")]
    Malformed {
        /// The header's name.
        header: String,
        /// The text in the address's place.
        text: String,
    },
    /// Two headers disagree, so a client wrote one of them.
    #[error(
        "Forwarded and X-Forwarded-For name different clients: the proxy in front must remove the \
         one that it does not set"
    )]
    Contradiction,
}

/// The scheme, host and path prefix by which a client reaches this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The host, with its port unless that is the scheme's own; `None` when the request names none.
    pub host: Option<String>,
    /// What a proxy removes from the front of each path: nothing, or a path without a slash at its
    /// end.
    pub prefix: String,
    /// Whether scheme and host are right for sure. They are not if an unlisted proxy is in front.
    pub certain: bool,
}

impl Origin {
    /// The URL of `path`, as well as it is known: for places that need an absolute URL.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        match &self.host {
            Some(host) => format!("{}://{host}{}{path}", self.scheme, self.prefix),
            None => self.path(path),
        }
    }

    /// `path` as the client must request it from the same host.
    #[must_use]
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.prefix)
    }

    /// The URL of `path` if it is known for sure, else the path, which is right in any case.
    #[must_use]
    pub fn location(&self, path: &str) -> String {
        if self.certain {
            self.url(path)
        } else {
            self.path(path)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_has_a_host_only_if_it_is_known() {
        let mut origin = Origin {
            scheme: "https",
            host: Some("hub.example".to_owned()),
            prefix: "/registry".to_owned(),
            certain: true,
        };
        assert_eq!(origin.location("/v2/"), "https://hub.example/registry/v2/");
        assert_eq!(origin.path("/v2/"), "/registry/v2/");
        origin.certain = false;
        assert_eq!(origin.location("/v2/"), "/registry/v2/");
        assert_eq!(origin.url("/v2/"), "https://hub.example/registry/v2/");
        origin.host = None;
        assert_eq!(origin.url("/v2/"), "/registry/v2/");
    }
}
