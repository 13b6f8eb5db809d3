//! Points in time as people and Go's programs write them, in UTC.

use x509_parser::time::ASN1Time;

/// A time by RFC 3339: `2016-06-01T04:17:39Z`.
#[must_use]
pub fn rfc3339(unix_seconds: u64) -> String {
    written(unix_seconds, 'T', "Z")
}

/// As Go prints a time that it logs: `2016-06-01 04:17:39 +0000 UTC`.
pub(crate) fn go(unix_seconds: u64) -> String {
    written(unix_seconds, ' ', " +0000 UTC")
}

fn written(unix_seconds: u64, between: char, zone: &str) -> String {
    let time = i64::try_from(unix_seconds)
        .ok()
        .and_then(|seconds| ASN1Time::from_timestamp(seconds).ok());
    let Some(time) = time.map(|time| time.to_datetime()) else {
        return format!("{unix_seconds} seconds after 1970"); // Beyond the year 9999.
    };
    let (year, month, day) = (time.year(), u8::from(time.month()), time.day());
    let (hour, minute, second) = (time.hour(), time.minute(), time.second());
    format!("{year:04}-{month:02}-{day:02}{between}{hour:02}:{minute:02}:{second:02}{zone}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_dates() {
        assert_eq!(rfc3339(1_464_754_659), "2016-06-01T04:17:39Z");
        assert_eq!(go(0), "1970-01-01 00:00:00 +0000 UTC");
        assert_eq!(rfc3339(u64::MAX), "18446744073709551615 seconds after 1970");
    }
}
