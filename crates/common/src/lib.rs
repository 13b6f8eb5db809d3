//! What every crate may use.
//!
//! It knows no other crate of this workspace and nothing of registries. Time and randomness are parameters ([`Clock`], [`Entropy`]), so that a test can fix both. A [`Secret`] is
//! never printed. Text from others is escaped before it is shown. Dates are written as RFC 3339 has
//! them, lengths of time as people write them, and IP networks are read as Go reads them.
//!
//! ```
//! use common::{Clock, IpNetwork, SystemClock, rfc3339, unix_seconds};
//!
//! assert!(unix_seconds(SystemClock.now()) > 1_700_000_000);
//! assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
//! let network: IpNetwork = "10.0.0.0/8".parse()?;
//! assert!(network.contains("10.1.2.3".parse()?));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod basic;
mod causes;
mod clock;
mod date;
mod display;
mod duration;
mod entropy;
mod future;
mod host;
mod ip;
mod nearest;
mod request;
mod secret;
mod statistics;

pub use basic::{BasicCredentials, BasicError};
pub use causes::with_causes;
pub use clock::{Clock, SystemClock, seconds_rounded_up, unix_seconds};
pub use date::{go_date, parse_date, rfc3339};
pub use display::{escape_json, escape_line, escape_lines};
pub use duration::{DurationError, parse_duration, print_duration};
pub use entropy::{Entropy, EntropyError, SystemEntropy};
pub use future::BoxFuture;
pub use host::is_same_or_subdomain;
pub use ip::{IpNetwork, IpNetworkError, client_network, parse_ip};
pub use nearest::nearest;
pub use request::{ClientAddress, ClientAddressError, Origin, RequestContext};
pub use secret::Secret;
pub use statistics::{
    Counter, DURATION_BOUNDS, FINE_DURATION_BOUNDS, Gauge, Histogram, HistogramSnapshot,
    SIZE_BOUNDS, SMALL_NUMBER_BOUNDS, Stopwatch,
};
