//! Plain statistics: what a crate counts about its own work, for the program to read.
//!
//! A crate that does work owns its counters and knows no format of metrics. To count is one or two
//! relaxed atomic additions. The program reads the values when metrics are asked for.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const MILLISECOND: u64 = 1_000_000;

/// The ranges of durations in nanoseconds, which are Distribution's
/// (`defaultDurationBuckets` of docker/go-metrics).
pub const DURATION_BOUNDS: &[u64] = &[
    5 * MILLISECOND,
    10 * MILLISECOND,
    25 * MILLISECOND,
    50 * MILLISECOND,
    100 * MILLISECOND,
    250 * MILLISECOND,
    500 * MILLISECOND,
    1_000 * MILLISECOND,
    2_500 * MILLISECOND,
    5_000 * MILLISECOND,
    10_000 * MILLISECOND,
    25_000 * MILLISECOND,
    60_000 * MILLISECOND,
];

/// The ranges of durations within this process and of its stores, in nanoseconds, from 0.1 ms to 10 s.
pub const FINE_DURATION_BOUNDS: &[u64] = &[
    MILLISECOND / 10,
    MILLISECOND / 4,
    MILLISECOND / 2,
    MILLISECOND,
    5 * MILLISECOND / 2,
    5 * MILLISECOND,
    10 * MILLISECOND,
    25 * MILLISECOND,
    50 * MILLISECOND,
    100 * MILLISECOND,
    250 * MILLISECOND,
    500 * MILLISECOND,
    1_000 * MILLISECOND,
    2_500 * MILLISECOND,
    5_000 * MILLISECOND,
    10_000 * MILLISECOND,
];

/// The ranges of sizes in bytes, from 1 KiB to 2 GiB, which are Distribution's
/// (`defaultRequestSizeBuckets` of docker/go-metrics).
pub const SIZE_BOUNDS: &[u64] = &{
    let mut bounds = [0; 22];
    let mut place = 0;
    while place < bounds.len() {
        bounds[place] = 1024 << place;
        place += 1;
    }
    bounds
};

/// The ranges of small numbers, such as writes in one commit.
pub const SMALL_NUMBER_BOUNDS: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256];

/// A number that only grows. After 2^64 it begins at 0 again, which readers take for a restart.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Counts `number`.
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    /// How much was counted.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that grows and shrinks.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// Adds `number`, which may be negative.
    pub fn add(&self, number: i64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    /// Replaces the number.
    pub fn set(&self, number: i64) {
        self.0.store(number, Ordering::Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn value(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often values fell into each of several ranges.
#[derive(Debug)]
pub struct Histogram {
    /// The largest value of each range, ascending. What is larger is in one more range.
    bounds: &'static [u64],
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// What a [`Histogram`] has counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramSnapshot {
    /// The largest value of each range, ascending.
    pub bounds: &'static [u64],
    /// How many values were in each range, and at the end how many were larger than all bounds.
    pub counts: Vec<u64>,
    /// The sum of all values.
    pub sum: u64,
}

impl Histogram {
    /// An empty histogram. Each of `bounds`, which ascend, is the largest value of a range.
    #[must_use]
    pub fn new(bounds: &'static [u64]) -> Self {
        Self {
            bounds,
            counts: (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect(),
            sum: AtomicU64::new(0),
        }
    }

    /// Counts a value, and returns the place of its range.
    pub fn observe(&self, value: u64) -> usize {
        let place = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
        place
    }

    /// Counts a length of time in nanoseconds, and returns the place of its range.
    pub fn observe_duration(&self, duration: Duration) -> usize {
        self.observe(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }

    /// What was counted. A value that is counted at the same time may be in the sum only.
    #[must_use]
    pub fn snapshot(&self) -> HistogramSnapshot {
        let counts = self.counts.iter();
        HistogramSnapshot {
            bounds: self.bounds,
            counts: counts.map(|count| count.load(Ordering::Relaxed)).collect(),
            sum: self.sum.load(Ordering::Relaxed),
        }
    }
}

impl HistogramSnapshot {
    /// How many values were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// Measures how long something takes. It is not a clock: it tells no time of day.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins to measure.
    #[expect(
        clippy::disallowed_methods,
        reason = "it measures a length of time for statistics, and no decision depends on it"
    )]
    #[must_use]
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// How long it was since the start.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_on_a_bound_belongs_to_the_range_below_it() {
        let histogram = Histogram::new(&[10, 20]);
        let places: Vec<_> = [0, 10, 11, 20, 21, 1000]
            .map(|value| histogram.observe(value))
            .to_vec();
        assert_eq!(places, [0, 0, 1, 1, 2, 2]);
        let snapshot = histogram.snapshot();
        assert_eq!(snapshot.counts, [2, 2, 2]);
        assert_eq!((snapshot.sum, snapshot.total()), (1062, 6));
    }

    #[test]
    fn durations_are_counted_in_nanoseconds() {
        let histogram = Histogram::new(&[1_000_000]);
        histogram.observe_duration(Duration::from_micros(7));
        histogram.observe_duration(Duration::from_secs(2));
        assert_eq!(histogram.snapshot().counts, [1, 1]);
        assert_eq!(histogram.snapshot().sum, 2_000_007_000);
    }
}
