//! A queue in which no source gets ahead by sending more.

use std::collections::{HashMap, VecDeque};

use crate::{LoginSource, SourceAddress};

/// A bounded queue in which addresses take turns, and at each address its accounts.
///
/// So a client waits for one item of each other address, however many those have sent. When the
/// queue is full, an address that has fewer items waiting takes a place from the one that has most.
pub(crate) struct FairQueue<T> {
    addresses: HashMap<SourceAddress, AccountQueues<T>>,
    /// Every address that has an item waiting, once, the next first.
    order: VecDeque<SourceAddress>,
    length: usize,
    capacity: usize,
}

/// The items of one address.
struct AccountQueues<T> {
    accounts: HashMap<String, VecDeque<T>>,
    order: VecDeque<String>,
    length: usize,
}

/// The queue is full, and the source has as many items in it as any other.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct QueueFull;

impl<T> FairQueue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            addresses: HashMap::new(),
            order: VecDeque::new(),
            length: 0,
            capacity,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Adds `item`. If the queue is full, the newest item of the address that has most waiting is
    /// dropped for it.
    pub(crate) fn push(&mut self, source: &LoginSource, item: T) -> Result<(), QueueFull> {
        if self.length >= self.capacity {
            drop(self.take_place(source)?);
        }
        self.length += 1;
        let queues = self.addresses.entry(source.address).or_insert_with(|| {
            self.order.push_back(source.address);
            AccountQueues::new()
        });
        queues.push(&source.account, item);
        Ok(())
    }

    pub(crate) fn pop(&mut self) -> Option<T> {
        let address = self.order.pop_front()?;
        let queues = self.addresses.get_mut(&address)?;
        let item = queues.pop()?;
        self.length -= 1;
        if queues.length == 0 {
            self.addresses.remove(&address);
        } else {
            self.order.push_back(address);
        }
        Some(item)
    }

    /// Drops the items that `keep` does not want.
    pub(crate) fn retain(&mut self, mut keep: impl FnMut(&T) -> bool) {
        for queues in self.addresses.values_mut() {
            for items in queues.accounts.values_mut() {
                items.retain(&mut keep);
            }
            queues.accounts.retain(|_, items| !items.is_empty());
            let AccountQueues {
                accounts, order, ..
            } = queues;
            order.retain(|account| accounts.contains_key(account));
            queues.length = queues.accounts.values().map(VecDeque::len).sum();
        }
        self.addresses.retain(|_, queues| queues.length > 0);
        let addresses = &self.addresses;
        self.order.retain(|address| addresses.contains_key(address));
        self.length = self.addresses.values().map(|queues| queues.length).sum();
    }

    /// Removes an item that `source` has a better claim to: one of the address, or at its own
    /// address one of the account, that has most waiting. The other keeps at least as many as
    /// `source` gets.
    fn take_place(&mut self, source: &LoginSource) -> Result<T, QueueFull> {
        let own = self
            .addresses
            .get(&source.address)
            .map_or(0, |own| own.length);
        let (&address, most) = self
            .addresses
            .iter()
            .max_by_key(|(_, queues)| queues.length)
            .ok_or(QueueFull)?;
        let (address, least) = if most.length > own + 1 {
            (address, 0)
        } else {
            let account = self.addresses.get(&source.address).and_then(|own| {
                let account = own.accounts.get(&source.account);
                account.map(VecDeque::len)
            });
            (source.address, account.unwrap_or_default() + 1)
        };
        let queues = self.addresses.get_mut(&address).ok_or(QueueFull)?;
        let item = queues.take_newest(least).ok_or(QueueFull)?;
        self.length -= 1;
        if queues.length == 0 {
            self.addresses.remove(&address);
            self.order.retain(|other| *other != address);
        }
        Ok(item)
    }
}

impl<T> AccountQueues<T> {
    fn new() -> Self {
        Self {
            accounts: HashMap::new(),
            order: VecDeque::new(),
            length: 0,
        }
    }

    fn push(&mut self, account: &str, item: T) {
        self.length += 1;
        if let Some(items) = self.accounts.get_mut(account) {
            items.push_back(item);
        } else {
            self.accounts
                .insert(account.to_owned(), VecDeque::from([item]));
            self.order.push_back(account.to_owned());
        }
    }

    fn pop(&mut self) -> Option<T> {
        let account = self.order.pop_front()?;
        let items = self.accounts.get_mut(&account)?;
        let item = items.pop_front()?;
        self.length -= 1;
        if items.is_empty() {
            self.accounts.remove(&account);
        } else {
            self.order.push_back(account);
        }
        Some(item)
    }

    /// The newest item of the account that has most waiting, if those are more than `least`.
    fn take_newest(&mut self, least: usize) -> Option<T> {
        let longest = self
            .order
            .iter()
            .max_by_key(|account| self.accounts.get(*account).map(VecDeque::len))?
            .clone();
        let items = self.accounts.get_mut(&longest)?;
        if items.len() <= least {
            return None;
        }
        let item = items.pop_back()?;
        self.length -= 1;
        if items.is_empty() {
            self.accounts.remove(&longest);
            self.order.retain(|account| *account != longest);
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::*;

    fn source(address: u8, account: &str) -> LoginSource {
        let address = IpAddr::from(Ipv4Addr::new(192, 0, 2, address));
        LoginSource::new(Some(address), account)
    }

    fn drain<T>(queue: &mut FairQueue<T>) -> Vec<T> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn addresses_take_turns_and_at_each_its_accounts() {
        let mut queue = FairQueue::new(100);
        for n in 0..50 {
            queue.push(&source(1, &n.to_string()), (1, n)).unwrap();
        }
        for n in 0..3 {
            queue.push(&source(2, "ann"), (2, n)).unwrap();
        }
        queue.push(&source(2, "bob"), (2, 7)).unwrap();
        let all = drain(&mut queue);
        assert_eq!(
            all[..8],
            [
                (1, 0),
                (2, 0),
                (1, 1),
                (2, 7),
                (1, 2),
                (2, 1),
                (1, 3),
                (2, 2)
            ]
        );
        assert_eq!(all.len(), 54);
    }

    #[test]
    fn a_full_queue_has_a_place_for_a_client_that_has_fewer() {
        let mut queue = FairQueue::new(10);
        for n in 0..10 {
            queue.push(&source(1, &n.to_string()), (1, n)).unwrap();
        }
        assert_eq!(
            queue.push(&source(1, "another"), (1, 10)),
            Err(QueueFull),
            "its address has every place"
        );
        for n in 0..5 {
            queue.push(&source(2, "ann"), (2, n)).unwrap();
        }
        assert_eq!(queue.push(&source(2, "ann"), (2, 5)), Err(QueueFull));
        assert_eq!(queue.len(), 10);
        let all = drain(&mut queue);
        assert_eq!(all[..4], [(1, 0), (2, 0), (1, 1), (2, 1)]);
    }

    #[test]
    fn behind_one_proxy_an_account_cannot_take_every_place() {
        let mut queue = FairQueue::new(10);
        for n in 0..10 {
            queue.push(&source(1, "ann"), ("ann", n)).unwrap();
        }
        queue.push(&source(1, "bob"), ("bob", 0)).unwrap();
        assert_eq!(drain(&mut queue)[..2], [("ann", 0), ("bob", 0)]);
    }

    #[test]
    fn items_can_be_dropped_wherever_they_wait() {
        let mut queue = FairQueue::new(10);
        for n in 0..9_u8 {
            queue.push(&source(n % 3, &(n % 2).to_string()), n).unwrap();
        }
        queue.retain(|n| n % 3 != 0 && *n != 4);
        assert_eq!(queue.len(), 5);
        let mut left = drain(&mut queue);
        left.sort_unstable();
        assert_eq!(left, [1, 2, 5, 7, 8]);
        assert!(queue.addresses.is_empty() && queue.order.is_empty());
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_a_sources_items_keep_their_order(
            pushes: Vec<(u8, u8, bool)>,
            capacity in 1_usize..20,
        ) {
            let mut queue = FairQueue::new(capacity);
            let mut popped: Vec<(u8, u8, usize)> = Vec::new();
            for (time, &(address, account, pop)) in pushes.iter().enumerate() {
                let (address, account) = (address % 4, account % 4);
                let from = source(address, &account.to_string());
                let before = queue.len();
                let pushed = queue.push(&from, (address, account, time));
                prop_assert!(queue.len() <= capacity);
                prop_assert!(pushed.is_ok() || before == capacity);
                if pop {
                    popped.extend(queue.pop());
                }
            }
            popped.extend(drain(&mut queue));
            prop_assert_eq!(queue.len(), 0);
            prop_assert!(queue.addresses.is_empty() && queue.order.is_empty());
            prop_assert!(pushes.len() > capacity || popped.len() == pushes.len());
            for address in 0..4 {
                for account in 0..4 {
                    let times = popped
                        .iter()
                        .filter(|item| (item.0, item.1) == (address, account))
                        .map(|item| item.2);
                    prop_assert!(times.is_sorted());
                }
            }
        }
    }
}
