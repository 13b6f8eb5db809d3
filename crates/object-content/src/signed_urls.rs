//! The URLs that clients are sent to, remembered for a while.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::{Clock, unix_seconds};
use object_store::aws::AwsCredential;
use storage::ContentUrl;

use crate::signature::{BucketAddress, UrlSigner, UrlTerms};

/// All URLs that are signed within so many seconds have the same time, so that caches hit.
const WINDOW: u64 = 300;
/// How much earlier than its window a signature is, in seconds: the store's clock may be slow.
const SKEW: u64 = 60;
/// How long URLs of a temporary key are valid, in seconds. They end with the key, which
/// `object_store` replaces so long before its end.
const TEMPORARY: u64 = 300;
/// How many URLs are remembered.
const REMEMBERED: usize = 10_000;

/// What the store's response says. Content never changes.
const RESPONSE: [(&str, &str); 2] = [
    (
        "response-cache-control",
        "private, max-age=31536000, immutable",
    ),
    ("response-content-type", "application/octet-stream"),
];

/// The URLs of one bucket.
pub(crate) struct SignedUrls {
    address: BucketAddress,
    region: String,
    /// How long URLs are valid, in seconds.
    lifetime: u64,
    clock: Arc<dyn Clock>,
    window: Mutex<Option<Window>>,
}

/// The URLs of one window and one key.
struct Window {
    start: u64,
    credential: Arc<AwsCredential>,
    signer: UrlSigner,
    urls: HashMap<String, Arc<str>>,
}

impl SignedUrls {
    pub(crate) fn new(
        address: BucketAddress,
        region: String,
        lifetime: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            address,
            region,
            lifetime: lifetime.as_secs(),
            clock,
            window: Mutex::default(),
        }
    }

    /// The URL of an object, whose path is the one in the bucket.
    pub(crate) fn sign(&self, path: &str, credential: Arc<AwsCredential>) -> ContentUrl {
        let lifetime = match &credential.token {
            Some(_) => self.lifetime.min(TEMPORARY),
            None => self.lifetime,
        };
        let now = unix_seconds(self.clock.now());
        // A URL is valid for three quarters of its lifetime at least.
        let length = WINDOW.min(lifetime / 4).max(1);
        let start = now - now % length;
        let valid_for = Duration::from_secs((start + lifetime).saturating_sub(now));
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = window
            .as_ref()
            .is_some_and(|window| window.start == start && window.credential == credential);
        if !is_same {
            *window = None;
        }
        let window = window.get_or_insert_with(|| Window {
            start,
            signer: UrlSigner::new(
                &credential,
                &UrlTerms {
                    region: &self.region,
                    signed_at: start.saturating_sub(SKEW),
                    expires: lifetime + SKEW,
                    response: &RESPONSE,
                },
            ),
            credential,
            urls: HashMap::new(),
        });
        if let Some(url) = window.urls.get(path) {
            return ContentUrl::new(Arc::clone(url), valid_for);
        }
        let url: Arc<str> = window.signer.sign(&self.address, path).into();
        if window.urls.len() < REMEMBERED {
            window.urls.insert(path.to_owned(), Arc::clone(&url));
        }
        ContentUrl::new(url, valid_for)
    }
}

impl fmt::Debug for SignedUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedUrls")
            .field("address", &self.address)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::*;

    struct TestClock(AtomicU64);

    impl Clock for TestClock {
        fn now(&self) -> SystemTime {
            UNIX_EPOCH + Duration::from_secs(self.0.load(Ordering::SeqCst))
        }
    }

    fn urls(lifetime: u64) -> (SignedUrls, Arc<TestClock>) {
        let clock = Arc::new(TestClock(AtomicU64::new(1_800_000_000)));
        let address = BucketAddress::parse("https://s3.example/b").unwrap();
        let lifetime = Duration::from_secs(lifetime);
        let urls = SignedUrls::new(address, "eu".to_owned(), lifetime, clock.clone());
        (urls, clock)
    }

    fn key(token: Option<&str>) -> Arc<AwsCredential> {
        Arc::new(AwsCredential {
            key_id: "a".to_owned(),
            secret_key: "s".to_owned(),
            token: token.map(str::to_owned),
        })
    }

    #[test]
    fn urls_of_one_window_are_equal_and_good_for_its_time() {
        let (urls, clock) = urls(1200);
        let first = urls.sign("k", key(None));
        assert_eq!(first.valid_for(), Duration::from_secs(1200));
        clock.0.fetch_add(299, Ordering::SeqCst);
        let second = urls.sign("k", key(None));
        assert_eq!(second.expose(), first.expose());
        assert_eq!(second.valid_for(), Duration::from_secs(901));
        assert!(
            first.expose().contains("X-Amz-Expires=1260"),
            "and the skew"
        );
        assert_ne!(urls.sign("l", key(None)).expose(), first.expose());
        clock.0.fetch_add(1, Ordering::SeqCst);
        let third = urls.sign("k", key(None));
        assert_ne!(third.expose(), first.expose());
        assert_eq!(third.valid_for(), Duration::from_secs(1200));
    }

    #[test]
    fn urls_of_a_temporary_key_end_before_it_does() {
        let (urls, clock) = urls(1200);
        clock.0.fetch_add(10, Ordering::SeqCst);
        let url = urls.sign("k", key(Some("t")));
        assert_eq!(url.valid_for(), Duration::from_secs(290));
        assert!(url.expose().contains("X-Amz-Security-Token=t"));
        let renewed = urls.sign("k", key(Some("u")));
        assert_ne!(url.expose(), renewed.expose());
    }

    #[test]
    fn no_more_than_a_limit_is_remembered() {
        let (urls, _) = urls(1200);
        for number in 0..=REMEMBERED {
            urls.sign(&number.to_string(), key(None));
        }
        let window = urls.window.lock().unwrap();
        assert_eq!(window.as_ref().unwrap().urls.len(), REMEMBERED);
    }
}
