//! Writes metrics in the text formats that Prometheus reads.
//!
//! (Not the crate `prometheus-client`: it writes OpenMetrics only, which `promtool check metrics` and
//! older tools do not read, and its histograms take a lock for each value.)

use std::fmt::{Display, Write};

use common::HistogramSnapshot;

use crate::escape::put_escaped;
use crate::{Exemplar, TextFormat};

/// A scrape that is being written: families, one after the other, each with its samples.
#[derive(Debug)]
pub struct Exposition {
    format: TextFormat,
    text: String,
}

/// What a metric counts, which decides the words in front of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MetricKind {
    Counter,
    Gauge,
    Histogram,
}

/// The unit of a histogram's values as they are counted, and so what they are divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricUnit {
    /// Numbers and bytes stay what they are.
    Number,
    /// Nanoseconds, which are written as seconds.
    Nanoseconds,
}

/// A value of a sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum SampleValue {
    /// A whole number that is not negative.
    Whole(u64),
    /// A whole number.
    Signed(i64),
    /// Any number.
    Real(f64),
}

/// A metric to which samples are added. Its head is written with the first of them.
#[derive(Debug)]
pub struct MetricFamily<'e> {
    exposition: &'e mut Exposition,
    name: &'static str,
    help: &'static str,
    kind: MetricKind,
    has_head: bool,
}

/// Labels of a sample: names, which this program chooses, and values.
type Labels<'l> = [(&'l str, &'l str)];

impl Exposition {
    /// An empty one.
    #[must_use]
    pub fn new(format: TextFormat) -> Self {
        Self {
            format,
            text: String::with_capacity(64 << 10),
        }
    }

    /// A metric that only grows. `name` is without `_total`, which its samples have at their end.
    pub fn counter(&mut self, name: &'static str, help: &'static str) -> MetricFamily<'_> {
        self.family(name, help, MetricKind::Counter)
    }

    /// A metric that grows and shrinks.
    pub fn gauge(&mut self, name: &'static str, help: &'static str) -> MetricFamily<'_> {
        self.family(name, help, MetricKind::Gauge)
    }

    /// A metric that counts values by ranges.
    pub fn histogram(&mut self, name: &'static str, help: &'static str) -> MetricFamily<'_> {
        self.family(name, help, MetricKind::Histogram)
    }

    /// The text.
    #[must_use]
    pub fn finish(mut self) -> String {
        if self.format == TextFormat::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn family(
        &mut self,
        name: &'static str,
        help: &'static str,
        kind: MetricKind,
    ) -> MetricFamily<'_> {
        MetricFamily {
            exposition: self,
            name,
            help,
            kind,
            has_head: false,
        }
    }

    fn put(&mut self, text: impl Display) {
        // A text has room for everything.
        let _ = write!(self.text, "{text}");
    }

    fn put_labels(&mut self, labels: &Labels<'_>, bound: Option<&str>) {
        let bound = bound.map(|bound| ("le", bound));
        let mut separator = '{';
        for (name, value) in labels.iter().copied().chain(bound) {
            self.text.push(separator);
            separator = ',';
            self.text.push_str(name);
            self.text.push_str("=\"");
            put_escaped(&mut self.text, value);
            self.text.push('"');
        }
        if separator == ',' {
            self.text.push('}');
        }
    }
}

impl MetricFamily<'_> {
    /// Adds a sample of a counter or a gauge.
    pub fn sample(&mut self, labels: &Labels<'_>, value: impl Into<SampleValue>) -> &mut Self {
        self.put_head();
        let suffix = match self.kind {
            MetricKind::Counter => "_total",
            MetricKind::Gauge | MetricKind::Histogram => "",
        };
        self.put_sample(suffix, labels, None, value.into());
        self.end_line();
        self
    }

    /// Adds the samples of a histogram. Each range may have an exemplar, which only OpenMetrics shows.
    pub fn distribution(
        &mut self,
        labels: &Labels<'_>,
        values: &HistogramSnapshot,
        unit: MetricUnit,
        exemplars: &[Option<Exemplar>],
    ) -> &mut Self {
        self.put_head();
        let is_open_metrics = self.exposition.format == TextFormat::OpenMetrics;
        let mut below = 0;
        for (place, count) in values.counts.iter().enumerate() {
            below += count;
            let bound = match values.bounds.get(place) {
                Some(bound) => unit.bound(*bound, is_open_metrics),
                None => "+Inf".to_owned(),
            };
            self.put_sample("_bucket", labels, Some(&bound), below.into());
            if let Some(Some(exemplar)) = exemplars.get(place)
                && is_open_metrics
            {
                self.exposition.put(exemplar);
            }
            self.end_line();
        }
        self.put_sample("_sum", labels, None, unit.value(values.sum));
        self.end_line();
        self.put_sample("_count", labels, None, below.into());
        self.end_line();
        self
    }

    fn put_head(&mut self) {
        if self.has_head {
            return;
        }
        self.has_head = true;
        let (suffix, kind) = match (self.kind, self.exposition.format) {
            // OpenMetrics names the metric, the older format the sample.
            (MetricKind::Counter, TextFormat::Prometheus) => ("_total", "counter"),
            (MetricKind::Counter, TextFormat::OpenMetrics) => ("", "counter"),
            (MetricKind::Gauge, _) => ("", "gauge"),
            (MetricKind::Histogram, _) => ("", "histogram"),
        };
        let Self { name, help, .. } = *self;
        let head = format_args!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n");
        self.exposition.put(head);
    }

    fn put_sample(
        &mut self,
        suffix: &str,
        labels: &Labels<'_>,
        bound: Option<&str>,
        value: SampleValue,
    ) {
        self.exposition.text.push_str(self.name);
        self.exposition.text.push_str(suffix);
        self.exposition.put_labels(labels, bound);
        self.exposition.text.push(' ');
        self.exposition.put(value);
    }

    fn end_line(&mut self) {
        self.exposition.text.push('\n');
    }
}

impl MetricUnit {
    fn value(self, value: u64) -> SampleValue {
        match self {
            Self::Number => SampleValue::Whole(value),
            Self::Nanoseconds => SampleValue::Real(value as f64 / 1e9),
        }
    }

    /// A bound. OpenMetrics requires a point in it ("Histogram", canonical numbers).
    fn bound(self, value: u64, is_open_metrics: bool) -> String {
        let text = self.value(value).to_string();
        match is_open_metrics && !text.contains('.') {
            true => text + ".0",
            false => text,
        }
    }
}

impl From<u64> for SampleValue {
    fn from(value: u64) -> Self {
        Self::Whole(value)
    }
}

impl From<usize> for SampleValue {
    fn from(value: usize) -> Self {
        Self::Whole(value as u64)
    }
}

impl From<i64> for SampleValue {
    fn from(value: i64) -> Self {
        Self::Signed(value)
    }
}

impl From<f64> for SampleValue {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl Display for SampleValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Whole(value) => value.fmt(f),
            Self::Signed(value) => value.fmt(f),
            Self::Real(value) => value.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use common::Histogram;

    use super::*;

    fn written(format: TextFormat) -> String {
        let mut exposition = Exposition::new(format);
        exposition
            .counter("requests", "Requests.")
            .sample(&[("name", "a\"b\\c\nd")], 7_u64)
            .sample(&[], 1_u64);
        exposition.gauge("unused", "No sample.");
        let histogram = Histogram::new(&[5_000_000, 1_000_000_000]);
        histogram.observe(5_000_000);
        histogram.observe(2_000_000_000);
        let exemplar = Exemplar::new("id-1", 2.0, 1_800_000_000.5);
        exposition.histogram("time_seconds", "Time.").distribution(
            &[("method", "get")],
            &histogram.snapshot(),
            MetricUnit::Nanoseconds,
            &[None, None, Some(exemplar)],
        );
        exposition.finish()
    }

    #[test]
    fn prometheus_format() {
        assert_eq!(
            written(TextFormat::Prometheus),
            "# HELP requests_total Requests.\n\
             # TYPE requests_total counter\n\
             requests_total{name=\"a\\\"b\\\\c\\nd\"} 7\n\
             requests_total 1\n\
             # HELP time_seconds Time.\n\
             # TYPE time_seconds histogram\n\
             time_seconds_bucket{method=\"get\",le=\"0.005\"} 1\n\
             time_seconds_bucket{method=\"get\",le=\"1\"} 1\n\
             time_seconds_bucket{method=\"get\",le=\"+Inf\"} 2\n\
             time_seconds_sum{method=\"get\"} 2.005\n\
             time_seconds_count{method=\"get\"} 2\n"
        );
    }

    #[test]
    fn open_metrics_format() {
        let text = written(TextFormat::OpenMetrics);
        assert!(text.starts_with("# HELP requests Requests.\n# TYPE requests counter\n"));
        assert!(text.contains("time_seconds_bucket{method=\"get\",le=\"1.0\"} 1\n"));
        assert!(
            text.contains("le=\"+Inf\"} 2 # {request_id=\"id-1\"} 2 1800000000.500\n"),
            "{text}"
        );
        assert!(text.ends_with("\n# EOF\n"));
    }
}
