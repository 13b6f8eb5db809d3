//! Traces by the standard of OpenTelemetry.
//!
//! A *trace* is everything that one request causes, in all servers that it reaches. A *span* is one
//! piece of work in it, with its beginning and its end. The header `traceparent` (W3C Trace Context)
//! carries the trace from server to server.
//!
//! - [`TraceSettings::from_environment`] reads the standard variables `OTEL_*`. Without them there are
//!   no traces, and nothing is said about that.
//! - [`ActiveSpan`] is a span, and [`Tracer`] decides which are kept until they are sent. While a future runs in a span
//!   ([`in_span`]), code below it makes child spans with [`child_span`], and passes the trace
//!   on with [`current_traceparent`].
//! - [`SpanExporter`] sends finished spans to a collector, in batches (OTLP over HTTP with Protocol
//!   Buffers). What waits is bounded. A collector that is away costs spans, and delays nothing.
//!
//! ```
//! use traces::TraceContext;
//!
//! let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
//! let context = TraceContext::parse(header, None).unwrap();
//! assert!(context.is_sampled());
//! assert_eq!(context.traceparent(), header);
//! ```
//!
//! (Not the crates of OpenTelemetry: their exporter over HTTP has no client of its own, and brings the
//! runtime of a second one, or generated code for a dozen messages of which six are needed.)

mod context;
mod current;
mod environment;
mod export;
mod finished;
mod otlp;
mod sampler;
mod span;
mod tracer;

pub use context::TraceContext;
pub use current::{
    TRACEPARENT, TRACESTATE, child_span, current_traceparent, in_child_span, in_current_span,
    in_span, propagate,
};
pub use environment::{TraceSettings, TraceSettingsError};
pub use export::{ExportStatistics, SpanExporter};
pub use finished::{AttributeValue, SpanKind};
pub use sampler::Sampler;
pub use span::ActiveSpan;
pub use tracer::Tracer;
