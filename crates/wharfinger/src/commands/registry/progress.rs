//! How far a command is: a bar on a terminal, else a line every ten seconds.

use std::io::{self, IsTerminal};
use std::time::{Duration, SystemTime};

use common::{Clock, SystemClock};
use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

/// How often a line is written if standard error is not a terminal.
const PAUSE: Duration = Duration::from_secs(10);

/// Shows on standard error how far a command is.
pub(super) struct Progress {
    /// What the command does, such as `adopting`.
    what: &'static str,
    look: Look,
}

enum Look {
    Bar(ProgressBar),
    Lines { next: SystemTime },
}

impl Progress {
    pub(super) fn new(what: &'static str) -> Self {
        let look = if io::stderr().is_terminal() {
            let bar = ProgressBar::no_length().with_style(spinner());
            bar.enable_steady_tick(Duration::from_millis(100));
            bar.set_message(what);
            Look::Bar(bar)
        } else {
            Look::Lines {
                next: SystemClock.now() + PAUSE,
            }
        };
        Self { what, look }
    }

    /// `done` of `of` are done.
    pub(super) fn of(&mut self, done: u64, of: u64, noun: &str) {
        let what = self.what;
        match &mut self.look {
            Look::Bar(bar) => {
                if bar.length() != Some(of) {
                    bar.set_length(of);
                    bar.set_style(ranged());
                }
                bar.set_position(done);
            }
            Look::Lines { next } => line(next, || format!("{what}: {done} of {of} {noun}")),
        }
    }

    /// `told` says how much is done; the total is not known.
    pub(super) fn so_far(&mut self, told: impl FnOnce() -> String) {
        let what = self.what;
        match &mut self.look {
            Look::Bar(bar) => bar.set_message(format!("{what}: {}", told())),
            Look::Lines { next } => line(next, || format!("{what}: {}", told())),
        }
    }

    /// Writes something else, without the bar in its way.
    pub(super) fn aside(&self, write: impl FnOnce()) {
        match &self.look {
            Look::Bar(bar) => bar.suspend(write),
            Look::Lines { .. } => write(),
        }
    }
}

impl Drop for Progress {
    /// Leaves the terminal to the report.
    fn drop(&mut self) {
        if let Look::Bar(bar) = &self.look {
            bar.finish_and_clear();
        }
    }
}

fn line(next: &mut SystemTime, text: impl FnOnce() -> String) {
    let now = SystemClock.now();
    if now >= *next {
        *next = now + PAUSE;
        output::note(text());
    }
}

fn ranged() -> ProgressStyle {
    style("{msg} [{bar:40}] {pos}/{len}, {eta} left").progress_chars("=> ")
}

fn spinner() -> ProgressStyle {
    style("{spinner} {msg}")
}

/// A style with this template. If the template is wrong, indicatif's default is used.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_good() {
        for template in [
            "{msg} [{bar:40}] {pos}/{len}, {eta} left",
            "{spinner} {msg}",
        ] {
            assert!(ProgressStyle::with_template(template).is_ok());
        }
    }

    #[test]
    fn a_line_is_written_only_now_and_then() {
        let far = SystemClock.now() + Duration::from_secs(3600);
        let mut next = far;
        line(&mut next, || panic!("too early"));
        assert_eq!(next, far);
        next = SystemTime::UNIX_EPOCH;
        line(&mut next, || "checking: 3 of 4 blobs".to_owned());
        assert!(next > SystemTime::UNIX_EPOCH);
    }
}
