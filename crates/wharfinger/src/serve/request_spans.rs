//! The span of each request, if there are traces.

use std::sync::Arc;
use std::time::Duration;

use common::{Clock, Entropy, RequestContext};
use http::header::{HeaderMap, HeaderValue, USER_AGENT};
use http::request::Parts;
use http::{HeaderName, StatusCode};
use traces::{
    ActiveSpan, SpanExporter, TRACEPARENT, TRACESTATE, TraceContext, TraceSettings, Tracer,
};

use super::measured_handler::MeasuredHandler;

/// How long the last spans may take to be sent when the server ends.
const LAST: Duration = Duration::from_secs(3);

/// What sends spans to a collector, if the environment names one. Variables that are not understood
/// keep no registry from serving.
pub(super) fn exporter(
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Option<Arc<SpanExporter>> {
    let settings = TraceSettings::from_environment(|name| std::env::var(name).ok());
    let exporter = settings.and_then(|settings| {
        let new = |settings| SpanExporter::new(settings, Arc::clone(clock), Arc::clone(entropy));
        settings.map(new).transpose()
    });
    match exporter {
        Ok(exporter) => exporter.map(Arc::new),
        Err(error) => {
            tracing::warn!(%error, "there are no traces");
            None
        }
    }
}

/// Sends the last spans.
pub(super) async fn finish(exporter: &SpanExporter) {
    // What is not sent by then is lost.
    let _ = tokio::time::timeout(LAST, exporter.finish()).await;
}

/// The span of a request that begins, as a child of the client's.
pub(super) fn begin(
    tracer: &Arc<Tracer>,
    handler: Option<MeasuredHandler>,
    head: &Parts,
    context: &RequestContext,
) -> Option<ActiveSpan> {
    let text = |name: HeaderName| header(&head.headers, &name);
    let parent = text(TRACEPARENT).and_then(|parent| TraceContext::parse(parent, text(TRACESTATE)));
    // OpenTelemetry, "Semantic conventions for HTTP spans": the method, and what has few values.
    let method = head.method.as_str();
    let endpoint = handler.map_or("other", MeasuredHandler::name);
    let span = ActiveSpan::of_request(tracer, "request", parent)?;
    if span.context().is_sampled() {
        span.rename(format!("{method} {endpoint}"));
        span.set("http.request.method", method.to_owned());
        span.set("http.route", endpoint);
        span.set("url.path", head.uri.path().to_owned());
        span.set("wharfinger.request_id", context.request_id.clone());
        if let Some(address) = context.shown_address() {
            span.set("client.address", address.to_string());
        }
        if let Some(agent) = text(USER_AGENT) {
            span.set("user_agent.original", agent.to_owned());
        }
    }
    Some(span)
}

/// Notes how the request was answered.
pub(super) fn respond(span: &ActiveSpan, status: StatusCode) {
    span.set("http.response.status_code", status.as_u16());
    if status.is_server_error() {
        span.fail();
    }
}

/// The id of a trace that is sent to a collector.
pub(super) fn trace_id(span: &ActiveSpan) -> Option<String> {
    let context = span.context();
    context.is_sampled().then(|| context.trace_id())
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    // Two of them contradict each other.
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next()?, values.next());
    let one: Option<&HeaderValue> = Some(first).filter(|_| second.is_none());
    one?.to_str().ok()
}
