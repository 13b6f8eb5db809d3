//! Waits of random length, so that many servers do not come back at the same moment.

use std::time::Duration;

use common::{Entropy, SystemEntropy};

/// A length between a quarter of `most` and `most`.
pub(crate) fn jitter(most: Duration) -> Duration {
    let mut bytes = [0; 2];
    // Without randomness, all wait as long as possible.
    if SystemEntropy.fill(&mut bytes).is_err() {
        return most;
    }
    let share = f64::from(u16::from_be_bytes(bytes)) / f64::from(u16::MAX);
    most.mul_f64(0.25 + 0.75 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_within_its_bounds_and_varies() {
        let most = Duration::from_secs(1);
        let drawn: Vec<_> = (0..64).map(|_| jitter(most)).collect();
        assert!(drawn.iter().all(|one| (most / 4..=most).contains(one)));
        assert!(drawn.iter().any(|one| *one != drawn[0]));
    }
}
