//! Points in time as RFC 3339 writes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Reads `2026-01-31` (its first moment, in UTC) or `2026-01-31T12:00:00Z`, from 1970 to 9999.
pub(crate) fn parse_date(text: &str) -> Result<SystemTime, String> {
    let seconds = match text.split_once(['T', 't', ' ']) {
        None => day(text).map(|day| day * 86_400),
        Some((date, time)) => day(date)
            .zip(seconds_of_day(time))
            .map(|(day, seconds)| day * 86_400 + seconds),
    };
    let time = seconds.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
    time.ok_or_else(|| format!("`{text}` is no date; write 2026-01-31 or 2026-01-31T12:00:00Z"))
}

/// The days from 1970 to a date.
fn day(text: &str) -> Option<u64> {
    let [year, month, day] = numbers::<3>(text, '-', [4, 2, 2])?;
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let february = if leap { 29 } else { 28 };
    let months = [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = months.get(..usize::try_from(month).ok()?.checked_sub(1)?)?;
    let length = *months.get(before.len())?;
    if year < 1970 || !(1..=length).contains(&day) {
        return None;
    }
    // Leap days up to the end of the year before (the Gregorian rule).
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let years = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    Some(years + before.iter().sum::<u64>() + day - 1)
}

/// The seconds from midnight to a time in UTC.
fn seconds_of_day(text: &str) -> Option<u64> {
    let time = text.strip_suffix(['Z', 'z'])?;
    let [hour, minute, second] = numbers::<3>(time, ':', [2, 2, 2])?;
    (hour < 24 && minute < 60 && second < 60).then_some(hour * 3600 + minute * 60 + second)
}

/// Numbers of these many digits, separated by `separator`.
fn numbers<const N: usize>(text: &str, separator: char, digits: [usize; N]) -> Option<[u64; N]> {
    let mut numbers = [0; N];
    let mut parts = text.split(separator);
    for (number, digits) in numbers.iter_mut().zip(digits) {
        let part = parts
            .next()
            .filter(|part| part.len() == digits && part.bytes().all(|b| b.is_ascii_digit()))?;
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
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
