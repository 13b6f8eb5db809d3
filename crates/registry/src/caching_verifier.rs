//! Verifies tokens with [`token::Verifier`], and caches those that are valid.
//!
//! A signature costs more to verify than everything else that a small request does, and a client
//! sends the same token dozens of times. So a token that verified is remembered by its SHA-256 until
//! it expires. A token that failed is not: its key may be known tomorrow. When the keys change, no
//! token that was verified before counts any more. A token with an unknown key may be signed with
//! one that is new at its issuer, so the keys are fetched once more for it.

use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::digest::{SHA256, digest};
use common::{BoxFuture, Counter, unix_seconds};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use token::{LEEWAY, VerifiedToken, Verifier, VerifyError};

/// How many tokens the memory is laid out for.
const EXPECTED_TOKENS: usize = 4096;

/// How much memory the remembered tokens take together, in bytes.
const MEMORY: u64 = 8 << 20;

/// The most memory that one token may take and still be remembered, in bytes. A token that grants
/// pull and push in 50 repositories takes some 10 KiB.
const LARGEST: u64 = 64 << 10;

/// Verifies tokens with the newest keys of a source.
pub struct CachingVerifier {
    source: Arc<dyn KeySource>,
    cache: Cache<[u8; 32], CachedToken, Weight>,
    remembered: Counter,
    verified: Counter,
    refused: Counter,
}

/// How tokens were verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifierStatistics {
    /// How many tokens are remembered now.
    pub entries: usize,
    /// How many tokens were remembered when they came.
    pub remembered: u64,
    /// How many were verified by their signature.
    pub verified: u64,
    /// How many were refused.
    pub refused: u64,
}

/// Hands out the keys that tokens are verified with.
pub trait KeySource: Send + Sync {
    /// The newest keys.
    fn current(&self) -> Arc<KeyGeneration>;

    /// Fetches new keys, and returns the newest when they are there or when it is not worth waiting
    /// any longer. The implementation bounds how often it really fetches: anyone can send a token
    /// with an unknown key.
    fn refresh(&self) -> BoxFuture<'_, Arc<KeyGeneration>>;
}

/// The keys of one moment.
pub struct KeyGeneration {
    number: u64,
    /// One for each issuer, with its own keys.
    verifiers: Vec<Verifier>,
}

/// Keys that never change.
struct FixedKeys(Arc<KeyGeneration>);

impl KeySource for FixedKeys {
    fn current(&self) -> Arc<KeyGeneration> {
        Arc::clone(&self.0)
    }

    fn refresh(&self) -> BoxFuture<'_, Arc<KeyGeneration>> {
        Box::pin(std::future::ready(self.current()))
    }
}

#[derive(Clone)]
struct CachedToken {
    generation: u64,
    /// The last second, since the Unix epoch, in which it is valid.
    until: u64,
    /// About how much memory it takes, in bytes.
    weight: u64,
    token: Arc<VerifiedToken>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<[u8; 32], CachedToken> for Weight {
    fn weight(&self, _: &[u8; 32], cached: &CachedToken) -> u64 {
        cached.weight
    }
}

impl CachingVerifier {
    /// Accepts what any of `verifiers` accepts. Their leeway is [`LEEWAY`].
    #[must_use]
    pub fn new(verifiers: Vec<Verifier>) -> Self {
        let keys = Arc::new(KeyGeneration::new(0, verifiers));
        Self::with_keys_of(Arc::new(FixedKeys(keys)))
    }

    /// Accepts what the newest keys of `source` accept.
    #[must_use]
    pub fn with_keys_of(source: Arc<dyn KeySource>) -> Self {
        Self {
            source,
            cache: Cache::with_weighter(EXPECTED_TOKENS, MEMORY, Weight),
            remembered: Counter::default(),
            verified: Counter::default(),
            refused: Counter::default(),
        }
    }

    /// How tokens were verified.
    #[must_use]
    pub fn statistics(&self) -> VerifierStatistics {
        VerifierStatistics {
            entries: self.cache.len(),
            remembered: self.remembered.value(),
            verified: self.verified.value(),
            refused: self.refused.value(),
        }
    }

    /// The token, verified, with keys that are fetched for it if necessary.
    pub(crate) async fn verify(
        &self,
        token: &str,
        now: SystemTime,
    ) -> Result<Arc<VerifiedToken>, VerifyError> {
        let keys = self.source.current();
        match self.verify_with(&keys, token, now) {
            Err(error) if is_about_an_unknown_key(&error) => {
                let newest = self.source.refresh().await;
                if newest.number == keys.number {
                    return Err(error);
                }
                self.verify_with(&newest, token, now)
            }
            result => result,
        }
    }

    /// The token, verified as of another time than now. It is not remembered.
    pub(crate) fn verify_at(
        &self,
        token: &str,
        time: SystemTime,
    ) -> Result<Arc<VerifiedToken>, VerifyError> {
        self.source.current().verify(token, time).map(Arc::new)
    }

    fn verify_with(
        &self,
        current: &KeyGeneration,
        token: &str,
        now: SystemTime,
    ) -> Result<Arc<VerifiedToken>, VerifyError> {
        let mut key = [0; 32];
        key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        if let Some(cached) = self.cache.get(&key)
            && cached.generation == current.number
            && unix_seconds(now) <= cached.until
        {
            self.remembered.increment();
            return Ok(cached.token);
        }
        let verified = current.verify(token, now);
        match &verified {
            Ok(_) => self.verified.increment(),
            Err(_) => self.refused.increment(),
        }
        let verified = Arc::new(verified?);
        let weight = weight(&verified);
        if weight <= LARGEST {
            let end = verified.claims().expires_at;
            let cached = CachedToken {
                generation: current.number,
                until: end.saturating_add(LEEWAY.as_secs()),
                weight,
                token: Arc::clone(&verified),
            };
            self.cache.insert(key, cached);
        }
        Ok(verified)
    }
}

impl KeyGeneration {
    /// Keys under a number that the source gives to no others.
    #[must_use]
    pub fn new(number: u64, verifiers: Vec<Verifier>) -> Self {
        Self { number, verifiers }
    }

    /// The result of the first verifier that accepts the token; else of the one that knows its key;
    /// else of the last one.
    fn verify(&self, token: &str, now: SystemTime) -> Result<VerifiedToken, VerifyError> {
        let mut refused = VerifyError::NoKey;
        let mut knows_key = false;
        for verifier in &self.verifiers {
            match verifier.verify(token, now) {
                Ok(verified) => return Ok(verified),
                Err(_) if knows_key => {}
                Err(error) => {
                    knows_key = !is_about_an_unknown_key(&error);
                    refused = error;
                }
            }
        }
        Err(refused)
    }
}

/// About how much memory a token takes, in bytes: each string has its own, and some more for the
/// allocator.
fn weight(token: &VerifiedToken) -> u64 {
    const EACH: usize = size_of::<String>() + 16;
    let claims = token.claims();
    let mut sum = 512 + claims.issuer.len() + claims.subject.len() + claims.id.len();
    sum += claims
        .audience
        .iter()
        .map(|text| EACH + text.len())
        .sum::<usize>();
    for access in &claims.access {
        sum += 4 * EACH + access.resource_type.len() + access.name.len();
        sum += access
            .actions
            .iter()
            .map(|text| EACH + text.len())
            .sum::<usize>();
    }
    sum as u64
}

fn is_about_an_unknown_key(error: &VerifyError) -> bool {
    matches!(
        error,
        VerifyError::UnknownKeyId(_) | VerifyError::UntrustedKey | VerifyError::Chain(_)
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::{Duration, UNIX_EPOCH};

    use token::{
        Claims, HeaderMember, HeaderOptions, JwkSet, KeyIdKind, KeyKind, PrivateKey, Signer,
    };

    use super::*;

    impl CachingVerifier {
        /// Verifies with the keys that are there.
        fn verify_now(
            &self,
            token: &str,
            now: SystemTime,
        ) -> Result<Arc<VerifiedToken>, VerifyError> {
            self.verify_with(&self.source.current(), token, now)
        }
    }

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn key() -> Arc<PrivateKey> {
        Arc::new(PrivateKey::generate(KeyKind::P256).unwrap())
    }

    fn token_of(key: &Arc<PrivateKey>, issuer: &str) -> String {
        signed(key, issuer, "1".into(), vec![])
    }

    fn signed(
        key: &Arc<PrivateKey>,
        issuer: &str,
        id: String,
        access: Vec<token::Access>,
    ) -> String {
        let header = HeaderOptions {
            members: &[HeaderMember::Kid],
            key_id: KeyIdKind::Thumbprint,
            chain: &[],
        };
        let seconds = unix_seconds(now());
        let claims = Claims {
            issuer: issuer.into(),
            subject: "alice".into(),
            audience: "registry".into(),
            expires_at: seconds + 300,
            not_before: seconds,
            issued_at: seconds,
            id,
            access,
            personal_token: String::new(),
        };
        Signer::new(Arc::clone(key), header)
            .unwrap()
            .sign(&claims)
            .unwrap()
    }

    fn verifier(key: &PrivateKey, issuer: &str) -> Verifier {
        let keys: JwkSet = [key.public().jwk()].into_iter().collect();
        Verifier::new("registry", [issuer.to_owned()]).trusting_keys(&keys)
    }

    #[test]
    fn a_token_is_verified_once_and_forgotten_in_time() {
        let key = key();
        let token_verifier = CachingVerifier::new(vec![verifier(&key, "Acme")]);
        let token = token_of(&key, "Acme");
        let first = token_verifier.verify_now(&token, now()).unwrap();
        assert!(
            Arc::ptr_eq(&first, &token_verifier.verify_now(&token, now()).unwrap()),
            "remembered"
        );
        let end = now() + Duration::from_secs(300) + LEEWAY;
        assert!(token_verifier.verify_now(&token, end).is_ok());
        assert!(matches!(
            token_verifier.verify_now(&token, end + Duration::from_secs(1)),
            Err(VerifyError::Expired { .. })
        ));
    }

    #[test]
    fn the_memory_is_bounded_in_bytes_and_large_tokens_take_none() {
        let key = key();
        let verifier = CachingVerifier::new(vec![verifier(&key, "Acme")]);
        let token = |id: usize, actions: usize| {
            let access = token::Access {
                resource_type: "repository".into(),
                name: "alice/x".into(),
                actions: (0..actions).map(|n| n.to_string()).collect(),
            };
            signed(&key, "Acme", id.to_string(), vec![access])
        };
        let large = token(0, 5000);
        let first = verifier.verify_now(&large, now()).unwrap();
        let second = verifier.verify_now(&large, now()).unwrap();
        assert!(!Arc::ptr_eq(&first, &second), "not remembered");
        assert_eq!(verifier.cache.weight(), 0);
        for id in 0..600 {
            assert!(verifier.verify_now(&token(id, 800), now()).is_ok());
        }
        assert!(
            verifier.cache.weight() <= MEMORY,
            "{}",
            verifier.cache.weight()
        );
        assert!(verifier.cache.len() > 50 && verifier.cache.len() < 600);
    }

    /// Keys that change when a test says so, and how often they were fetched.
    struct TestKeys {
        current: Mutex<Arc<KeyGeneration>>,
        next: Mutex<Option<KeyGeneration>>,
        fetched: AtomicU32,
    }

    impl TestKeys {
        fn new(key: &PrivateKey) -> Arc<Self> {
            let keys = KeyGeneration::new(0, vec![verifier(key, "Acme")]);
            Arc::new(Self {
                current: Mutex::new(Arc::new(keys)),
                next: Mutex::default(),
                fetched: AtomicU32::new(0),
            })
        }
    }

    impl KeySource for TestKeys {
        fn current(&self) -> Arc<KeyGeneration> {
            Arc::clone(&self.current.lock().unwrap())
        }

        fn refresh(&self) -> BoxFuture<'_, Arc<KeyGeneration>> {
            self.fetched.fetch_add(1, Ordering::SeqCst);
            if let Some(next) = self.next.lock().unwrap().take() {
                *self.current.lock().unwrap() = Arc::new(next);
            }
            Box::pin(std::future::ready(self.current()))
        }
    }

    #[tokio::test]
    async fn other_keys_count_at_once() {
        let (old, new) = (key(), key());
        let keys = TestKeys::new(&old);
        let token_verifier = CachingVerifier::with_keys_of(Arc::clone(&keys) as _);
        let (before, after) = (token_of(&old, "Acme"), token_of(&new, "Acme"));
        assert!(token_verifier.verify(&before, now()).await.is_ok());
        assert!(token_verifier.verify(&after, now()).await.is_err());
        let newer = KeyGeneration::new(1, vec![verifier(&new, "Acme")]);
        *keys.current.lock().unwrap() = Arc::new(newer);
        assert!(
            token_verifier.verify(&before, now()).await.is_err(),
            "a token that was verified with other keys does not count"
        );
        assert!(
            token_verifier.verify(&after, now()).await.is_ok(),
            "a failure is not remembered"
        );
    }

    #[tokio::test]
    async fn keys_are_fetched_when_one_is_unknown_and_only_then() {
        let (old, new) = (key(), key());
        let (before, after) = (token_of(&old, "Acme"), token_of(&new, "Acme"));
        let keys = TestKeys::new(&old);
        let token_verifier = CachingVerifier::with_keys_of(Arc::clone(&keys) as _);
        *keys.next.lock().unwrap() = Some(KeyGeneration::new(1, vec![verifier(&new, "Acme")]));
        let fetched = || keys.fetched.load(Ordering::SeqCst);
        assert!(token_verifier.verify(&before, now()).await.is_ok());
        for worthless in [&token_of(&old, "Other"), "no token", &format!("{before}x")] {
            assert!(token_verifier.verify(worthless, now()).await.is_err());
        }
        assert_eq!(fetched(), 0);
        assert!(token_verifier.verify(&after, now()).await.is_ok());
        assert_eq!(fetched(), 1);
    }

    #[test]
    fn each_issuer_has_its_own_keys() {
        let (ours, theirs) = (key(), key());
        let token_verifier =
            CachingVerifier::new(vec![verifier(&ours, "Acme"), verifier(&theirs, "Other")]);
        assert!(
            token_verifier
                .verify_now(&token_of(&ours, "Acme"), now())
                .is_ok()
        );
        assert!(
            token_verifier
                .verify_now(&token_of(&theirs, "Other"), now())
                .is_ok()
        );
        assert!(
            token_verifier
                .verify_now(&token_of(&theirs, "Acme"), now())
                .is_err()
        );
        assert!(
            CachingVerifier::new(vec![])
                .verify_now(&token_of(&ours, "Acme"), now())
                .is_err()
        );
    }
}
