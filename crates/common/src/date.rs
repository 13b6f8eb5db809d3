//! Dates, as RFC 3339 and as Go's logs write them.

use time::{OffsetDateTime, UtcOffset};

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

    #[test]
    fn writes_dates() {
        assert_eq!(rfc3339(1_464_754_659), "2016-06-01T04:17:39Z");
        assert_eq!(go_date(0), "1970-01-01 00:00:00 +0000 UTC");
        assert_eq!(rfc3339(u64::MAX), "18446744073709551615 seconds after 1970");
    }
}
