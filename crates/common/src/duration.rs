//! Lengths of time, as people write them: in the configuration, on the command line, in the API.
//!
//! A length is a number of seconds (`300`) or numbers with units (`5m`, `1h30m`, `1.5h`, `30d`).
//! Go's notation is a part of it, because `docker_auth`'s files have it; `d` (24 hours) and `w` (7
//! days) are ours.

use std::time::Duration;

/// Why a text is not a length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// There was nothing to read.
    #[error("a length of time is missing")]
    Empty,
    /// A unit was expected, and this was there. Lengths with several parts have a unit in each.
    #[error("unknown unit `{0}`: use s, m, h, d or w, as in 90s, 5m, 1h30m or 30d")]
    Unit(String),
    /// A number was expected.
    #[error("`{0}` is not a length of time: write seconds, or 90s, 5m, 1h30m or 30d")]
    Number(String),
    /// More than some 584 billion years.
    #[error("`{0}` is too long")]
    TooLong(String),
}

/// Units of time in nanoseconds, longer names before the names they begin with.
const TIME_UNITS: [(&str, u128); 9] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60 * 1_000_000_000),
    ("h", 3_600 * 1_000_000_000),
    ("d", 86_400 * 1_000_000_000),
    ("w", 604_800 * 1_000_000_000),
];

/// Reads a length of time: `300` and `300s`, `5m`, `1h30m`, `1.5h`, `30d`, `2w`; `0` is zero.
///
/// # Errors
/// When the text is not a length of time, or the time is too long.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    let too_long = || DurationError::TooLong(text.to_owned());
    let mut rest = text;
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let (number, after) = split_number(rest);
        let unit_end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let nanoseconds = match TIME_UNITS.iter().find(|(name, _)| *name == unit) {
            Some((_, nanoseconds)) => *nanoseconds,
            // A bare number counts seconds, but only alone: in `1h30` the reader may have meant
            // minutes.
            None if unit.is_empty() && number.len() == text.len() => 1_000_000_000,
            None if number.is_empty() => return Err(DurationError::Number(text.to_owned())),
            None => return Err(DurationError::Unit(unit.to_owned())),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() {
            return Err(DurationError::Number(text.to_owned()));
        }
        let worth = digits(whole).and_then(|n| n.checked_mul(nanoseconds));
        let worth = worth.and_then(|n| n.checked_add(part_of(fraction, nanoseconds)));
        total = worth
            .and_then(|n| total.checked_add(n))
            .ok_or_else(too_long)?;
        rest = after;
    }
    let seconds = u64::try_from(total / 1_000_000_000).map_err(|_| too_long())?;
    // The remainder of a division by a billion fits 32 bits.
    Ok(Duration::new(
        seconds,
        u32::try_from(total % 1_000_000_000).unwrap_or_default(),
    ))
}

/// `duration` as [`parse_duration`] reads it back: `1h30m`, `30d`, `0s`.
#[must_use]
pub fn print_duration(duration: Duration) -> String {
    let mut rest = duration.as_nanos();
    let mut text = String::new();
    // Weeks are left out: `30d` is easier to read than `4w2d`.
    for (name, nanoseconds) in TIME_UNITS
        .iter()
        .rev()
        .skip(1)
        .filter(|(name, _)| *name != "µs")
    {
        if rest >= *nanoseconds {
            text.push_str(&format!("{}{name}", rest / nanoseconds));
            rest %= nanoseconds;
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

/// Splits `text` behind its leading digits and at most one point.
fn split_number(text: &str) -> (&str, &str) {
    let mut point = false;
    let end = text
        .find(|c: char| !c.is_ascii_digit() && (c != '.' || std::mem::replace(&mut point, true)));
    text.split_at(end.unwrap_or(text.len()))
}

/// The number that `text`, all digits, writes; `None` if it is too large. Empty is zero, as in
/// `.5h`.
fn digits(text: &str) -> Option<u128> {
    if text.is_empty() {
        Some(0)
    } else {
        text.parse().ok()
    }
}

/// What the digits after the point are worth, down to the nanosecond.
fn part_of(fraction: &str, nanoseconds: u128) -> u128 {
    let mut worth = 0;
    let mut scale = 1;
    // Eighteen digits are finer than a nanosecond of a week.
    for digit in fraction.bytes().take(18) {
        scale *= 10;
        worth = worth * 10 + u128::from(digit - b'0');
    }
    worth * nanoseconds / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time() {
        let read = |text: &str| parse_duration(text).map(|d| d.as_nanos());
        let seconds = |n: u128| Ok(n * 1_000_000_000);
        for (text, expected) in [
            ("0", seconds(0)),
            ("300", seconds(300)),
            ("300s", seconds(300)),
            ("5m", seconds(300)),
            ("1h30m", seconds(5400)),
            ("1.5h", seconds(5400)),
            (".5m", seconds(30)),
            ("1.m", seconds(60)),
            ("30d", seconds(30 * 86_400)),
            ("2w", seconds(14 * 86_400)),
            ("250ms", Ok(250_000_000)),
            ("1µs2us3ns", Ok(3_003)),
            ("0.5", Ok(500_000_000)),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_length_of_time() {
        let unit = |unit: &str| Err(DurationError::Unit(unit.to_owned()));
        let number = |text: &str| Err(DurationError::Number(text.to_owned()));
        for (text, expected) in [
            ("", Err(DurationError::Empty)),
            ("5 m", unit(" m")),
            ("5minutes", unit("minutes")),
            ("1h30", unit("")),
            ("5M", unit("M")),
            ("-5m", number("-5m")),
            ("soon", number("soon")),
            (".h", number(".h")),
            ("1.2.3s", unit("")),
            (
                "99999999999999999999w",
                Err(DurationError::TooLong("99999999999999999999w".to_owned())),
            ),
        ] {
            assert_eq!(parse_duration(text), expected, "{text}");
        }
    }

    #[test]
    fn prints_what_it_reads() {
        for text in ["0s", "5m", "1h30m", "30d", "1d1s", "1s500ms", "2us3ns"] {
            assert_eq!(
                parse_duration(text).map(print_duration).as_deref(),
                Ok(text)
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn every_length_survives_print_and_parse(seconds: u64, nanoseconds in 0_u32..1_000_000_000) {
            let duration = Duration::new(seconds, nanoseconds);
            proptest::prop_assert_eq!(parse_duration(&print_duration(duration)), Ok(duration));
        }

        #[test]
        fn no_text_is_a_surprise(text in "[0-9.smhdwnuKMGTiB ]{0,30}|.{0,12}") {
            let _ = parse_duration(&text);
        }
    }
}
