//! Notifications, with the names that Distribution's registry has (its `notifications/metrics.go`).

use crate::Exposition;

/// What was sent to one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointSample {
    /// The name of the endpoint in the configuration.
    pub name: String,
    /// How many events were for it.
    pub events: u64,
    /// How many were delivered.
    pub successes: u64,
    /// How many attempts it answered with a status that is no success.
    pub failures: u64,
    /// How many attempts got no response.
    pub errors: u64,
    /// How many events wait.
    pub pending: u64,
    /// How many pulls had no room to wait in memory.
    pub dropped: u64,
    /// How many were given up: the queue in the database was full, or their time was over.
    pub given_up: u64,
    /// How many responses had which status: `200 OK`.
    pub statuses: Vec<(String, u64)>,
}

/// Writes what was sent to each endpoint.
pub fn write(out: &mut Exposition, endpoints: &[EndpointSample]) {
    let mut family = out.counter(
        "registry_notifications_events",
        "The number of total events",
    );
    for endpoint in endpoints {
        for (kind, count) in [
            ("Events", endpoint.events),
            ("Successes", endpoint.successes),
            ("Failures", endpoint.failures),
            ("Errors", endpoint.errors),
        ] {
            family.sample(&[("endpoint", &endpoint.name), ("type", kind)], count);
        }
    }
    // A gauge whose name ends like a counter's, as Distribution has it.
    let mut family = out.gauge(
        "registry_notifications_pending_total",
        "The gauge of pending events in queue",
    );
    for endpoint in endpoints {
        family.sample(&[("endpoint", &endpoint.name)], endpoint.pending);
    }
    let mut family = out.counter(
        "wharfinger_notifications_lost",
        "Notifications that were not delivered: dropped for want of room, or given up after their time.",
    );
    for endpoint in endpoints {
        for (reason, count) in [
            ("dropped", endpoint.dropped),
            ("given_up", endpoint.given_up),
        ] {
            family.sample(&[("endpoint", &endpoint.name), ("reason", reason)], count);
        }
    }
    let mut family = out.counter("registry_notifications_status", "The number of status code");
    for endpoint in endpoints {
        for (code, count) in &endpoint.statuses {
            family.sample(&[("code", code), ("endpoint", &endpoint.name)], *count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TextFormat;

    #[test]
    fn the_names_are_those_of_distribution() {
        let endpoint = EndpointSample {
            name: "ci".to_owned(),
            events: 3,
            successes: 2,
            pending: 1,
            statuses: vec![("200 OK".to_owned(), 2)],
            ..EndpointSample::default()
        };
        let mut exposition = Exposition::new(TextFormat::Prometheus);
        write(&mut exposition, &[endpoint]);
        let text = exposition.finish();
        for line in [
            "registry_notifications_events_total{endpoint=\"ci\",type=\"Successes\"} 2\n",
            "registry_notifications_pending_total{endpoint=\"ci\"} 1\n",
            "registry_notifications_status_total{code=\"200 OK\",endpoint=\"ci\"} 2\n",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
