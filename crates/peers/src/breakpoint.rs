//! A point at which a proxy holds a message until the test has done something.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long a test waits for a message that must come. This is long, because the machine may be busy.
const REACHED: Duration = Duration::from_secs(60);

/// A message that a proxy holds back when it comes. Clones are the same breakpoint.
#[derive(Clone, Debug, Default)]
pub struct Breakpoint(Arc<BreakpointState>);

#[derive(Debug, Default)]
struct BreakpointState {
    step: Mutex<BreakpointStep>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum BreakpointStep {
    /// The message has not come.
    #[default]
    Waiting,
    /// The proxy holds it.
    Reached,
    /// It goes on, or it does not.
    Released { forwards: bool },
}

impl Breakpoint {
    /// Waits until the proxy holds the message.
    ///
    /// # Panics
    /// If it does not come within a minute.
    pub fn wait_until_reached(&self) {
        assert!(
            self.is_reached_within(REACHED),
            "the breakpoint was not reached in {REACHED:?}"
        );
    }

    /// Whether the proxy holds the message before so much time has passed.
    #[must_use]
    pub fn is_reached_within(&self, limit: Duration) -> bool {
        let step = self.0.step.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = |step: &mut BreakpointStep| *step == BreakpointStep::Waiting;
        let waited = self.0.changed.wait_timeout_while(step, limit, waiting);
        *waited.unwrap_or_else(PoisonError::into_inner).0 != BreakpointStep::Waiting
    }

    /// Forwards the message, now or when it comes.
    pub fn resume(&self) {
        self.set(BreakpointStep::Released { forwards: true });
    }

    /// Closes the message's connection instead of forwarding it, now or when it comes.
    pub fn discard(&self) {
        self.set(BreakpointStep::Released { forwards: false });
    }

    /// For a proxy that has the message: waits for the test. Returns whether to forward it.
    pub(crate) fn hold(&self) -> bool {
        let mut step = self.0.step.lock().unwrap_or_else(PoisonError::into_inner);
        if *step == BreakpointStep::Waiting {
            *step = BreakpointStep::Reached;
            self.0.changed.notify_all();
        }
        loop {
            if let BreakpointStep::Released { forwards } = *step {
                return forwards;
            }
            let changed = self.0.changed.wait(step);
            step = changed.unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn set(&self, step: BreakpointStep) {
        *self.0.step.lock().unwrap_or_else(PoisonError::into_inner) = step;
        self.0.changed.notify_all();
    }
}

impl Drop for Breakpoint {
    /// A test that fails holds nothing back any more: what waits for the message ends, and so does the test.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.discard();
        }
    }
}

impl PartialEq for Breakpoint {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Breakpoint {}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_test_that_fails_holds_nothing_back() {
        let breakpoint = Breakpoint::default();
        let held = thread::spawn({
            let breakpoint = breakpoint.clone();
            move || breakpoint.hold()
        });
        let failing = thread::spawn(move || {
            breakpoint.wait_until_reached();
            panic!("as a test that fails");
        });
        assert!(failing.join().is_err());
        assert!(!held.join().unwrap(), "the message is not forwarded");
    }
}
