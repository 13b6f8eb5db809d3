//! Computing for its own sake, so that every rejection takes the same time.

use super::{HashCost, argon2id, bcrypt};

/// Computes as much as `cost` says with `password`, and drops the result.
///
/// Any number of rounds is a sum of powers of two, and bcrypt computes any power of two. What is
/// missing between a hash of cost 5 and one of cost 10 is costs 5, 6, 7, 8 and 9, once each.
pub(crate) fn perform(cost: &HashCost, password: &[u8]) {
    for exponent in 0..bcrypt::COSTS.end {
        if cost.bcrypt >> exponent & 1 == 1 {
            bcrypt::compute_and_drop(exponent, password);
        }
    }
    for (parameters, &count) in &cost.argon2id {
        for _ in 0..count {
            argon2id::compute_and_drop(*parameters, password);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::Argon2id;

    #[test]
    fn any_cost_can_be_performed() {
        let text = Argon2id::hash(b"any", &[1; 16], 8, 1).unwrap();
        let argon2id: Argon2id = text.parse().unwrap();
        let cost: HashCost = [HashCost::bcrypt(21), argon2id.cost()].into_iter().sum();
        perform(&cost, b"any");
        perform(&HashCost::default(), b"");
    }
}
