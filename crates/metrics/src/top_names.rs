//! Counters for the names that are used most, of which there may be any number.
//!
//! A registry has thousands of repositories, and a series for each would cost Prometheus more than it
//! tells. So a bounded number of names have a counter of their own, and all others are counted
//! together. Which names are used most changes, so what is published follows slowly. A counter never
//! gets smaller: what a name had before it was published stays in the common one.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use common::Counter;

use crate::MetricFamily;

/// How many names are observed for each that is published.
const OBSERVED: usize = 8;

/// How often the numbers by which names are compared are halved.
const HALVING: Duration = Duration::from_secs(600);

/// How much more often than a published name another one must be used to take its place.
const ADVANTAGE: u64 = 2;

/// Counters for the names that are used most.
#[derive(Debug)]
pub struct TopNames {
    /// How many names are published.
    limit: usize,
    names: RwLock<NameTable>,
    other: Counter,
}

#[derive(Debug, Default)]
struct NameTable {
    names: HashMap<String, NameCount>,
    published: usize,
    halved: Option<SystemTime>,
}

#[derive(Debug, Default)]
struct NameCount {
    is_published: AtomicBool,
    /// What is published.
    count: Counter,
    /// How often it was used recently.
    recent: AtomicU64,
}

impl TopNames {
    /// Publishes at most `limit` names.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            names: RwLock::default(),
            other: Counter::default(),
        }
    }

    /// Counts one use of `name`.
    pub fn increment(&self, name: &str) {
        let table = self.names.read().unwrap_or_else(PoisonError::into_inner);
        match table.names.get(name) {
            Some(counted) => {
                counted.recent.fetch_add(1, Ordering::Relaxed);
                match counted.is_published.load(Ordering::Relaxed) {
                    true => counted.count.increment(),
                    false => self.other.increment(),
                }
            }
            None if table.names.len() >= self.limit * OBSERVED => self.other.increment(),
            None => {
                drop(table);
                self.insert(name);
            }
        }
    }

    fn insert(&self, name: &str) {
        let mut table = self.names.write().unwrap_or_else(PoisonError::into_inner);
        let has_room = table.published < self.limit;
        let counted = table.names.entry(name.to_owned()).or_default();
        counted.recent.fetch_add(1, Ordering::Relaxed);
        // Another thread may have been faster.
        if counted.is_published.load(Ordering::Relaxed) {
            return counted.count.increment();
        }
        if !has_room {
            return self.other.increment();
        }
        counted.is_published.store(true, Ordering::Relaxed);
        counted.count.increment();
        table.published += 1;
    }

    /// Writes the counters, the name as the label `label`, after a look at which names are used most.
    pub fn write(&self, family: &mut MetricFamily<'_>, label: &str, now: SystemTime) {
        let mut table = self.names.write().unwrap_or_else(PoisonError::into_inner);
        table.follow(self.limit, now);
        let published = table.names.iter();
        let published =
            published.filter(|(_, counted)| counted.is_published.load(Ordering::Relaxed));
        let mut published: Vec<_> = published.collect();
        published.sort_by_key(|(name, _)| name.as_str());
        for (name, counted) in published {
            family.sample(&[(label, name)], counted.count.value());
        }
        // No repository has an empty name, or this one with its underscore in front.
        family.sample(&[(label, "_other")], self.other.value());
    }
}

impl NameTable {
    /// Publishes what is used more than something that is published, and forgets what is not used.
    fn follow(&mut self, limit: usize, now: SystemTime) {
        let mut by_use: Vec<(u64, bool, &String)> = self
            .names
            .iter()
            .map(|(name, counted)| {
                let recent = counted.recent.load(Ordering::Relaxed);
                // Names that are used equally often must not take turns.
                let is_published = counted.is_published.load(Ordering::Relaxed);
                let weight = if is_published {
                    recent * ADVANTAGE
                } else {
                    recent
                };
                (weight, is_published, name)
            })
            .collect();
        by_use.sort_unstable_by(|a, b| b.cmp(a));
        for (place, (_, _, name)) in by_use.iter().enumerate() {
            if let Some(counted) = self.names.get(*name) {
                counted.is_published.store(place < limit, Ordering::Relaxed);
            }
        }
        self.published = by_use.len().min(limit);
        let is_due = self
            .halved
            .is_none_or(|halved| now.duration_since(halved).is_ok_and(|age| age >= HALVING));
        if !is_due {
            return;
        }
        self.halved = Some(now);
        self.names.retain(|_, counted| {
            let recent = counted.recent.load(Ordering::Relaxed) / 2;
            counted.recent.store(recent, Ordering::Relaxed);
            recent > 0 || counted.is_published.load(Ordering::Relaxed)
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::{Exposition, TextFormat};

    fn written(top: &TopNames, seconds: u64) -> Vec<String> {
        let mut exposition = Exposition::new(TextFormat::Prometheus);
        let now = UNIX_EPOCH + Duration::from_secs(seconds);
        top.write(&mut exposition.counter("pulls", "Pulls."), "name", now);
        let text = exposition.finish();
        text.lines()
            .filter_map(|line| line.strip_prefix("pulls_total"))
            .map(str::to_owned)
            .collect()
    }

    fn use_often(top: &TopNames, name: &str, times: usize) {
        (0..times).for_each(|_| top.increment(name));
    }

    #[test]
    fn the_first_names_are_published_at_once() {
        let top = TopNames::new(2);
        use_often(&top, "b", 3);
        use_often(&top, "a", 1);
        use_often(&top, "c", 2);
        let expected = ["{name=\"a\"} 1", "{name=\"b\"} 3", "{name=\"_other\"} 2"];
        assert_eq!(written(&top, 0), expected);
    }

    #[test]
    fn a_name_that_is_used_more_takes_the_place_of_another() {
        let top = TopNames::new(1);
        use_often(&top, "old", 5);
        use_often(&top, "new", 9);
        let expected = ["{name=\"old\"} 5", "{name=\"_other\"} 9"];
        assert_eq!(written(&top, 0), expected, "not yet twice as much");
        use_often(&top, "new", 20);
        assert_eq!(
            written(&top, 1),
            ["{name=\"new\"} 0", "{name=\"_other\"} 29"],
            "the common counter does not shrink"
        );
        use_often(&top, "new", 1);
        use_often(&top, "old", 1);
        assert_eq!(
            written(&top, 2),
            ["{name=\"new\"} 1", "{name=\"_other\"} 30"]
        );
    }

    #[test]
    fn the_number_of_names_is_bounded_and_unused_ones_are_forgotten() {
        let top = TopNames::new(2);
        for number in 0..1000 {
            top.increment(&format!("{number}"));
        }
        assert_eq!(top.names.read().unwrap().names.len(), 2 * OBSERVED);
        assert_eq!(written(&top, 0).len(), 3);
        written(&top, 3600);
        assert_eq!(top.names.read().unwrap().names.len(), 2, "those published");
        top.increment("late");
        assert!(written(&top, 3601).len() <= 3);
    }

    #[test]
    fn no_name_is_published_if_the_limit_is_zero() {
        let top = TopNames::new(0);
        top.increment("a");
        assert_eq!(written(&top, 0), ["{name=\"_other\"} 1"]);
    }
}
