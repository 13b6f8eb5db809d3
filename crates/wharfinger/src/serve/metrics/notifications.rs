//! What was sent to the endpoints of notifications.

use metrics::Exposition;
use metrics::notifications::EndpointSample;
use notifications::{NotificationStatistics, status_label};

/// Writes what was counted of each endpoint.
pub(super) fn write(out: &mut Exposition, counted: NotificationStatistics) {
    let endpoints = counted.endpoints.into_iter();
    let samples: Vec<_> = endpoints
        .map(|endpoint| EndpointSample {
            name: endpoint.name,
            events: endpoint.events,
            successes: endpoint.successes,
            failures: endpoint.failures,
            errors: endpoint.errors,
            pending: endpoint.pending,
            dropped: endpoint.dropped,
            given_up: endpoint.given_up,
            statuses: endpoint
                .statuses
                .into_iter()
                .map(|(status, count)| (status_label(status), count))
                .collect(),
        })
        .collect();
    metrics::notifications::write(out, &samples);
}
