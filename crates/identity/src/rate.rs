//! How often something may happen.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A number of times in a period, written `20/min`, or no limit, written `off`.
///
/// ```
/// let rate: identity::Rate = "20/min".parse().unwrap();
/// assert_eq!(rate.to_string(), "20/min");
/// assert!("20/fortnight".parse::<identity::Rate>().is_err());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate(Option<Limit>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limit {
    count: u32,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
}

/// The highest number in a period.
const MOST: u32 = 1_000_000;

impl Rate {
    /// No limit.
    pub const OFF: Self = Self(None);

    /// So many times a minute: from once to a million times.
    #[must_use]
    pub const fn per_minute(count: u32) -> Self {
        let count = match count {
            0 => 1,
            MOST.. => MOST,
            count => count,
        };
        Self(Some(Limit {
            count,
            unit: Unit::Minute,
        }))
    }

    /// The period, and how much of it each time takes; `None` without a limit.
    pub(crate) fn period_and_interval(self) -> Option<(Duration, Duration)> {
        let Limit { count, unit } = self.0?;
        let period = unit.period();
        Some((period, period / count))
    }
}

impl Unit {
    fn period(self) -> Duration {
        Duration::from_secs(match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
        })
    }
}

impl FromStr for Rate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, RateError> {
        if text == "off" {
            return Ok(Self::OFF);
        }
        let (count, unit) = text.split_once('/').ok_or(RateError::Form)?;
        let unit = match unit.trim_start() {
            "s" | "sec" | "second" => Unit::Second,
            "m" | "min" | "minute" => Unit::Minute,
            "h" | "hour" => Unit::Hour,
            _ => return Err(RateError::Form),
        };
        match count.trim_end().parse() {
            Ok(count @ 1..=MOST) if !text.starts_with('+') => Ok(Self(Some(Limit { count, unit }))),
            Ok(_) => Err(RateError::Count),
            Err(_) => Err(RateError::Form),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Limit { count, unit }) = self.0 else {
            return f.write_str("off");
        };
        let unit = match unit {
            Unit::Second => "s",
            Unit::Minute => "min",
            Unit::Hour => "h",
        };
        write!(f, "{count}/{unit}")
    }
}

/// A rate that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// It does not have the form of a rate.
    #[error("a rate is 20/min (or /s, /h), or off")]
    Form,
    /// The number is zero or too high.
    #[error("the number in a rate is 1 to 1000000; off removes the limit")]
    Count,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        for (text, printed) in [
            ("20/min", "20/min"),
            ("1/s", "1/s"),
            ("5 / h", "5/h"),
            ("3/minute", "3/min"),
            ("7/m", "7/min"),
            ("off", "off"),
        ] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), printed);
        }
        assert_eq!("20/min".parse(), Ok(Rate::per_minute(20)));
        assert_eq!(
            Rate::per_minute(20).period_and_interval(),
            Some((Duration::from_secs(60), Duration::from_secs(3)))
        );
        assert_eq!(Rate::OFF.period_and_interval(), None);
    }

    #[test]
    fn refuses_the_rest() {
        for text in ["", "20", "/min", "x/min", "20/", "20/day", "-1/s", "1.5/s"] {
            assert_eq!(text.parse::<Rate>(), Err(RateError::Form), "{text}");
        }
        for text in ["0/min", "1000001/s", "+5/s"] {
            assert_eq!(text.parse::<Rate>(), Err(RateError::Count), "{text}");
        }
    }
}
