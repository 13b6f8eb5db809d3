//! Metrics as Prometheus reads them.
//!
//! - [`Exposition`] writes families of samples, in both formats that Prometheus reads.
//! - [`HttpMetrics`] counts requests with the names that Distribution's registry has, and links slow
//!   ones to their lines in the log by exemplars.
//! - [`EventMetrics`] is an observer that counts events.
//! - [`process`] reads what the system knows of this process, and [`notifications`] has the names of
//!   Distribution's notifications.
//!
//! Everything on the path of a request is held by place: no label is looked up by its text, except the
//! name of a repository and the prefix of a quota ([`TopNames`]). What a client can choose never becomes a label without a
//! bound. Other crates do not depend on this one: they count in [`common::Counter`] and the like, and
//! the program hands the values to a scrape.
//!
//! ```
//! use metrics::{Exposition, TextFormat};
//!
//! let mut exposition = Exposition::new(TextFormat::Prometheus);
//! exposition
//!     .gauge("wharfinger_connections", "Open connections.")
//!     .sample(&[("listener", "main")], 3_i64);
//! let text = exposition.finish();
//! assert!(text.ends_with("wharfinger_connections{listener=\"main\"} 3\n"));
//! ```

mod escape;
mod events;
mod exemplar;
mod exposition;
mod format;
mod http_requests;
mod label_counters;
pub mod notifications;
pub mod process;
mod top_names;

pub use events::{EventMetrics, NameLimits};
pub use exemplar::Exemplar;
pub use exposition::{Exposition, MetricFamily, MetricUnit, SampleValue};
pub use format::TextFormat;
pub use http_requests::{HttpMetricNames, HttpMetrics, MeasuredRequest};
pub use label_counters::LabelCounters;
pub use top_names::TopNames;
