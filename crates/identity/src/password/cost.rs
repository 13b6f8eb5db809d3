//! What verifying costs, in a unit that orders the two kinds of hashes.

use std::iter::Sum;

use super::bcrypt;

/// An amount of computing, counted in rounds of bcrypt's key schedule (one takes some 70 µs on a
/// server of 2020).
///
/// bcrypt of cost *c* is 2^c rounds. argon2id over *m* KiB in *t* passes is taken as *m·t* / 64:
/// what the two take on the same machine to within a tenth; below 8 MiB argon2id is up to twice as
/// fast, for then it fits the cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct HashCost(u64);

impl HashCost {
    /// None at all.
    pub const NONE: Self = Self(0);

    /// So many rounds of bcrypt.
    #[must_use]
    pub const fn rounds(rounds: u64) -> Self {
        Self(rounds)
    }

    /// The rounds.
    #[must_use]
    pub const fn as_rounds(self) -> u64 {
        self.0
    }

    /// What is missing from `self` to `whole`; none when it is there already.
    #[must_use]
    pub const fn short_of(self, whole: Self) -> Self {
        Self(whole.0.saturating_sub(self.0))
    }

    /// Does this much work for nothing, with `password` as if it mattered.
    ///
    /// Any number of rounds is a sum of powers of two, and bcrypt does any power of two: what is
    /// missing between a hash of cost 5 and one of cost 10 is costs 5, 6, 7, 8 and 9, once each.
    pub fn waste(self, password: &[u8]) {
        for cost in 0..bcrypt::COSTS.end + 1 {
            if self.0 >> cost & 1 == 1 {
                bcrypt::waste(cost, password);
            }
        }
    }
}

impl Sum for HashCost {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::NONE, |sum, work| Self(sum.0.saturating_add(work.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_up_and_falls_short() {
        let sum: HashCost = [HashCost::rounds(32), HashCost::rounds(1024)]
            .into_iter()
            .sum();
        assert_eq!(sum, HashCost::rounds(1056));
        assert_eq!(
            HashCost::rounds(32).short_of(HashCost::rounds(1024)),
            HashCost::rounds(992)
        );
        assert_eq!(
            HashCost::rounds(32).short_of(HashCost::rounds(16)),
            HashCost::NONE
        );
        HashCost::rounds(21).waste(b"any");
    }
}
