//! Which mounts were refused lately for want of a scope.
//!
//! A mount whose token lacks `pull` on its source may be refused once, so that the client asks for
//! a token that has it. A client that comes back without it gets an ordinary upload: containerd
//! ends the whole push on the second 401.

use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use oci::RepositoryName;
use quick_cache::sync::Cache;

/// How many refusals are remembered; each takes some 50 bytes.
const CAPACITY: usize = 4096;

/// How long a refusal counts.
const MEMORY: Duration = Duration::from_secs(300);

/// The refusals of the last minutes.
pub(crate) struct MountChallenges(Cache<[u8; 32], SystemTime>);

impl Default for MountChallenges {
    fn default() -> Self {
        Self(Cache::new(CAPACITY))
    }
}

impl MountChallenges {
    /// Whether this mount was not refused lately. From now on it was.
    pub(crate) fn is_first(
        &self,
        account: &str,
        to: &RepositoryName,
        from: &RepositoryName,
        now: SystemTime,
    ) -> bool {
        let text = [account, to.as_str(), from.as_str()].join("\0");
        let mut key = [0; 32];
        key.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        let last = self.0.get(&key);
        let is_first = last.is_none_or(|last| now > last + MEMORY);
        if is_first {
            self.0.insert(key, now);
        }
        is_first
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_mount_is_refused_once_in_a_while() {
        let challenges = MountChallenges::default();
        let (to, from) = ("a/b".parse().unwrap(), "c".parse().unwrap());
        let first = |account, second| {
            let now = UNIX_EPOCH + Duration::from_secs(second);
            challenges.is_first(account, &to, &from, now)
        };
        assert!(first("ann", 0));
        assert!(!first("ann", 0) && !first("ann", 300));
        assert!(first("bob", 1) && !challenges.is_first("bob", &to, &from, UNIX_EPOCH));
        assert!(first("ann", 301));
    }
}
