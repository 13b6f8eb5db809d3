//! Clocks: a token is good for a minute more or less, and no more.

use std::time::{Duration, SystemTime};

use super::ProbeRun;
use crate::transport::HttpResponse;

/// How far apart clocks may be (`token::LEEWAY`), and when it is worth a word.
const TOO_FAR: Duration = ::token::LEEWAY;
const FAR: Duration = Duration::from_secs(30);

impl ProbeRun<'_> {
    /// Remembers what time it is at the other end.
    pub(super) fn dates(&mut self, whose: &'static str, answer: &HttpResponse) {
        let date = answer
            .header("date")
            .and_then(|date| httpdate::parse_http_date(date).ok());
        self.dates.extend(date.map(|date| (whose, date, answer.at)));
    }

    /// `clocks`.
    pub(super) fn clocks(&mut self) {
        let skews: Vec<_> = self
            .dates
            .iter()
            .map(|&(whose, there, here)| (whose, skew(there, here)))
            .collect();
        if skews.is_empty() {
            return self.not_tested("clocks", "nobody said what time it is (Date)");
        }
        let told: Vec<_> = skews
            .iter()
            .map(|(whose, skew)| format!("{whose} {skew:+} s"))
            .collect();
        let evidence = format!("against the clock of this machine: {}", told.join(", "));
        let apart = |limit: Duration| i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
        let (least, most) = (
            skews.iter().map(|s| s.1).min().unwrap_or(0),
            skews.iter().map(|s| s.1).max().unwrap_or(0),
        );
        let remedy = "set the clocks by NTP (timedatectl set-ntp true): a token is refused when registry and token server \
                      are more than a minute apart";
        if most - least > apart(TOO_FAR) {
            self.fail("clocks", evidence, remedy);
        } else if most - least > apart(FAR) || least < -apart(TOO_FAR) || most > apart(TOO_FAR) {
            self.warn("clocks", evidence, remedy);
        } else {
            self.ok("clocks", evidence);
        }
    }
}

/// How far ahead `there` is, in seconds. `Date` counts whole seconds.
fn skew(there: SystemTime, here: SystemTime) -> i64 {
    let seconds = |time| i64::try_from(common::unix_seconds(time)).unwrap_or(i64::MAX);
    seconds(there) - seconds(here)
}
