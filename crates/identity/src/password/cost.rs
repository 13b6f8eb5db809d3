//! What verifying a password costs.

use std::collections::BTreeMap;
use std::iter::Sum;
use std::ops::AddAssign;

use super::bounds::{MAX_ARGON2ID_WORK, MAX_BCRYPT_COST};

/// An amount of computing, counted apart for each way to compute.
///
/// How long one round of bcrypt takes compared with one pass of argon2id depends on the machine,
/// its caches and its load. So the two are never converted: costs are equal only if they hold the
/// same work of each kind, and then they take the same time everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HashCost {
    /// Rounds of bcrypt's key schedule. A hash of cost *c* takes 2^*c*.
    pub(super) bcrypt: u64,
    /// How many argon2id hashes, by their parameters.
    pub(super) argon2id: BTreeMap<Argon2idParameters, u32>,
}

/// The parameters that decide how long one argon2id hash takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Argon2idParameters {
    /// In KiB.
    pub(super) memory: u32,
    pub(super) passes: u32,
    pub(super) lanes: u32,
}

impl HashCost {
    /// So many rounds of bcrypt.
    #[must_use]
    pub fn bcrypt(rounds: u64) -> Self {
        Self {
            bcrypt: rounds,
            argon2id: BTreeMap::new(),
        }
    }

    pub(super) fn argon2id(parameters: Argon2idParameters) -> Self {
        Self {
            bcrypt: 0,
            argon2id: BTreeMap::from([(parameters, 1)]),
        }
    }

    /// Whether there is nothing to compute.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it is no more than the costliest hash of each kind that is verified.
    #[must_use]
    pub fn is_bounded(&self) -> bool {
        let work = self.argon2id.iter().map(|(parameters, &count)| {
            let once = u64::from(parameters.memory) * u64::from(parameters.passes);
            once.saturating_mul(count.into())
        });
        let work = work.fold(0, u64::saturating_add);
        self.bcrypt <= 1 << MAX_BCRYPT_COST && work <= MAX_ARGON2ID_WORK
    }

    /// The least cost that covers both, kind by kind.
    #[must_use]
    pub fn covering(mut self, other: &Self) -> Self {
        self.bcrypt = self.bcrypt.max(other.bcrypt);
        for (&parameters, &count) in &other.argon2id {
            let own = self.argon2id.entry(parameters).or_default();
            *own = count.max(*own);
        }
        self
    }

    /// What is missing from `self` to `whole`, kind by kind.
    #[must_use]
    pub fn missing_to(&self, whole: &Self) -> Self {
        let missing = |(&parameters, &count): (&Argon2idParameters, &u32)| {
            let own = self.argon2id.get(&parameters).copied().unwrap_or_default();
            let missing = count.saturating_sub(own);
            (missing > 0).then_some((parameters, missing))
        };
        Self {
            bcrypt: whole.bcrypt.saturating_sub(self.bcrypt),
            argon2id: whole.argon2id.iter().filter_map(missing).collect(),
        }
    }
}

impl AddAssign<&HashCost> for HashCost {
    fn add_assign(&mut self, other: &HashCost) {
        self.bcrypt = self.bcrypt.saturating_add(other.bcrypt);
        for (&parameters, &count) in &other.argon2id {
            let own = self.argon2id.entry(parameters).or_default();
            *own = own.saturating_add(count);
        }
    }
}

impl Sum for HashCost {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, cost| {
            sum += &cost;
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argon2id(memory: u32) -> HashCost {
        HashCost::argon2id(Argon2idParameters {
            memory,
            passes: 1,
            lanes: 1,
        })
    }

    fn sum(costs: &[HashCost]) -> HashCost {
        costs.iter().cloned().sum()
    }

    #[test]
    fn kinds_are_counted_apart() {
        let mixed = sum(&[HashCost::bcrypt(32), argon2id(64), HashCost::bcrypt(1024)]);
        assert_eq!(mixed, sum(&[HashCost::bcrypt(1056), argon2id(64)]));
        let whole = HashCost::bcrypt(2048)
            .covering(&mixed)
            .covering(&sum(&[argon2id(8), argon2id(8)]));
        assert_eq!(
            whole,
            sum(&[
                HashCost::bcrypt(2048),
                argon2id(64),
                argon2id(8),
                argon2id(8)
            ])
        );
        for part in [mixed, argon2id(8), HashCost::bcrypt(7), HashCost::default()] {
            assert_eq!(sum(&[part.clone(), part.missing_to(&whole)]), whole);
        }
        assert!(whole.missing_to(&whole).is_none());
        assert!(whole.missing_to(&HashCost::default()).is_none());
    }

    #[test]
    fn a_cost_is_bounded_kind_by_kind() {
        let most = u32::try_from(MAX_ARGON2ID_WORK).unwrap();
        let (bcrypt, argon) = (HashCost::bcrypt(1 << 17), argon2id(most));
        assert!(sum(&[bcrypt.clone(), argon.clone()]).is_bounded());
        assert!(!sum(&[bcrypt, HashCost::bcrypt(1)]).is_bounded());
        assert!(!sum(&[argon, argon2id(8)]).is_bounded());
    }
}
