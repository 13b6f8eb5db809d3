//! Memory for bodies that are held whole: manifests that arrive, and manifests and lists on their way
//! to clients.
//!
//! A client that does not read a response, or that stops in the middle of a request, keeps such a
//! body for minutes. It can do so on thousands of connections. So all of them share a budget, of
//! which one client has only a part. A body beyond either is refused with a time to try again. An
//! account that holds nothing yet is always let through: however many addresses an anonymous client
//! has, it cannot keep the owner of an account out.
//!
//! Small bodies are not counted: nearly all manifests are small, so what a client does here costs
//! others nothing.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// The longest body that is not counted, in bytes.
const SMALL: usize = 64 << 10;

/// What all bodies may have together, in bytes.
const ALL: usize = 256 << 20;

/// What the bodies of one client may have together, in bytes. A single one may have more.
const ONE_CLIENT: usize = 64 << 20;

/// The bodies that are held now.
#[derive(Debug, Default)]
pub(crate) struct BodyMemory(Mutex<HeldBodies>);

#[derive(Debug, Default)]
struct HeldBodies {
    all: usize,
    owners: HashMap<BodyOwner, usize>,
}

/// Whose bodies are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum BodyOwner {
    Account(String),
    /// An anonymous client, by its address if that is known.
    Anonymous(Option<IpAddr>),
}

/// The memory of one body, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct BodyShare {
    memory: Arc<BodyMemory>,
    owner: BodyOwner,
    length: usize,
}

/// There is no room for a body now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BodyMemoryFull;

impl BodyMemory {
    /// The share of an empty body of `owner`.
    pub(crate) fn share(self: &Arc<Self>, owner: BodyOwner) -> BodyShare {
        BodyShare {
            memory: Arc::clone(self),
            owner,
            length: 0,
        }
    }

    fn held(&self) -> MutexGuard<'_, HeldBodies> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BodyShare {
    /// Makes room for `length` bytes in all.
    pub(crate) fn grow_to(&mut self, length: usize) -> Result<(), BodyMemoryFull> {
        if length <= SMALL.max(self.length) {
            return Ok(());
        }
        let more = length - self.length;
        let mut held = self.memory.held();
        let of_owner = held.owners.get(&self.owner).copied().unwrap_or_default();
        let is_only_body = of_owner == self.length;
        let is_let_through = is_only_body && matches!(self.owner, BodyOwner::Account(_));
        let has_part = of_owner + more <= ONE_CLIENT || is_only_body;
        if !has_part || (held.all + more > ALL && !is_let_through) {
            return Err(BodyMemoryFull);
        }
        held.all += more;
        held.owners.insert(self.owner.clone(), of_owner + more);
        drop(held);
        self.length = length;
        Ok(())
    }

    /// `bytes`, which give the share back when the last of them is dropped.
    pub(crate) fn hold(mut self, bytes: Bytes) -> Result<Bytes, BodyMemoryFull> {
        if bytes.len() <= SMALL {
            return Ok(bytes);
        }
        self.grow_to(bytes.len())?;
        Ok(Bytes::from_owner(HeldBytes {
            bytes,
            _share: self,
        }))
    }
}

impl Drop for BodyShare {
    fn drop(&mut self) {
        if self.length == 0 {
            return;
        }
        let mut held = self.memory.held();
        held.all -= self.length;
        if let Some(of_owner) = held.owners.get_mut(&self.owner) {
            *of_owner -= self.length;
            if *of_owner == 0 {
                held.owners.remove(&self.owner);
            }
        }
    }
}

/// Bytes with their share.
struct HeldBytes {
    bytes: Bytes,
    _share: BodyShare,
}

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGE: usize = 4 << 20;

    fn account(name: &str) -> BodyOwner {
        BodyOwner::Account(name.to_owned())
    }

    fn anonymous(number: u8) -> BodyOwner {
        BodyOwner::Anonymous(Some([192, 0, 2, number].into()))
    }

    fn holding(memory: &Arc<BodyMemory>, owner: BodyOwner, length: usize) -> Option<BodyShare> {
        let mut share = memory.share(owner);
        share.grow_to(length).is_ok().then_some(share)
    }

    #[test]
    fn one_client_has_a_part_of_the_memory_and_all_have_a_bound() {
        let memory = Arc::new(BodyMemory::default());
        let fill = |owner: BodyOwner| -> Vec<BodyShare> {
            std::iter::from_fn(|| holding(&memory, owner.clone(), LARGE)).collect()
        };
        let first = fill(anonymous(1));
        assert_eq!(first.len(), ONE_CLIENT / LARGE);
        let others: Vec<_> = [2, 3, 4, 5].map(|number| fill(anonymous(number))).into();
        let lengths: Vec<_> = others.iter().map(Vec::len).collect();
        assert_eq!(lengths, [16, 16, 16, 0]);
        assert!(
            holding(&memory, anonymous(5), SMALL).is_some(),
            "small ones pass"
        );
        // An account has one, however many others there are.
        let one = holding(&memory, account("ann"), LARGE).unwrap();
        assert!(holding(&memory, account("ann"), LARGE).is_none());
        assert!(holding(&memory, account("bob"), LARGE).is_some());
        drop((first, one));
        assert_eq!(fill(account("ann")).len(), ONE_CLIENT / LARGE);
        drop(others);
        let held = memory.held();
        assert_eq!((held.all, held.owners.len()), (0, 0));
    }

    #[test]
    fn a_body_that_grows_counts_once() {
        let memory = Arc::new(BodyMemory::default());
        let mut share = memory.share(account("ann"));
        for length in [1, SMALL, LARGE, LARGE / 2, 2 * LARGE] {
            share.grow_to(length).unwrap();
        }
        assert_eq!(memory.held().all, 2 * LARGE);
        // The largest body that a configuration allows is as large as all that one client has.
        share.grow_to(2 * ONE_CLIENT).unwrap();
        assert!(holding(&memory, account("ann"), LARGE).is_none());
        drop(share);
        assert!(memory.held().owners.is_empty());
    }

    #[test]
    fn bytes_are_held_until_the_last_of_them_is_dropped() {
        let memory = Arc::new(BodyMemory::default());
        let hold = |length: usize| {
            let share = memory.share(account("ann"));
            share.hold(vec![7; length].into()).unwrap()
        };
        drop(hold(SMALL));
        let mut bytes = hold(LARGE);
        let piece = bytes.split_to(10);
        drop(bytes);
        assert_eq!(memory.held().all, LARGE);
        assert_eq!(piece, [7; 10].as_slice());
        drop(piece);
        assert_eq!(memory.held().all, 0);
    }
}
