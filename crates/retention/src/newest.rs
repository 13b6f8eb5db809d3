//! The greatest values of many.

use std::collections::BTreeSet;

/// The `limit` greatest values of those that were added. No more are in memory.
#[derive(Clone, Debug)]
pub(crate) struct NewestValues<T> {
    limit: usize,
    values: BTreeSet<T>,
}

impl<T: Ord + Clone> NewestValues<T> {
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            limit: limit as usize,
            values: BTreeSet::new(),
        }
    }

    pub(crate) fn add(&mut self, value: &T) {
        if self.contains(value) {
            self.values.insert(value.clone());
            if self.values.len() > self.limit {
                self.values.pop_first();
            }
        }
    }

    /// Whether a value is among the greatest, or was added later and is greater than one of them.
    pub(crate) fn contains(&self, value: &T) -> bool {
        self.values.len() < self.limit || self.values.first().is_some_and(|least| value >= least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_stay() {
        let mut newest = NewestValues::new(2);
        for value in [3, 1, 2, 3, 5, 4] {
            newest.add(&value);
        }
        let kept = [1, 2, 3, 4, 5, 6].map(|value| newest.contains(&value));
        assert_eq!(kept, [false, false, false, true, true, true]);
        assert!(!NewestValues::new(0).contains(&1));
    }
}
