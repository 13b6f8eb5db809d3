//! The span in which a task runs.

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{ActiveSpan, SpanKind};

/// The span of the one who sends a request (W3C Trace Context §3.2).
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// What others say about its trace (§3.3).
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

tokio::task_local! {
    static CURRENT: ActiveSpan;
}

/// Runs `work` in a span: child spans that it makes are this one's.
pub async fn in_span<F: Future>(span: ActiveSpan, work: F) -> F::Output {
    CURRENT.scope(span, work).await
}

/// A child of the span in which this task runs. `None` if it runs in none, as always when there are no
/// traces.
#[must_use]
pub fn child_span(name: &'static str, kind: SpanKind) -> Option<ActiveSpan> {
    let child = |current: &ActiveSpan| {
        let is_sampled = current.context().is_sampled();
        is_sampled.then(|| current.child(name, kind))
    };
    CURRENT.try_with(child).ok().flatten()
}

/// `work` in the span in which this task runs, for another task to run.
pub fn in_current_span<F: Future>(work: F) -> impl Future<Output = F::Output> {
    let current = CURRENT.try_with(Clone::clone).ok();
    async move {
        match current {
            Some(span) => in_span(span, work).await,
            None => work.await,
        }
    }
}

/// Runs `work` in a child of the span in which this task runs, if it runs in one.
pub async fn in_child_span<F: Future>(name: &'static str, kind: SpanKind, work: F) -> F::Output {
    match child_span(name, kind) {
        Some(span) => in_span(span, work).await,
        None => work.await,
    }
}

/// Adds `traceparent` and `tracestate` to a request that this task sends, if it runs in a span.
pub fn propagate(headers: &mut HeaderMap) {
    let Some((parent, state)) = current_traceparent() else {
        return;
    };
    if let Ok(parent) = HeaderValue::try_from(parent) {
        headers.insert(TRACEPARENT, parent);
    }
    if let Some(Ok(state)) = state.map(HeaderValue::try_from) {
        headers.insert(TRACESTATE, state);
    }
}

/// The headers `traceparent` and `tracestate` for a request that this task sends; nothing if it runs in
/// no span.
#[must_use]
pub fn current_traceparent() -> Option<(String, Option<String>)> {
    CURRENT
        .try_with(|current| {
            let context = current.context();
            let state = context.tracestate().map(str::to_owned);
            (context.traceparent(), state)
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use common::{SystemClock, SystemEntropy};

    use super::*;
    use crate::{Sampler, TraceContext, Tracer};

    fn tracer(sampler: Sampler, limit: usize) -> Arc<Tracer> {
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
        Arc::new(Tracer::new(sampler, limit, 512, clock, entropy))
    }

    #[tokio::test]
    async fn a_child_belongs_to_the_span_in_which_it_is_made() {
        let tracer = tracer(Sampler::ParentOrRatio(1.0), 100);
        assert!(child_span("alone", SpanKind::Internal).is_none());
        assert_eq!(current_traceparent(), None);
        let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let parent = TraceContext::parse(header, Some("a=b"));
        let span = ActiveSpan::of_request(&tracer, "GET", parent).unwrap();
        let own = span.context().clone();
        in_span(span, async {
            let (header, state) = current_traceparent().unwrap();
            assert!(header.starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
            assert_eq!(header, own.traceparent());
            assert_eq!(state.as_deref(), Some("a=b"));
            let child = child_span("database read", SpanKind::Client).unwrap();
            child.set("db.system.name", "sqlite");
            let elsewhere = tokio::spawn(in_current_span(async { current_traceparent() }));
            assert_eq!(elsewhere.await.unwrap(), current_traceparent());
            child.fail();
        })
        .await;
        let spans = tracer.take(10);
        let names: Vec<_> = spans.iter().map(|span| span.name.as_ref()).collect();
        assert_eq!(names, ["database read", "GET"]);
        assert_eq!(spans[0].parent, Some(own.span_id));
        assert_eq!(spans[0].context.trace_id, own.trace_id);
        assert!(spans[0].failed && spans[0].attributes.len() == 1);
        assert_eq!(
            spans[1].parent,
            Some([0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31])
        );
    }

    #[tokio::test]
    async fn what_is_not_sampled_is_passed_on_and_not_kept() {
        let tracer = tracer(Sampler::Ratio(0.0), 100);
        let span = ActiveSpan::of_request(&tracer, "GET", None).unwrap();
        in_span(span, async {
            assert!(current_traceparent().unwrap().0.ends_with("-00"));
            assert!(child_span("x", SpanKind::Internal).is_none());
        })
        .await;
        assert!(tracer.take(10).is_empty());
    }

    #[test]
    fn attributes_are_bounded() {
        let tracer = tracer(Sampler::Ratio(1.0), 3);
        let span = ActiveSpan::of_request(&tracer, "GET", None).unwrap();
        for _ in 0..100 {
            span.set("text", "\u{e9}".repeat(1000));
        }
        drop(span);
        let attributes = &tracer.take(1)[0].attributes;
        assert_eq!(attributes.len(), 32);
        let text = crate::AttributeValue::from("\u{e9}".repeat(256));
        assert!(attributes.iter().all(|(_, value)| *value == text));
    }

    #[test]
    fn what_waits_is_bounded() {
        let tracer = tracer(Sampler::Ratio(1.0), 3);
        for _ in 0..5 {
            drop(ActiveSpan::of_request(&tracer, "GET", None));
        }
        assert_eq!(tracer.lost.value(), 2);
        assert_eq!(tracer.take(2).len(), 2);
        assert_eq!(tracer.take(2).len(), 1);
    }
}
