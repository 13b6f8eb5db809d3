//! Stops asking a server or a program that keeps failing.
//!
//! While it is down, every request would wait for the time limit and hold a place in the queue. So
//! after some failures in a row the circuit is *open*: requests fail at once. After a pause one
//! request tries again, and its success closes the circuit.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::Clock;

/// How many failures in a row open the circuit, unless another number is set.
const FAILURES: u32 = 5;

/// How long an open circuit stays open at first. Each trial that fails doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Counts failures of one server or program.
pub struct CircuitBreaker {
    /// The section of the configuration, for the log.
    section: &'static str,
    clock: Arc<dyn Clock>,
    /// How many failures in a row open the circuit.
    failures: u32,
    circuit: Mutex<Circuit>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Circuit {
    Closed {
        failures: u32,
    },
    Open {
        since: SystemTime,
        pause: Duration,
    },
    /// The one request that tries again is in progress.
    Trial {
        pause: Duration,
    },
}

/// A request that may be made. If it is only dropped, because its caller has gone, it counts
/// neither as a failure nor as a success.
#[derive(Debug)]
#[must_use]
pub struct CircuitAttempt<'a> {
    breaker: &'a CircuitBreaker,
    is_trial: bool,
}

/// The circuit is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it kept failing, and is not asked until it answers a trial")]
pub struct CircuitOpen;

impl CircuitBreaker {
    /// The breaker of one server or program, by the section of the configuration that names it.
    #[must_use]
    pub fn new(section: &'static str, clock: Arc<dyn Clock>) -> Self {
        Self {
            section,
            clock,
            failures: FAILURES,
            circuit: Mutex::new(Circuit::Closed { failures: 0 }),
        }
    }

    /// Opens the circuit after so many failures in a row. A server that many requests ask at once
    /// needs more, because some of them may fail while it answers others.
    #[must_use]
    pub fn opening_after(self, failures: u32) -> Self {
        Self { failures, ..self }
    }

    /// Whether a request would be admitted now. A request that must wait for its turn asks this
    /// first.
    ///
    /// # Errors
    /// [`CircuitOpen`].
    pub fn check(&self) -> Result<(), CircuitOpen> {
        match *self.circuit() {
            Circuit::Closed { .. } => Ok(()),
            Circuit::Open { since, pause } if self.is_over(since, pause) => Ok(()),
            Circuit::Open { .. } | Circuit::Trial { .. } => Err(CircuitOpen),
        }
    }

    /// Admits a request, whose caller says what became of it.
    ///
    /// # Errors
    /// [`CircuitOpen`].
    pub fn admit(&self) -> Result<CircuitAttempt<'_>, CircuitOpen> {
        let mut circuit = self.circuit();
        let is_trial = match *circuit {
            Circuit::Closed { .. } => false,
            Circuit::Open { since, pause } if self.is_over(since, pause) => {
                *circuit = Circuit::Trial { pause };
                true
            }
            Circuit::Open { .. } | Circuit::Trial { .. } => return Err(CircuitOpen),
        };
        Ok(CircuitAttempt {
            breaker: self,
            is_trial,
        })
    }

    /// If the clock was set back, the pause is over: too early is better than too late.
    fn is_over(&self, since: SystemTime, pause: Duration) -> bool {
        let age = self.clock.now().duration_since(since);
        age.map_or(true, |age| age >= pause)
    }

    fn circuit(&self) -> MutexGuard<'_, Circuit> {
        // No code panics while it holds the lock, so the state is whole even if it is poisoned.
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("section", &self.section)
            .field("circuit", &*self.circuit())
            .finish_non_exhaustive()
    }
}

impl CircuitAttempt<'_> {
    /// It was answered.
    pub fn succeeded(mut self) {
        let mut circuit = self.breaker.circuit();
        if !matches!(*circuit, Circuit::Closed { .. }) {
            tracing::info!(section = self.breaker.section, "a backend answers again");
        }
        *circuit = Circuit::Closed { failures: 0 };
        drop(circuit);
        self.is_trial = false;
    }

    /// It was not answered, or the answer says that the server failed.
    pub fn failed(mut self) {
        let breaker = self.breaker;
        let since = breaker.clock.now();
        let mut circuit = breaker.circuit();
        let pause = match *circuit {
            Circuit::Closed { failures } if failures + 1 < breaker.failures => {
                let failures = failures + 1;
                *circuit = Circuit::Closed { failures };
                None
            }
            Circuit::Closed { .. } => {
                tracing::warn!(
                    section = breaker.section,
                    failures = breaker.failures,
                    "a backend keeps failing: requests that need it fail at once until it answers"
                );
                Some(FIRST_PAUSE)
            }
            Circuit::Trial { pause } if self.is_trial => Some(LONGEST_PAUSE.min(pause * 2)),
            // A request from before the circuit was opened.
            Circuit::Open { .. } | Circuit::Trial { .. } => None,
        };
        if let Some(pause) = pause {
            *circuit = Circuit::Open { since, pause };
        }
        drop(circuit);
        self.is_trial = false;
    }
}

impl Drop for CircuitAttempt<'_> {
    /// A trial that was given up lets the next request try.
    fn drop(&mut self) {
        if !self.is_trial {
            return;
        }
        let mut circuit = self.breaker.circuit();
        if let Circuit::Trial { pause } = *circuit {
            let since = UNIX_EPOCH;
            *circuit = Circuit::Open { since, pause };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::HeldClock;

    fn breaker() -> (CircuitBreaker, Arc<HeldClock>) {
        let clock = Arc::new(HeldClock::default());
        (CircuitBreaker::new("test", clock.clone()), clock)
    }

    fn fail(breaker: &CircuitBreaker, times: u32) {
        for _ in 0..times {
            breaker.admit().unwrap().failed();
        }
    }

    fn is_open(breaker: &CircuitBreaker) -> bool {
        let is_open = breaker.check().is_err();
        if is_open {
            assert!(breaker.admit().is_err());
        }
        is_open
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_success_closes_it() {
        let (breaker, clock) = breaker();
        fail(&breaker, FAILURES - 1);
        breaker.admit().unwrap().succeeded();
        fail(&breaker, FAILURES - 1);
        assert!(!is_open(&breaker));
        fail(&breaker, 1);
        assert!(is_open(&breaker));
        clock.pass(FIRST_PAUSE);
        let trial = breaker.admit().unwrap();
        assert!(is_open(&breaker), "one tries at a time");
        trial.succeeded();
        assert!(!is_open(&breaker));
        fail(&breaker, FAILURES - 1);
        assert!(!is_open(&breaker), "it counts anew");
    }

    #[test]
    fn a_trial_that_fails_doubles_the_pause() {
        let (breaker, clock) = breaker();
        fail(&breaker, FAILURES);
        let mut pause = FIRST_PAUSE;
        for _ in 0..10 {
            clock.pass(pause - Duration::from_millis(1));
            assert!(is_open(&breaker));
            clock.pass(Duration::from_millis(1));
            fail(&breaker, 1);
            pause = LONGEST_PAUSE.min(pause * 2);
        }
        assert_eq!(pause, LONGEST_PAUSE);
    }

    #[test]
    fn a_trial_that_is_given_up_lets_the_next_one_try() {
        let (breaker, clock) = breaker();
        fail(&breaker, FAILURES);
        clock.pass(FIRST_PAUSE);
        drop(breaker.admit().unwrap());
        breaker.admit().unwrap().succeeded();
        assert!(!is_open(&breaker));
    }

    #[test]
    fn requests_from_before_do_not_count_for_the_trial() {
        let (breaker, clock) = breaker();
        let [early, late] = [breaker.admit().unwrap(), breaker.admit().unwrap()];
        fail(&breaker, FAILURES);
        early.failed();
        clock.pass(FIRST_PAUSE);
        let trial = breaker.admit().unwrap();
        late.failed();
        assert!(is_open(&breaker));
        trial.succeeded();
        assert!(!is_open(&breaker));
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_keep_it_open() {
        let (breaker, clock) = breaker();
        fail(&breaker, FAILURES);
        assert!(is_open(&breaker));
        clock.set_back(Duration::from_secs(3600));
        assert!(!is_open(&breaker));
    }
}
