//! Metrics of the running server.
//!
//! [`ServerMetrics`] counts, and outlives a configuration. [`MetricsService`] responds to Prometheus:
//! it writes what was counted there, and what the parts of the server have counted of their own work
//! ([`scrape`]).

mod notifications;
mod quotas;
mod scrape;
mod service;

use std::sync::Arc;

use common::{Clock, Gauge};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, Uri};
use metrics::{EventMetrics, HttpMetricNames, HttpMetrics, MeasuredRequest, NameLimits};
use registry::RegistryEndpoint;

pub(super) use self::quotas::MeasuredQuotas;
pub(super) use self::scrape::{CredentialExpiry, ScrapeSources};
pub(super) use self::service::MetricsService;
use super::measured_handler::MeasuredHandler;

/// The handlers that Distribution does not have.
const OTHER_HANDLERS: [&str; 3] = ["token", "sign_in", "api"];

/// What this process counts. A reload keeps it.
pub(super) struct ServerMetrics {
    registry: Arc<HttpMetrics>,
    other: Arc<HttpMetrics>,
    pub(super) events: Arc<EventMetrics>,
    connections: Gauge,
}

/// A connection that is counted as open until this is dropped.
pub(super) struct OpenConnection(Arc<ServerMetrics>);

impl ServerMetrics {
    /// Nothing counted yet. `limits` says how many names get a counter of their own.
    pub(super) fn new(limits: NameLimits, clock: &Arc<dyn Clock>) -> Self {
        let http = |names, handlers: &[&'static str]| {
            Arc::new(HttpMetrics::new(names, handlers, Arc::clone(clock)))
        };
        Self {
            registry: http(HttpMetricNames::REGISTRY, &RegistryEndpoint::NAMES),
            other: http(HttpMetricNames::OTHER, &OTHER_HANDLERS),
            events: Arc::new(EventMetrics::new(limits, Arc::clone(clock))),
            connections: Gauge::default(),
        }
    }

    /// Counts a request that begins.
    pub(super) fn begin(
        &self,
        handler: MeasuredHandler,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Option<MeasuredRequest> {
        let size = request_size(method, uri, headers);
        let other = |place| self.other.begin(place, method, size);
        match handler {
            MeasuredHandler::Registry(endpoint) => {
                self.registry.begin(endpoint.place(), method, size)
            }
            MeasuredHandler::Token => other(0),
            MeasuredHandler::SignIn => other(1),
            MeasuredHandler::Api => other(2),
        }
    }

    /// Counts a connection.
    pub(super) fn connect(self: &Arc<Self>) -> OpenConnection {
        self.connections.add(1);
        OpenConnection(Arc::clone(self))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.add(-1);
    }
}

/// About how many bytes a request has, as Prometheus's library for Go counts them: the line, the
/// headers, and the body if its length is announced.
fn request_size(method: &Method, uri: &Uri, headers: &HeaderMap) -> u64 {
    let line = method.as_str().len() + uri.path().len() + uri.query().map_or(0, str::len);
    let headers_size: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len())
        .sum();
    let body = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    (line + headers_size) as u64 + body.unwrap_or(0_u64)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_length_that_is_no_number_counts_nothing() {
        let uri = Uri::from_static("/v2/?a=b");
        for (length, expected) in [("100", 100 + 24), ("x", 22), ("-1", 23)] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static(length));
            let size = request_size(&Method::GET, &uri, &headers);
            assert_eq!(size, expected + 3, "{length}");
        }
    }
}
