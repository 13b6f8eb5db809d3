//! Dates, as RFC 3339 and as Go's logs write them.

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
    use super::*;

    #[test]
    fn writes_dates() {
        assert_eq!(rfc3339(1_464_754_659), "2016-06-01T04:17:39Z");
        assert_eq!(go_date(0), "1970-01-01 00:00:00 +0000 UTC");
        assert_eq!(rfc3339(253_402_300_799), "9999-12-31T23:59:59Z");
        assert_eq!(rfc3339(u64::MAX), "18446744073709551615 seconds after 1970");
    }
}
