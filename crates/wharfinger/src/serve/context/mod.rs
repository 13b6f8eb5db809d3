//! The context of a request, resolved once for both servers: client address, origin, request id.
//!
//! **The rule.** A *trusted proxy* is a peer that `server.trusted_proxies` lists, or one that
//! connects by a Unix socket. Without the list no address is trusted.
//!
//! 1. With `real_ip_header`, the client's address stands in that header, at position
//!    `real_ip_pos`. The header of a trusted proxy counts; without `trusted_proxies` every peer's
//!    does, as in `docker_auth`, but then no limit counts addresses.
//! 2. Else a trusted proxy's `Forwarded` (RFC 7239) or `X-Forwarded-For` counts: the last address
//!    there that is not a trusted proxy's own. Two headers that disagree are an error.
//! 3. Else the client is the peer.
//!
//! Scheme, host and prefix come from `public_url` if it is set; else from a trusted proxy's
//! `Forwarded`, `X-Forwarded-Proto`, `-Host` and `-Prefix`; else from the connection and `Host`.

mod forwarded;
mod origin;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use common::{
    ClientAddress, ClientAddressError, Entropy, EntropyError, IpNetwork, RequestContext, parse_ip,
};
use data_encoding::HEXLOWER;
use http::{HeaderMap, HeaderName, Uri};

use self::forwarded::{Element, ForwardedError, without_port};
pub(super) use self::origin::PublicUrl;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The other end of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer {
    /// Its address; `None` for a Unix socket.
    pub(super) address: Option<IpAddr>,
    /// Whether it speaks TLS.
    pub(super) tls: bool,
}

/// How the context of a request is found.
#[derive(Debug, Default)]
pub(super) struct ContextRule {
    /// The header that holds the client's address (`real_ip_header`).
    pub(super) real_ip_header: Option<HeaderName>,
    /// Which of its comma-separated addresses it is (`real_ip_pos`); a negative position counts
    /// from the end.
    pub(super) real_ip_pos: i32,
    /// The proxies whose headers count; `None` if the configuration has no list.
    pub(super) trusted_proxies: Option<Vec<IpNetwork>>,
    /// The URL that clients use, if it is configured.
    pub(super) public_url: Option<PublicUrl>,
    /// Whether the log has the warning about an unlisted proxy.
    warned: AtomicBool,
}

impl ContextRule {
    pub(super) fn new(server: &crate::config::ServerConfig) -> Self {
        Self {
            real_ip_header: server.real_ip_header.clone(),
            real_ip_pos: server.real_ip_pos,
            trusted_proxies: server.trusted_proxies.clone(),
            public_url: server.public_url.as_deref().and_then(PublicUrl::parse),
            warned: AtomicBool::new(false),
        }
    }

    /// The context of a request that came from `peer`.
    pub(super) fn resolve(
        &self,
        peer: Peer,
        uri: &Uri,
        headers: &HeaderMap,
        request_id: String,
    ) -> RequestContext {
        let peer = Peer {
            address: peer.address.map(|ip| ip.to_canonical()),
            ..peer
        };
        let proxy_header = forwarded::forwarding_header(headers);
        let elements = match proxy_header {
            Some(_) if self.trusts(peer.address) => forwarded::elements(headers),
            _ => Ok(Vec::new()),
        };
        if let Some(header) = proxy_header {
            self.warn_of_unlisted_proxy(peer, header);
        }
        let client = self.client(peer.address, headers, &elements);
        let elements = elements.unwrap_or_default();
        let outermost = elements.get(self.client_index(&elements));
        let origin = match proxy_header {
            Some(_) if self.trusts(peer.address) => {
                self.origin_by_proxy(peer, uri, headers, outermost)
            }
            // An unlisted proxy knows the outer address, and this process does not.
            _ => self.origin_of_request(peer, uri, headers, proxy_header.is_none()),
        };
        RequestContext::new(peer.address, client, origin, request_id)
    }

    fn client(
        &self,
        peer: Option<IpAddr>,
        headers: &HeaderMap,
        elements: &Result<Vec<Element>, ForwardedError>,
    ) -> Result<ClientAddress, ClientAddressError> {
        let trusted = self.trusts(peer);
        if let Some(header) = &self.real_ip_header {
            if trusted || self.trusted_proxies.is_none() {
                return Ok(ClientAddress {
                    ip: Some(self.at_position(header, headers)?),
                    // The position may be one that the client writes: what the proxy has added
                    // stands at the end.
                    attributable: self
                        .last_untrusted(header, headers)
                        .ok()
                        .flatten()
                        .filter(|_| trusted),
                });
            }
        } else if trusted {
            return self.forwarded_client(peer, headers, elements);
        }
        Ok(ClientAddress::direct(peer))
    }

    /// The client by a trusted proxy's `Forwarded` or `X-Forwarded-For`.
    fn forwarded_client(
        &self,
        peer: Option<IpAddr>,
        headers: &HeaderMap,
        elements: &Result<Vec<Element>, ForwardedError>,
    ) -> Result<ClientAddress, ClientAddressError> {
        let malformed = |error: &ForwardedError| ClientAddressError::Malformed {
            header: "forwarded".to_owned(),
            text: error.0.clone(),
        };
        let elements = elements.as_ref().map_err(malformed)?;
        let by_forwarded = elements
            .get(self.client_index(elements))
            .filter(|element| element.client.is_some())
            .map(Element::address);
        let by_list = headers
            .contains_key(FORWARDED_FOR)
            .then(|| self.last_untrusted(&FORWARDED_FOR, headers))
            .transpose()?;
        match (by_forwarded, by_list) {
            // Most proxies set one of them and pass on what a client wrote into the other.
            (Some(one), Some(other)) if one != other => Err(ClientAddressError::Contradiction),
            (Some(address), _) | (None, Some(address)) => Ok(ClientAddress {
                ip: address,
                attributable: address,
            }),
            (None, None) => Ok(ClientAddress::direct(peer)),
        }
    }

    /// Which element of `Forwarded` tells of the client: the last whose address is not a trusted
    /// proxy's. If all are trusted, the first.
    fn client_index(&self, elements: &[Element]) -> usize {
        let is_client = |element: &Element| element.address().is_none_or(|ip| !self.lists(ip));
        elements.iter().rposition(is_client).unwrap_or(0)
    }

    /// The address at `real_ip_pos` of the header's first line, as `docker_auth` reads it.
    fn at_position(
        &self,
        header: &HeaderName,
        headers: &HeaderMap,
    ) -> Result<IpAddr, ClientAddressError> {
        let missing = || ClientAddressError::Missing(header.to_string());
        let line = headers.get(header).ok_or_else(missing)?;
        let line = String::from_utf8_lossy(line.as_bytes());
        let entries: Vec<&str> = line.split(',').collect();
        let index = match usize::try_from(self.real_ip_pos) {
            Ok(from_start) => from_start,
            Err(_) => entries
                .len()
                .saturating_sub(self.real_ip_pos.unsigned_abs() as usize),
        };
        let text = entries
            .get(index)
            .ok_or_else(|| ClientAddressError::Position {
                header: header.to_string(),
                position: self.real_ip_pos,
            })?
            .trim();
        if text.is_empty() {
            return Err(missing());
        }
        parse_ip(without_port(text)).ok_or_else(|| malformed(header, text))
    }

    /// The last address of a list that is not a trusted proxy's; what stands before it, a client may
    /// have written. If all are trusted, the first.
    fn last_untrusted(
        &self,
        header: &HeaderName,
        headers: &HeaderMap,
    ) -> Result<Option<IpAddr>, ClientAddressError> {
        let mut first = None;
        for line in headers.get_all(header).iter().rev() {
            let line = String::from_utf8_lossy(line.as_bytes());
            for text in line.split(',').rev().map(str::trim) {
                let ip = parse_ip(without_port(text)).ok_or_else(|| malformed(header, text))?;
                if !self.lists(ip) {
                    return Ok(Some(ip));
                }
                first = Some(ip);
            }
        }
        Ok(first)
    }

    /// Whether `peer` is a trusted proxy. A program that can open a Unix socket passed its file's
    /// permissions.
    pub(super) fn trusts(&self, peer: Option<IpAddr>) -> bool {
        peer.is_none_or(|address| self.lists(address))
    }

    fn lists(&self, address: IpAddr) -> bool {
        let listed = self.trusted_proxies.iter().flatten();
        listed.into_iter().any(|network| network.contains(address))
    }

    /// Warns once of a proxy that the configuration does not list.
    fn warn_of_unlisted_proxy(&self, peer: Peer, header: &HeaderName) {
        let (None, None, Some(address)) =
            (&self.trusted_proxies, &self.real_ip_header, peer.address)
        else {
            return;
        };
        if !self.warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                peer = %address,
                header = header.as_str(),
                "a request has a proxy's header, which is ignored because no proxy is trusted: \
                 list the addresses of your proxies in server.trusted_proxies, or write \
                 `trusted_proxies: []` if there are none"
            );
        }
    }
}

fn malformed(header: &HeaderName, text: &str) -> ClientAddressError {
    ClientAddressError::Malformed {
        header: header.to_string(),
        text: text.to_owned(),
    }
}

/// Makes ids that no two requests share: random bytes for each start, and a number.
pub(super) struct RequestIds {
    prefix: String,
    next: AtomicU64,
}

impl RequestIds {
    pub(super) fn new(entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let mut prefix = [0; 6];
        entropy.fill(&mut prefix)?;
        Ok(Self {
            prefix: HEXLOWER.encode(&prefix),
            next: AtomicU64::new(1),
        })
    }

    pub(super) fn next(&self) -> String {
        format!(
            "{}-{}",
            self.prefix,
            self.next.fetch_add(1, Ordering::Relaxed)
        )
    }
}

#[cfg(test)]
mod tests;
