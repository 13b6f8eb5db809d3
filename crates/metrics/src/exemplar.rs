//! Exemplars: the id of one request for each range of a histogram, which leads from a slow request to
//! its lines in the log.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::escape::put_escaped;

/// One request that was counted (OpenMetrics 1.0, "Exemplars").
#[derive(Clone, Debug, PartialEq)]
pub struct Exemplar {
    request_id: String,
    /// The trace of the request, if it has one.
    trace_id: Option<String>,
    value: f64,
    /// Seconds since the Unix epoch.
    time: f64,
}

impl Exemplar {
    /// A request with its value, and the time in seconds since the Unix epoch.
    #[must_use]
    pub fn new(request_id: impl Into<String>, value: f64, time: f64) -> Self {
        Self {
            request_id: request_id.into(),
            trace_id: None,
            value,
            time,
        }
    }

    /// It with the id of its trace, in hexadecimal digits.
    #[must_use]
    pub fn with_trace(self, trace_id: Option<String>) -> Self {
        Self { trace_id, ..self }
    }
}

impl fmt::Display for Exemplar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut labels = String::from(" # {request_id=\"");
        put_escaped(&mut labels, &self.request_id);
        labels.push('"');
        if let Some(trace_id) = &self.trace_id {
            labels.push_str(",trace_id=\"");
            put_escaped(&mut labels, trace_id);
            labels.push('"');
        }
        write!(f, "{labels}}} {} {:.3}", self.value, self.time)
    }
}

/// Keeps an exemplar for one range of a histogram: at most one new one each second, so that most
/// requests pay for one atomic read.
#[derive(Debug, Default)]
pub(crate) struct ExemplarSlot {
    /// The second in which the last one was kept.
    second: AtomicU64,
    kept: Mutex<Option<Exemplar>>,
}

impl ExemplarSlot {
    /// Keeps what `make` makes, if none was kept in this second.
    pub(crate) fn offer(&self, second: u64, make: impl FnOnce() -> Exemplar) {
        if self.second.load(Ordering::Relaxed) == second {
            return;
        }
        self.second.store(second, Ordering::Relaxed);
        // If a scrape reads it now, this request is not missed.
        if let Ok(mut kept) = self.kept.try_lock() {
            *kept = Some(make());
        }
    }

    pub(crate) fn kept(&self) -> Option<Exemplar> {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_request_a_second_is_kept() {
        let slot = ExemplarSlot::default();
        for (second, id) in [(1, "a"), (1, "b"), (2, "c"), (2, "d")] {
            slot.offer(second, || Exemplar::new(id, 0.5, 2.0));
        }
        assert_eq!(slot.kept(), Some(Exemplar::new("c", 0.5, 2.0)));
    }

    #[test]
    fn a_trace_is_named_beside_the_request() {
        let exemplar = Exemplar::new("a-1", 0.25, 1.0).with_trace(Some("0af7".to_owned()));
        assert_eq!(
            exemplar.to_string(),
            " # {request_id=\"a-1\",trace_id=\"0af7\"} 0.25 1.000"
        );
    }
}
