//! A queue in which nobody gets ahead by coming often.

use std::collections::{HashMap, VecDeque};

use crate::LoginSource;

/// Items wait by origin, and origins take turns: whoever comes alone waits for one item of each
/// other origin, however many those have sent.
pub(super) struct FairQueue<T> {
    waiting: HashMap<LoginSource, VecDeque<T>>,
    /// Every origin that has an item waiting, once, the next first.
    order: VecDeque<LoginSource>,
    length: usize,
}

impl<T> FairQueue<T> {
    pub(super) fn new() -> Self {
        Self {
            waiting: HashMap::new(),
            order: VecDeque::new(),
            length: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    pub(super) fn push(&mut self, origin: &LoginSource, item: T) {
        self.length += 1;
        if let Some(items) = self.waiting.get_mut(origin) {
            items.push_back(item);
        } else {
            self.waiting.insert(origin.clone(), VecDeque::from([item]));
            self.order.push_back(origin.clone());
        }
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let origin = self.order.pop_front()?;
        let items = self.waiting.get_mut(&origin)?;
        let item = items.pop_front()?;
        self.length -= 1;
        if items.is_empty() {
            self.waiting.remove(&origin);
        } else {
            self.order.push_back(origin);
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origin(n: u8) -> LoginSource {
        LoginSource::Account(n.to_string())
    }

    #[test]
    fn one_waits_for_one_of_each_other() {
        let mut turns = FairQueue::new();
        for n in 0..50 {
            turns.push(&origin(1), (1, n));
        }
        turns.push(&origin(2), (2, 0));
        assert_eq!(
            [turns.pop(), turns.pop(), turns.pop()],
            [Some((1, 0)), Some((2, 0)), Some((1, 1))]
        );
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_an_origins_items_keep_their_order(pushes: Vec<(u8, bool)>) {
            let mut turns = FairQueue::new();
            let mut popped: Vec<(u8, usize)> = Vec::new();
            for (time, &(from, pop)) in pushes.iter().enumerate() {
                turns.push(&origin(from), (from, time));
                if pop {
                    popped.extend(turns.pop());
                }
            }
            popped.extend(std::iter::from_fn(|| turns.pop()));
            prop_assert_eq!(turns.len(), 0);
            prop_assert!(turns.waiting.is_empty() && turns.order.is_empty());
            for from in 0..=u8::MAX {
                let sent: Vec<usize> = (0..pushes.len()).filter(|&time| pushes[time].0 == from).collect();
                let came: Vec<usize> = popped.iter().filter(|item| item.0 == from).map(|item| item.1).collect();
                prop_assert_eq!(sent, came);
            }
        }
    }
}
