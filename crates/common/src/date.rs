//! Dates, as RFC 3339 and as Go's logs write them.

use std::time::SystemTime;

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// A time as RFC 3339 has it: `2016-06-01T04:17:39Z`.
#[must_use]
pub fn rfc3339(unix_seconds: u64) -> String {
    format(unix_seconds, "T", "Z")
}

/// A time as Go prints it in a log: `2016-06-01 04:17:39 +0000 UTC`.
#[must_use]
pub fn go_date(unix_seconds: u64) -> String {
    format(unix_seconds, " ", " +0000 UTC")
}

/// Reads `2026-01-31` (its first moment, in UTC) or `2026-01-31T12:00:00Z`, from 1970 to 9999.
///
/// # Errors
/// With what to write instead.
pub fn parse_date(text: &str) -> Result<SystemTime, String> {
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

fn format(unix_seconds: u64, separator: &str, zone: &str) -> String {
    let time = i64::try_from(unix_seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let Some(time) = time.map(|time| time.to_offset(UtcOffset::UTC)) else {
        return format!("{unix_seconds} seconds after 1970"); // Beyond the year 9999.
    };
    let year = time.year().unsigned_abs();
    let [century, year] = [year / 100, year % 100].map(|part| u8::try_from(part).unwrap_or(0));
    // Every token has a date, and the machinery of `format!` takes ten times as long.
    let mut text = String::with_capacity(32);
    for (before, part) in [
        ("", century),
        ("", year),
        ("-", u8::from(time.month())),
        ("-", time.day()),
        (separator, time.hour()),
        (":", time.minute()),
        (":", time.second()),
    ] {
        text.push_str(before);
        text.push(char::from(b'0' + part / 10));
        text.push(char::from(b'0' + part % 10));
    }
    text.push_str(zone);
    text
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

    #[test]
    fn writes_dates() {
        assert_eq!(rfc3339(1_464_754_659), "2016-06-01T04:17:39Z");
        assert_eq!(go_date(0), "1970-01-01 00:00:00 +0000 UTC");
        assert_eq!(rfc3339(253_402_300_799), "9999-12-31T23:59:59Z");
        assert_eq!(rfc3339(u64::MAX), "18446744073709551615 seconds after 1970");
    }
}
