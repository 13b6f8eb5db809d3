//! Points in time, as RFC 3339 writes them.

use std::time::SystemTime;

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// Reads `2026-01-31` (its first moment, in UTC) or `2026-01-31T12:00:00Z`, from 1970 to 9999.
pub(crate) fn parse_date(text: &str) -> Result<SystemTime, String> {
    // RFC 3339 §5.6 allows small letters, and a space between date and time.
    let upper = text.to_ascii_uppercase().replacen(' ', "T", 1);
    let whole = if upper.contains('T') {
        upper
    } else {
        format!("{upper}T00:00:00Z")
    };
    let time = OffsetDateTime::parse(&whole, &Rfc3339).ok();
    time.filter(|time| time.offset() == UtcOffset::UTC && time.year() >= 1970)
        .filter(|_| whole.ends_with('Z'))
        .map(SystemTime::from)
        .ok_or_else(|| format!("`{text}` is not a date; write 2026-01-31 or 2026-01-31T12:00:00Z"))
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn seconds(text: &str) -> Option<u64> {
        parse_date(text)
            .ok()
            .map(|time| time.duration_since(UNIX_EPOCH).unwrap().as_secs())
    }

    #[test]
    fn dates() {
        for (text, expected) in [
            ("1970-01-01", 0),
            ("1970-01-01T00:00:01Z", 1),
            ("2000-02-29", 951_782_400),
            ("2016-06-01T04:17:39Z", 1_464_754_659),
            ("2024-12-31t23:59:59z", 1_735_689_599),
            ("9999-12-31 23:59:59Z", 253_402_300_799),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_date() {
        for text in [
            "",
            "soon",
            "2024",
            "2024-1-1",
            "2023-02-29",
            "1900-02-29",
            "2024-13-01",
            "2024-00-01",
            "2024-01-32",
            "1969-12-31",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00+01:00",
            "+024-01-01",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
