//! Points in time on the command line, and lengths of time for people.

use std::time::{Duration, SystemTime};

use common::{parse_date, parse_duration, unix_seconds};

/// A point in time, as it is asked for: absolute, or counted from the present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeArgument {
    /// At this time.
    At(SystemTime),
    /// So long before now.
    Before(Duration),
    /// So long after now.
    After(Duration),
}

impl TimeArgument {
    /// Reads `now`, `now-10s`, `now+1h`, `2026-01-31` or `2026-01-31T12:00:00Z`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix("now") else {
            return parse_date(text)
                .map(Self::At)
                .map_err(|error| format!("{error}, or now-10s, or now+1h"));
        };
        let length = |text| parse_duration(text).map_err(|error| error.to_string());
        match (rest, rest.strip_prefix('-'), rest.strip_prefix('+')) {
            ("", ..) => Ok(Self::Before(Duration::ZERO)),
            (_, Some(before), _) => length(before).map(Self::Before),
            (_, _, Some(after)) => length(after).map(Self::After),
            _ => Err("write now, now-10s, now+1h or 2026-01-31T12:00:00Z".to_owned()),
        }
    }

    /// The time meant, when the present is `now`; `None` beyond what a computer counts.
    pub(crate) fn resolve(self, now: SystemTime) -> Option<SystemTime> {
        match self {
            Self::At(time) => Some(time),
            Self::Before(length) => now.checked_sub(length),
            Self::After(length) => now.checked_add(length),
        }
    }
}

/// How far `seconds` (since 1970) is from `now`: `in 4m 10s`, `9y 361d ago`, `now`.
pub(crate) fn relative(seconds: u64, now: u64) -> String {
    match seconds.cmp(&now) {
        std::cmp::Ordering::Greater => format!("in {}", roughly(seconds - now)),
        std::cmp::Ordering::Equal => "now".to_owned(),
        std::cmp::Ordering::Less => format!("{} ago", roughly(now - seconds)),
    }
}

/// How far a date (RFC 3339) is from `now`. A text that is not a date stays as it is.
pub(crate) fn relative_date(date: &str, now: SystemTime) -> String {
    match parse_date(date) {
        Ok(time) => relative(unix_seconds(time), unix_seconds(now)),
        Err(_) => date.to_owned(),
    }
}

/// A length in its two largest units; a year is 365 days.
fn roughly(mut seconds: u64) -> String {
    let units = [
        ("y", 365 * 86_400),
        ("d", 86_400),
        ("h", 3600),
        ("m", 60),
        ("s", 1),
    ];
    let first = units
        .iter()
        .position(|(_, length)| seconds >= *length)
        .unwrap_or(units.len() - 1);
    let mut parts = Vec::new();
    for (name, length) in units.iter().skip(first).take(2) {
        if seconds >= *length || parts.is_empty() {
            parts.push(format!("{}{name}", seconds / length));
        }
        seconds %= length;
    }
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn points_in_time() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000);
        let at = |text| {
            TimeArgument::parse(text).map(|when| {
                when.resolve(now)
                    .unwrap()
                    .duration_since(UNIX_EPOCH)
                    .unwrap()
                    .as_secs()
            })
        };
        assert_eq!(at("now"), Ok(1_000));
        assert_eq!(at("now-10s"), Ok(990));
        assert_eq!(at("now+1h"), Ok(4_600));
        assert_eq!(at("1970-01-02T00:00:01Z"), Ok(86_401));
        for text in ["", "10s", "now10s", "now-", "now+soon", "now×2", "tomorrow"] {
            assert!(at(text).is_err(), "{text}");
        }
    }

    #[test]
    fn distances() {
        assert_eq!(relative(300, 50), "in 4m 10s");
        assert_eq!(relative(50, 50), "now");
        assert_eq!(relative(0, 59), "59s ago");
        assert_eq!(relative(0, 3600), "1h ago");
        assert_eq!(relative(0, 86_400 * 366 + 3600), "1y 1d ago");
    }
}
