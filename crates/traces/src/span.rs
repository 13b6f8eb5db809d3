//! One piece of work in a trace.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use common::Stopwatch;

use crate::finished::FinishedSpan;
use crate::{AttributeValue, SpanKind, TraceContext, Tracer};

/// How many attributes a span may have. More are left out.
const ATTRIBUTES: usize = 32;

/// A span that has begun. It ends when the last clone is dropped.
#[derive(Clone)]
pub struct ActiveSpan(Arc<SpanState>);

struct SpanState {
    tracer: Arc<Tracer>,
    context: TraceContext,
    parent: Option<[u8; 8]>,
    kind: SpanKind,
    begin: SystemTime,
    watch: Stopwatch,
    described: Mutex<SpanDescription>,
}

#[derive(Default)]
struct SpanDescription {
    name: Cow<'static, str>,
    attributes: Vec<(&'static str, AttributeValue)>,
    failed: bool,
}

impl ActiveSpan {
    /// The span of a request that this process serves. `parent` is the client's, if it sent one. `None`
    /// if there is no randomness for its id.
    #[must_use]
    pub fn of_request(
        tracer: &Arc<Tracer>,
        name: impl Into<Cow<'static, str>>,
        parent: Option<TraceContext>,
    ) -> Option<Self> {
        let trace_id = match &parent {
            Some(parent) => parent.trace_id,
            None => tracer.random()?,
        };
        let sampled = parent.as_ref().map(|parent| parent.sampled);
        let context = TraceContext {
            trace_id,
            span_id: tracer.random()?,
            sampled: tracer.decides(&trace_id, sampled),
            state: parent.as_ref().and_then(|parent| parent.state.clone()),
        };
        let parent = parent.map(|parent| parent.span_id);
        let kind = SpanKind::Server;
        Some(Self::begin(tracer, context, parent, kind, name.into()))
    }

    fn begin(
        tracer: &Arc<Tracer>,
        context: TraceContext,
        parent: Option<[u8; 8]>,
        kind: SpanKind,
        name: Cow<'static, str>,
    ) -> Self {
        Self(Arc::new(SpanState {
            tracer: Arc::clone(tracer),
            context,
            parent,
            kind,
            begin: tracer.now(),
            watch: Stopwatch::start(),
            described: Mutex::new(SpanDescription {
                name,
                ..SpanDescription::default()
            }),
        }))
    }

    /// A span for a part of its work.
    #[must_use]
    pub fn child(&self, name: &'static str, kind: SpanKind) -> Self {
        let (tracer, parent) = (&self.0.tracer, &self.0.context);
        // Without randomness the work goes on, and its span is lost.
        let span_id = tracer.random();
        let context = TraceContext {
            sampled: parent.sampled && span_id.is_some(),
            span_id: span_id.unwrap_or(parent.span_id),
            ..parent.clone()
        };
        let parent = Some(parent.span_id);
        Self::begin(tracer, context, parent, kind, Cow::Borrowed(name))
    }

    /// Its place in the trace, to pass on.
    #[must_use]
    pub fn context(&self) -> &TraceContext {
        &self.0.context
    }

    /// Gives it another name. A name is one of few: it has no ids and no text of clients.
    pub fn rename(&self, name: impl Into<Cow<'static, str>>) {
        self.describe(|described| described.name = name.into());
    }

    /// Adds an attribute, whose name is of OpenTelemetry's semantic conventions if there is one.
    pub fn set(&self, name: &'static str, value: impl Into<AttributeValue>) {
        if !self.0.context.sampled {
            return;
        }
        self.describe(|described| {
            if described.attributes.len() < ATTRIBUTES {
                described.attributes.push((name, value.into()));
            }
        });
    }

    /// Says that the work has failed.
    pub fn fail(&self) {
        self.describe(|described| described.failed = true);
    }

    fn describe(&self, change: impl FnOnce(&mut SpanDescription)) {
        let described = self.0.described.lock();
        change(&mut described.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for SpanState {
    fn drop(&mut self) {
        if !self.context.sampled {
            return;
        }
        let described = self.described.get_mut();
        let SpanDescription {
            name,
            attributes,
            failed,
        } = std::mem::take(described.unwrap_or_else(PoisonError::into_inner));
        self.tracer.finish(FinishedSpan {
            context: self.context.clone(),
            parent: self.parent,
            name,
            kind: self.kind,
            begin: self.begin,
            end: self.begin + self.watch.elapsed(),
            attributes,
            failed,
        });
    }
}
