//! Sending a client to the store of a blob, with a URL that is valid for a while.
//!
//! Access is decided before. What is small is sent by this server: a redirect costs the client another
//! connection. So is what a client could not follow: Go's clients send their token along to the
//! registry's own host and to hosts below it, and S3 refuses a request with two ways to log in
//! (<https://github.com/moby/moby/issues/50065>).

use std::time::Duration;

use common::{IpNetwork, is_same_or_subdomain};
use event::{BlobEvent, EventKind};
use http::header::{
    CACHE_CONTROL, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_RANGE, IF_UNMODIFIED_SINCE, LOCATION,
};
use http::{HeaderMap, StatusCode};
use oci::Digest;
use storage::ContentUrl;

use crate::authorized::{Authorized, Pull, PullableBlob};
use crate::error::RegistryError;
use crate::ranges::RequestedRange;
use crate::request::ApiRequest;
use crate::response;
use crate::response_body::HttpResponse;

/// How long before its end a URL is not used any more: the client still has to begin.
const MARGIN: Duration = Duration::from_secs(60);

/// Conditions about the content that this server sends, of which the store knows nothing.
const CONDITIONS: [HeaderName; 4] = [IF_MATCH, IF_MODIFIED_SINCE, IF_RANGE, IF_UNMODIFIED_SINCE];

/// Which clients are sent to the store of a blob, and for how much.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedirectRules {
    /// The least content for which a client is sent to the store, in bytes.
    pub from: u64,
    /// Networks whose clients are never sent there, for instance because they cannot reach it.
    pub except: Vec<IpNetwork>,
}

impl RedirectRules {
    /// The response that sends the client to the store, if it should go there.
    pub(crate) async fn respond(
        &self,
        proof: &Authorized<'_, Pull>,
        blob: &PullableBlob,
        digest: &Digest,
        range: &RequestedRange,
        call: &ApiRequest<'_>,
    ) -> Result<Option<HttpResponse>, RegistryError> {
        let length = match range {
            RequestedRange::Whole => blob.size(),
            RequestedRange::Single(range) => range.end - range.start,
            // S3 ignores a request for several ranges, and sends everything.
            RequestedRange::Multiple(_) | RequestedRange::Unsatisfiable => return Ok(None),
        };
        // A request for one byte asks whether the content is there.
        if length < self.from.max(2) || !self.includes(call) || has_condition(call.headers()) {
            return Ok(None);
        }
        let Some(url) = proof.locate(blob).await? else {
            return Ok(None);
        };
        let host = call.context.origin.host.as_deref();
        if !host.is_some_and(|host| keeps_token_away(host, &url)) || url.valid_for() <= MARGIN {
            return Ok(None);
        }
        let blob = BlobEvent {
            repository: proof.repository(),
            digest,
            size: blob.size(),
        };
        call.observe(EventKind::BlobPulled { blob, length });
        let mut response = response::empty(StatusCode::TEMPORARY_REDIRECT);
        response::set(&mut response, LOCATION, url.expose());
        // The URL is for this client alone.
        let age = (url.valid_for() - MARGIN).as_secs();
        let caching = format!("private, max-age={age}");
        response::set(&mut response, CACHE_CONTROL, &caching);
        response::set(&mut response, response::CONTENT_DIGEST, &digest.to_string());
        Ok(Some(response))
    }

    /// Whether the client's network is not excepted. If the address is not known, it may be.
    fn includes(&self, call: &ApiRequest<'_>) -> bool {
        if self.except.is_empty() {
            return true;
        }
        let client = call.context.client.as_ref().ok();
        let Some(address) = client.and_then(|client| client.ip) else {
            return false;
        };
        !self.except.iter().any(|network| network.contains(address))
    }
}

fn has_condition(headers: &HeaderMap) -> bool {
    CONDITIONS.iter().any(|name| headers.contains_key(name))
}

/// Whether Go's clients keep the registry's token to themselves when they follow the URL: they send
/// it to the same host, whatever its port, and to those below it.
fn keeps_token_away(registry: &str, url: &ContentUrl) -> bool {
    let registry = ContentUrl::host_of(registry);
    !registry.is_empty() && !is_same_or_subdomain(url.host(), registry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_at_the_registrys_host_or_below_it_would_get_its_token() {
        for (registry, store, expected) in [
            ("hub.example.com", "s3.example.com", true),
            ("hub.example.com:5000", "s3.hub.example.com:9000", false),
            ("Hub.example.com", "hub.Example.com:9000", false),
            ("hub.example.com", "thehub.example.com", true),
            ("s3.hub.example.com", "hub.example.com", true),
            ("127.0.0.1:5000", "127.0.0.1:9000", false),
            ("localhost:5000", "127.0.0.1:9000", true),
            ("[::1]:5000", "[::1]:9000", false),
            ("", "s3.example.com", false),
        ] {
            let url = format!("https://{store}/bucket/key?X-Amz-Signature=1");
            let url = ContentUrl::new(url.into(), Duration::from_secs(60));
            assert_eq!(
                keeps_token_away(registry, &url),
                expected,
                "{registry} {store}"
            );
        }
    }
}
