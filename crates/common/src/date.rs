//! Dates, as RFC 3339 and as Go's logs write them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

/// A text that is not a date.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a date: write 2026-01-31 or 2026-01-31T12:00:00Z")]
pub struct DateError(String);

/// Reads a time as RFC 3339 has it, or a date, which is its first second in UTC. From 1970 on.
///
/// # Errors
/// When it is neither.
pub fn parse_date(text: &str) -> Result<SystemTime, DateError> {
    let wrong = || DateError(text.to_owned());
    let midnight = format!("{text}T00:00:00Z");
    let whole = match text.as_bytes().get(10) {
        None => midnight.as_str(),
        Some(b'T' | b't' | b' ') => text,
        Some(_) => return Err(wrong()),
    };
    let time = OffsetDateTime::parse(whole, &Rfc3339).map_err(|_| wrong())?;
    let seconds = u64::try_from(time.unix_timestamp()).map_err(|_| wrong())?;
    Ok(UNIX_EPOCH + Duration::new(seconds, time.nanosecond()))
}

/// A time as RFC 3339 has it: `2016-06-01T04:17:39Z`.
#[must_use]
pub fn rfc3339(unix_seconds: u64) -> String {
    format(unix_seconds, 'T', "Z")
}

/// A time as Go prints it in a log: `2016-06-01 04:17:39 +0000 UTC`.
#[must_use]
pub fn go_date(unix_seconds: u64) -> String {
    format(unix_seconds, ' ', " +0000 UTC")
}

fn format(unix_seconds: u64, separator: char, zone: &str) -> String {
    let time = i64::try_from(unix_seconds)
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    let Some(time) = time.map(|time| time.to_offset(UtcOffset::UTC)) else {
        return format!("{unix_seconds} seconds after 1970"); // Beyond the year 9999.
    };
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    format!("{year:04}-{month:02}-{day:02}{separator}{hour:02}:{minute:02}:{second:02}{zone}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<u64> {
        parse_date(text)
            .ok()
            .map(|time| time.duration_since(UNIX_EPOCH).unwrap().as_secs())
    }

    #[test]
    fn reads_dates() {
        for (text, expected) in [
            ("1970-01-01", 0),
            ("1970-01-01T00:00:01Z", 1),
            ("2000-02-29", 951_782_400),
            ("2016-06-01T04:17:39Z", 1_464_754_659),
            ("2016-06-01T06:17:39.5+02:00", 1_464_754_659),
            ("2024-12-31t23:59:59z", 1_735_689_599),
            ("9999-12-31 23:59:59Z", 253_402_300_799),
        ] {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_date() {
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
            "2024-01-01_00:00:00Z",
            "2024-01-01T00:00:00Z ",
            "+024-01-01",
        ] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn writes_dates() {
        assert_eq!(rfc3339(1_464_754_659), "2016-06-01T04:17:39Z");
        assert_eq!(go_date(0), "1970-01-01 00:00:00 +0000 UTC");
        assert_eq!(rfc3339(u64::MAX), "18446744073709551615 seconds after 1970");
    }
}
