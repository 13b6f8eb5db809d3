//! Which mounts were refused lately for want of a scope.
//!
//! A mount whose token lacks `pull` on its source may be refused once, so that the client asks for
//! a token that has it. A client that comes back without it gets an ordinary upload: containerd
//! ends the whole push on the second 401.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lc_rs::digest::{SHA256, digest};
use identity::{SharedFailureCount, SharedFailures};
use oci::RepositoryName;
use quick_cache::sync::Cache;

/// How many refusals are remembered; each takes some 50 bytes.
const CAPACITY: usize = 4096;

/// How long a refusal counts.
const MEMORY: Duration = Duration::from_secs(300);

/// The refusals of the last minutes.
pub(crate) struct MountChallenges {
    own: Cache<[u8; 32], SystemTime>,
    /// Counts them for all servers: the client may come back to another one.
    shared: Option<Arc<dyn SharedFailures>>,
}

impl MountChallenges {
    pub(crate) fn new(shared: Option<Arc<dyn SharedFailures>>) -> Self {
        Self {
            own: Cache::new(CAPACITY),
            shared,
        }
    }

    /// Whether this mount was not refused lately. From now on it was.
    pub(crate) async fn is_first(
        &self,
        account: &str,
        to: &RepositoryName,
        from: &RepositoryName,
        now: SystemTime,
    ) -> bool {
        let text = ["mount", account, to.as_str(), from.as_str()].join("\0");
        let mut key = [0; 32];
        key.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
        let last = self.own.get(&key);
        if last.is_some_and(|last| now <= last + MEMORY) {
            return false;
        }
        self.own.insert(key, now);
        let Some(shared) = &self.shared else {
            return true;
        };
        // One refusal fills it.
        let count = [SharedFailureCount {
            key,
            period: MEMORY,
            interval: MEMORY,
        }];
        let is_first = shared.wait(&count).await.is_zero();
        if is_first {
            shared.record(&count).await;
        }
        is_first
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::UNIX_EPOCH;

    use common::BoxFuture;

    use super::*;

    /// What two servers share.
    #[derive(Default)]
    struct OneRefusal(Mutex<Vec<[u8; 32]>>);

    impl SharedFailures for OneRefusal {
        fn wait<'a>(&'a self, counts: &'a [SharedFailureCount]) -> BoxFuture<'a, Duration> {
            let is_known = self.0.lock().unwrap().contains(&counts[0].key);
            Box::pin(std::future::ready(MEMORY * u32::from(is_known)))
        }

        fn record<'a>(&'a self, counts: &'a [SharedFailureCount]) -> BoxFuture<'a, ()> {
            self.0.lock().unwrap().push(counts[0].key);
            Box::pin(std::future::ready(()))
        }
    }

    #[tokio::test]
    async fn a_mount_is_refused_once_in_a_while() {
        let challenges = MountChallenges::new(None);
        let (to, from) = ("a/b".parse().unwrap(), "c".parse().unwrap());
        let first = async |account, second| {
            let now = UNIX_EPOCH + Duration::from_secs(second);
            challenges.is_first(account, &to, &from, now).await
        };
        assert!(first("ann", 0).await);
        assert!(!first("ann", 0).await && !first("ann", 300).await);
        assert!(first("bob", 1).await);
        assert!(!challenges.is_first("bob", &to, &from, UNIX_EPOCH).await);
        assert!(first("ann", 301).await);
    }

    #[tokio::test]
    async fn a_client_that_comes_back_to_another_server_is_not_refused_again() {
        let shared: Arc<dyn SharedFailures> = Arc::new(OneRefusal::default());
        let servers = [0, 1].map(|_| MountChallenges::new(Some(Arc::clone(&shared))));
        let (to, from) = ("a/b".parse().unwrap(), "c".parse().unwrap());
        let first = async |server: usize, account| {
            let challenges = &servers[server];
            challenges.is_first(account, &to, &from, UNIX_EPOCH).await
        };
        assert!(first(0, "ann").await);
        assert!(!first(1, "ann").await && !first(0, "ann").await);
        assert!(first(1, "bob").await && !first(0, "bob").await);
    }
}
