//! Clocks: registries tolerate a difference of one minute.

use std::time::{Duration, SystemTime};

use super::ProbeRun;
use crate::transport::ClientResponse;

/// How far apart clocks may be (`token::LEEWAY`), and the difference from which the probe warns.
const TOO_FAR: Duration = ::token::LEEWAY;
const FAR: Duration = Duration::from_secs(30);

impl ProbeRun<'_> {
    /// Remembers the time of a server.
    pub(super) fn dates(&mut self, whose: &'static str, response: &ClientResponse) {
        let date = response
            .header("date")
            .and_then(|date| httpdate::parse_http_date(date).ok());
        self.dates
            .extend(date.map(|date| (whose, date, response.received_at)));
    }

    /// `clocks`.
    pub(super) fn clocks(&mut self) {
        let skews: Vec<_> = self
            .dates
            .iter()
            .map(|&(whose, there, here)| (whose, skew(there, here)))
            .collect();
        if skews.is_empty() {
            return self.not_tested("clocks", "no server sent a Date header");
        }
        let skews_shown: Vec<_> = skews
            .iter()
            .map(|(whose, skew)| format!("{whose} {skew:+} s"))
            .collect();
        let evidence = format!(
            "compared with the clock of this machine: {}",
            skews_shown.join(", ")
        );
        let apart = |limit: Duration| i64::try_from(limit.as_secs()).unwrap_or(i64::MAX);
        let (least, most) = (
            skews.iter().map(|s| s.1).min().unwrap_or(0),
            skews.iter().map(|s| s.1).max().unwrap_or(0),
        );
        let remedy = "synchronise the clocks with NTP (`timedatectl set-ntp true`): the registry rejects \
                      tokens when its clock and the token server's are more than a minute apart";
        if most - least > apart(TOO_FAR) {
            self.fail("clocks", evidence, remedy);
        } else if most - least > apart(FAR) || least < -apart(TOO_FAR) || most > apart(TOO_FAR) {
            self.warn("clocks", evidence, remedy);
        } else {
            self.ok("clocks", evidence);
        }
    }
}

/// How far `there` is ahead, in seconds. `Date` counts whole seconds.
fn skew(there: SystemTime, here: SystemTime) -> i64 {
    let seconds = |time| i64::try_from(common::unix_seconds(time)).unwrap_or(i64::MAX);
    seconds(there) - seconds(here)
}
