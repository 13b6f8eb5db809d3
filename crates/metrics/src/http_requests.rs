//! Requests, counted with the names and labels that Distribution's registry has.
//!
//! (docker/go-metrics, `NewDefaultHttpMetrics`; Prometheus's `promhttp`.)

use std::sync::Arc;

use common::{Clock, Counter, DURATION_BOUNDS, Gauge, Histogram, SIZE_BOUNDS, Stopwatch};
use http::{HeaderValue, Method, StatusCode};

use crate::exemplar::{Exemplar, ExemplarSlot};
use crate::{Exposition, MetricUnit};

/// The values of the label `method`. Clients can write any method, so all others are `unknown`, as in
/// Distribution.
const METHODS: [&str; 9] = [
    "get", "head", "put", "post", "patch", "delete", "options", "connect", "unknown",
];

/// The statuses that are counted each by itself. All others are counted together.
const CODES: [u16; 34] = [
    101, 200, 201, 202, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 405, 406, 408,
    409, 411, 412, 413, 414, 415, 416, 422, 429, 431, 500, 501, 502, 503, 504,
];

/// The names of the metrics of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpMetricNames {
    requests: &'static str,
    duration: &'static str,
    in_flight: &'static str,
    request_size: &'static str,
    response_size: &'static str,
}

impl HttpMetricNames {
    /// Those of Distribution, for the registry.
    pub const REGISTRY: Self = Self {
        requests: "registry_http_requests",
        duration: "registry_http_request_duration_seconds",
        in_flight: "registry_http_in_flight_requests",
        request_size: "registry_http_request_size_bytes",
        response_size: "registry_http_response_size_bytes",
    };

    /// For everything else, which would change the sums of dashboards for Distribution.
    pub const OTHER: Self = Self {
        requests: "wharfinger_http_requests",
        duration: "wharfinger_http_request_duration_seconds",
        in_flight: "wharfinger_http_in_flight_requests",
        request_size: "wharfinger_http_request_size_bytes",
        response_size: "wharfinger_http_response_size_bytes",
    };
}

/// What is counted of the requests to a list of handlers.
pub struct HttpMetrics {
    names: HttpMetricNames,
    handlers: Vec<HandlerMetrics>,
    clock: Arc<dyn Clock>,
}

struct HandlerMetrics {
    name: &'static str,
    in_flight: Gauge,
    methods: Vec<MethodMetrics>,
    request_size: Histogram,
    response_size: Histogram,
}

struct MethodMetrics {
    /// One for each of [`CODES`], and one for all others.
    codes: Vec<Counter>,
    duration: Histogram,
    /// One for each range of `duration`.
    exemplars: Vec<ExemplarSlot>,
}

/// A request that is being handled. It is counted when this is dropped, which is when its response was
/// sent or broken off.
pub struct MeasuredRequest {
    metrics: Arc<HttpMetrics>,
    handler: usize,
    method: usize,
    watch: Stopwatch,
    status: StatusCode,
    sent: u64,
    request_id: Option<HeaderValue>,
    trace_id: Option<String>,
}

impl HttpMetrics {
    /// Nothing counted yet. The clock gives the times of exemplars.
    #[must_use]
    pub fn new(names: HttpMetricNames, handlers: &[&'static str], clock: Arc<dyn Clock>) -> Self {
        Self {
            names,
            handlers: handlers
                .iter()
                .map(|name| HandlerMetrics::new(name))
                .collect(),
            clock,
        }
    }

    /// Notes that a request to the handler at the place `handler` of the list has begun. `size` is
    /// about how many bytes the request has.
    #[must_use]
    pub fn begin(
        self: &Arc<Self>,
        handler: usize,
        method: &Method,
        size: u64,
    ) -> Option<MeasuredRequest> {
        let metrics = self.handlers.get(handler)?;
        metrics.in_flight.add(1);
        metrics.request_size.observe(size);
        Some(MeasuredRequest {
            metrics: Arc::clone(self),
            handler,
            method: place_of(method),
            watch: Stopwatch::start(),
            status: StatusCode::OK,
            sent: 0,
            request_id: None,
            trace_id: None,
        })
    }

    /// Writes what was counted, as Distribution names it.
    pub fn write(&self, out: &mut Exposition) {
        let mut family = out.counter(self.names.requests, "Total number of HTTP requests made.");
        for handler in &self.handlers {
            for (method, counted) in handler.used_methods() {
                for (place, counter) in counted.codes.iter().enumerate() {
                    if counter.value() > 0 {
                        let code = CODES.get(place).map(u16::to_string);
                        let code = code.as_deref().unwrap_or("other");
                        let labels = [
                            ("code", code),
                            ("handler", handler.name),
                            ("method", method),
                        ];
                        family.sample(&labels, counter.value());
                    }
                }
            }
        }
        let mut family = out.histogram(
            self.names.duration,
            "The HTTP request latencies in seconds.",
        );
        for handler in &self.handlers {
            for (method, counted) in handler.used_methods() {
                let exemplars: Vec<_> = counted.exemplars.iter().map(ExemplarSlot::kept).collect();
                family.distribution(
                    &[("handler", handler.name), ("method", method)],
                    &counted.duration.snapshot(),
                    MetricUnit::Nanoseconds,
                    &exemplars,
                );
            }
        }
        let mut family = out.gauge(self.names.in_flight, "The in-flight HTTP requests");
        for handler in &self.handlers {
            family.sample(&[("handler", handler.name)], handler.in_flight.value());
        }
        let mut family = out.histogram(self.names.request_size, "The HTTP request sizes in bytes.");
        for handler in &self.handlers {
            let (labels, sizes) = ([("handler", handler.name)], handler.request_size.snapshot());
            family.distribution(&labels, &sizes, MetricUnit::Number, &[]);
        }
        let mut family = out.histogram(
            self.names.response_size,
            "The HTTP response sizes in bytes.",
        );
        for handler in &self.handlers {
            let sizes = handler.response_size.snapshot();
            family.distribution(
                &[("handler", handler.name)],
                &sizes,
                MetricUnit::Number,
                &[],
            );
        }
    }
}

impl HandlerMetrics {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            in_flight: Gauge::default(),
            methods: METHODS.iter().map(|_| MethodMetrics::new()).collect(),
            request_size: Histogram::new(SIZE_BOUNDS),
            response_size: Histogram::new(SIZE_BOUNDS),
        }
    }

    /// The methods with which there was a request.
    fn used_methods(&self) -> impl Iterator<Item = (&'static str, &MethodMetrics)> {
        let methods = METHODS.into_iter().zip(&self.methods);
        methods.filter(|(_, counted)| counted.codes.iter().any(|counter| counter.value() > 0))
    }
}

impl MethodMetrics {
    fn new() -> Self {
        Self {
            codes: (0..=CODES.len()).map(|_| Counter::default()).collect(),
            duration: Histogram::new(DURATION_BOUNDS),
            exemplars: (0..=DURATION_BOUNDS.len())
                .map(|_| ExemplarSlot::default())
                .collect(),
        }
    }
}

impl MeasuredRequest {
    /// Notes what the response begins with, and the ids that an exemplar has.
    pub fn responds(
        &mut self,
        status: StatusCode,
        request_id: Option<HeaderValue>,
        trace_id: Option<String>,
    ) {
        self.status = status;
        self.request_id = request_id;
        self.trace_id = trace_id;
    }

    /// Counts bytes of the body that were given out.
    pub fn add(&mut self, bytes: usize) {
        self.sent += bytes as u64;
    }
}

impl Drop for MeasuredRequest {
    fn drop(&mut self) {
        let Some(handler) = self.metrics.handlers.get(self.handler) else {
            return;
        };
        handler.in_flight.add(-1);
        handler.response_size.observe(self.sent);
        let Some(method) = handler.methods.get(self.method) else {
            return;
        };
        let code = CODES.binary_search(&self.status.as_u16());
        if let Some(counter) = method.codes.get(code.unwrap_or(CODES.len())) {
            counter.increment();
        }
        let elapsed = self.watch.elapsed();
        let place = method.duration.observe_duration(elapsed);
        let id = self.request_id.take();
        let id = id.as_ref().and_then(|id| id.to_str().ok());
        if let (Some(slot), Some(id)) = (method.exemplars.get(place), id) {
            let now = self.metrics.clock.now();
            let now = now
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap_or_default();
            slot.offer(now.as_secs(), || {
                Exemplar::new(id, elapsed.as_secs_f64(), now.as_secs_f64())
                    .with_trace(self.trace_id.take())
            });
        }
    }
}

fn place_of(method: &Method) -> usize {
    match *method {
        Method::GET => 0,
        Method::HEAD => 1,
        Method::PUT => 2,
        Method::POST => 3,
        Method::PATCH => 4,
        Method::DELETE => 5,
        Method::OPTIONS => 6,
        Method::CONNECT => 7,
        _ => METHODS.len() - 1,
    }
}

#[cfg(test)]
mod tests {
    use common::SystemClock;

    use super::*;
    use crate::TextFormat;

    fn metrics() -> Arc<HttpMetrics> {
        Arc::new(HttpMetrics::new(
            HttpMetricNames::REGISTRY,
            &["base", "blob"],
            Arc::new(SystemClock),
        ))
    }

    fn request(metrics: &Arc<HttpMetrics>, method: &Method, status: u16, id: &'static str) {
        let mut request = metrics.begin(1, method, 300).unwrap();
        let id = Some(HeaderValue::from_static(id));
        request.responds(StatusCode::from_u16(status).unwrap(), id, None);
        request.add(2000);
    }

    fn scrape(metrics: &HttpMetrics, format: TextFormat) -> String {
        let mut exposition = Exposition::new(format);
        metrics.write(&mut exposition);
        exposition.finish()
    }

    #[test]
    fn the_statuses_are_in_order_for_the_search() {
        assert!(CODES.is_sorted());
    }

    #[test]
    fn a_request_is_counted_when_its_response_ends() {
        let metrics = metrics();
        let open = metrics.begin(1, &Method::GET, 10);
        let text = scrape(&metrics, TextFormat::Prometheus);
        assert!(text.contains("registry_http_in_flight_requests{handler=\"blob\"} 1\n"));
        assert!(!text.contains("registry_http_requests_total"));
        drop(open);
        request(&metrics, &Method::GET, 206, "a-1");
        request(
            &metrics,
            &Method::from_bytes(b"STRANGE").unwrap(),
            777,
            "a-2",
        );
        let text = scrape(&metrics, TextFormat::Prometheus);
        for line in [
            "registry_http_requests_total{code=\"200\",handler=\"blob\",method=\"get\"} 1\n",
            "registry_http_requests_total{code=\"206\",handler=\"blob\",method=\"get\"} 1\n",
            "registry_http_requests_total{code=\"other\",handler=\"blob\",method=\"unknown\"} 1\n",
            "registry_http_in_flight_requests{handler=\"blob\"} 0\n",
            "registry_http_request_duration_seconds_bucket{handler=\"blob\",method=\"get\",le=\"60\"} 2\n",
            "registry_http_request_size_bytes_sum{handler=\"blob\"} 610\n",
            "registry_http_response_size_bytes_bucket{handler=\"blob\",le=\"2048\"} 3\n",
            "registry_http_response_size_bytes_bucket{handler=\"blob\",le=\"2147483648\"} 3\n",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn open_metrics_names_a_request_of_each_range() {
        let metrics = metrics();
        request(&metrics, &Method::PUT, 201, "0123456789ab-7");
        let text = scrape(&metrics, TextFormat::OpenMetrics);
        let with_exemplar: Vec<_> = text.lines().filter(|line| line.contains(" # {")).collect();
        assert_eq!(with_exemplar.len(), 1, "{text}");
        assert!(with_exemplar[0].contains("request_id=\"0123456789ab-7\""));
        assert!(!scrape(&metrics, TextFormat::Prometheus).contains(" # {"));
    }
}
