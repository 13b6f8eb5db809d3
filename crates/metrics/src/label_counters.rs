//! Counters by a label whose values are few, but not known beforehand: names of backends, kinds of
//! events.

use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock};

use common::Counter;

use crate::MetricFamily;

/// How many values may have a counter of their own.
const LIMIT: usize = 64;

/// The label of what has none.
const OTHER: &str = "other";

/// Counters by labels. Beyond 64 different ones, all others are counted together as `other`.
#[derive(Debug, Default)]
pub struct LabelCounters {
    counters: RwLock<BTreeMap<String, Counter>>,
    other: Counter,
}

impl LabelCounters {
    /// Counts `number` for the label `name`.
    pub fn add(&self, name: &str, number: u64) {
        let counters = self.counters.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(counter) = counters.get(name) {
            return counter.add(number);
        }
        drop(counters);
        let mut counters = self
            .counters
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if counters.len() >= LIMIT && !counters.contains_key(name) {
            return self.other.add(number);
        }
        counters.entry(name.to_owned()).or_default().add(number);
    }

    /// Writes each counter: its name is the value of `label`, and `more` are further labels.
    pub fn write(&self, family: &mut MetricFamily<'_>, label: &str, more: &[(&str, &str)]) {
        let counters = self.counters.read().unwrap_or_else(PoisonError::into_inner);
        let others = (self.other.value() > 0).then_some((OTHER, &self.other));
        let named = counters.iter().map(|(name, count)| (name.as_str(), count));
        for (name, count) in named.chain(others) {
            let labels: Vec<_> = [(label, name)]
                .into_iter()
                .chain(more.iter().copied())
                .collect();
            family.sample(&labels, count.value());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Exposition, TextFormat};

    #[test]
    fn the_number_of_labels_is_bounded() {
        let counters = LabelCounters::default();
        for number in 0..1000 {
            counters.add(&format!("name{number}"), 1);
        }
        counters.add("name0", 4);
        let mut exposition = Exposition::new(TextFormat::Prometheus);
        counters.write(&mut exposition.counter("c", "C."), "name", &[("a", "b")]);
        let text = exposition.finish();
        assert_eq!(text.lines().count(), 2 + LIMIT + 1, "{text}");
        assert!(text.contains("c_total{name=\"name0\",a=\"b\"} 5\n"));
        assert!(text.contains("c_total{name=\"other\",a=\"b\"} 936\n"));
    }
}
