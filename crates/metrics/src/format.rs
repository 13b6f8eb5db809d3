//! Which format a client reads.

/// A format of the exposition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextFormat {
    /// Prometheus's own format, version 0.0.4. Every tool reads it. It has no exemplars.
    Prometheus,
    /// OpenMetrics 1.0, which has exemplars. Prometheus asks for it if it is told to store them.
    OpenMetrics,
}

impl TextFormat {
    /// The format that a request with this `Accept` gets (RFC 9110 §12.5.1). Prometheus's own, unless
    /// the client prefers OpenMetrics or takes nothing else.
    #[must_use]
    pub fn of_accept(accept: Option<&str>) -> Self {
        let quality = |name: &str| {
            let ranges = accept.unwrap_or_default().split(',');
            ranges
                .filter_map(|range| quality_of(range, name))
                .fold(0.0_f32, f32::max)
        };
        let open_metrics = quality("application/openmetrics-text");
        if open_metrics > 0.0 && open_metrics >= quality("text/plain") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// The media type of a response in this format.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The quality that a media range gives to the media type `name`; `None` if it is about another one.
fn quality_of(range: &str, name: &str) -> Option<f32> {
    let mut parts = range.split(';').map(str::trim);
    if !parts.next()?.eq_ignore_ascii_case(name) {
        return None;
    }
    let mut quality = 1.0;
    for parameter in parts {
        let (name, value) = parameter.split_once('=')?;
        match name.trim() {
            "q" => quality = value.trim().parse().ok()?,
            // Another version has another form.
            "version" if !["0.0.4", "1.0.0"].contains(&value.trim()) => return None,
            _ => {}
        }
    }
    Some(quality)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_goes_only_to_clients_that_prefer_it() {
        for (accept, expected) in [
            (None, TextFormat::Prometheus),
            (Some("*/*"), TextFormat::Prometheus),
            (
                Some("text/html,application/xhtml+xml"),
                TextFormat::Prometheus,
            ),
            (
                // Prometheus 3 with exemplar storage.
                Some(
                    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                     application/openmetrics-text;version=0.0.1;q=0.5,\
                     text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                     text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                ),
                TextFormat::OpenMetrics,
            ),
            (
                Some("text/plain;version=0.0.4;q=1,application/openmetrics-text;q=0.2"),
                TextFormat::Prometheus,
            ),
            (
                Some("application/openmetrics-text; version=2.0.0"),
                TextFormat::Prometheus,
            ),
            (
                Some("application/openmetrics-text; q=0, text/plain; q=0"),
                TextFormat::Prometheus,
            ),
        ] {
            assert_eq!(TextFormat::of_accept(accept), expected, "{accept:?}");
        }
    }
}
