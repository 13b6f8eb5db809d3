//! Tokens that are cached, and the memory of those that were.
//!
//! A signature costs more to verify than everything else that a small request does, and a client
//! shows the same token dozens of times. So a token that was believed is remembered by its SHA-256
//! until it expires; one that was not believed is not, for tomorrow its key may be known. When the
//! keys change, what was believed before counts no more. A token whose key nobody knows may be
//! signed with one that is new at its issuer, so the keys are looked for once more then.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use aws_lc_rs::digest::{SHA256, digest};
use common::unix_seconds;
use quick_cache::sync::Cache;
use token::{LEEWAY, VerifiedToken, Verifier, VerifyError};

/// How many tokens are remembered.
const CAPACITY: usize = 4096;

/// Whom a registry believes. Keys may be replaced while it serves.
pub struct TokenVerifier {
    current: ArcSwap<Generation>,
    cache: Cache<[u8; 32], CachedToken>,
    source: Option<Arc<dyn KeySource>>,
}

/// Where new keys come from.
pub trait KeySource: Send + Sync {
    /// Looks for new keys, and comes back when what there is has been handed to [`TokenVerifier::replace`],
    /// or when it is not worth waiting any longer. How often it really looks is its own to bound:
    /// anybody can send a token with an unknown key.
    fn refresh(&self) -> KeyRefresh<'_>;
}

/// A look for new keys, under way.
pub type KeyRefresh<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;

struct Generation {
    number: u64,
    /// One for each issuer, with its own keys.
    verifiers: Vec<Verifier>,
}

#[derive(Clone)]
struct CachedToken {
    generation: u64,
    /// The last second, since the Unix epoch, in which it is cached.
    until: u64,
    token: Arc<VerifiedToken>,
}

impl TokenVerifier {
    /// Believes what any of `verifiers` believes. Their leeway is [`LEEWAY`].
    #[must_use]
    pub fn new(verifiers: Vec<Verifier>) -> Self {
        let current = ArcSwap::from_pointee(Generation {
            number: 0,
            verifiers,
        });
        Self {
            current,
            cache: Cache::new(CAPACITY),
            source: None,
        }
    }

    /// Asks `supply` for new keys when a token's key is unknown.
    #[must_use]
    pub fn with_key_source(self, source: Arc<dyn KeySource>) -> Self {
        Self {
            source: Some(source),
            ..self
        }
    }

    /// Believes these from now on, and nothing that was believed before for that alone.
    pub fn replace(&self, verifiers: &[Verifier]) {
        self.current.rcu(|old| Generation {
            number: old.number + 1,
            verifiers: verifiers.to_vec(),
        });
    }

    /// The token, verified; with keys that are fetched for it where that is necessary.
    pub(crate) async fn verify(
        &self,
        token: &str,
        now: SystemTime,
    ) -> Result<Arc<VerifiedToken>, VerifyError> {
        match (self.verify_now(token, now), &self.source) {
            (Err(error), Some(source)) if is_about_an_unknown_key(&error) => {
                source.refresh().await;
                self.verify_now(token, now)
            }
            (result, _) => result,
        }
    }

    fn verify_now(&self, token: &str, now: SystemTime) -> Result<Arc<VerifiedToken>, VerifyError> {
        let mut key = [0; 32];
        key.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
        let current = self.current.load();
        if let Some(cached) = self.cache.get(&key)
            && cached.generation == current.number
            && unix_seconds(now) <= cached.until
        {
            return Ok(cached.token);
        }
        let verified = Arc::new(current.verify(token, now)?);
        let until = verified
            .claims()
            .expires_at
            .saturating_add(LEEWAY.as_secs());
        let cached = CachedToken {
            generation: current.number,
            until,
            token: Arc::clone(&verified),
        };
        self.cache.insert(key, cached);
        Ok(verified)
    }
}

impl Generation {
    /// What the first one says that believes it; else what the one says that knows its key; else
    /// what the last one says.
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

fn is_about_an_unknown_key(error: &VerifyError) -> bool {
    matches!(
        error,
        VerifyError::UnknownKeyId(_) | VerifyError::UntrustedKey | VerifyError::Chain(_)
    )
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use token::{
        Claims, HeaderMember, HeaderOptions, JwkSet, KeyIdKind, KeyKind, PrivateKey, Signer,
    };

    use super::*;

    fn now() -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn key() -> Arc<PrivateKey> {
        Arc::new(PrivateKey::generate(KeyKind::P256).unwrap())
    }

    fn token_of(key: &Arc<PrivateKey>, issuer: &str) -> String {
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
            id: "1".into(),
            access: vec![],
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
        let token_verifier = TokenVerifier::new(vec![verifier(&key, "Acme")]);
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
    fn other_keys_count_at_once() {
        let (old, new) = (key(), key());
        let token_verifier = TokenVerifier::new(vec![verifier(&old, "Acme")]);
        let (before, after) = (token_of(&old, "Acme"), token_of(&new, "Acme"));
        assert!(token_verifier.verify_now(&before, now()).is_ok());
        assert!(token_verifier.verify_now(&after, now()).is_err());
        token_verifier.replace(&[verifier(&new, "Acme")]);
        assert!(
            token_verifier.verify_now(&before, now()).is_err(),
            "what was remembered counts no more"
        );
        assert!(
            token_verifier.verify_now(&after, now()).is_ok(),
            "a failure is not remembered"
        );
    }

    /// Keys that appear when they are looked for, and how often that was.
    struct Supply {
        token_verifier: std::sync::OnceLock<std::sync::Weak<TokenVerifier>>,
        key: Arc<PrivateKey>,
        looks: std::sync::atomic::AtomicU32,
    }

    impl KeySource for Supply {
        fn refresh(&self) -> KeyRefresh<'_> {
            self.looks.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            Box::pin(async {
                let token_verifier = self.token_verifier.get().unwrap().upgrade().unwrap();
                token_verifier.replace(&[verifier(&self.key, "Acme")]);
            })
        }
    }

    #[tokio::test]
    async fn keys_are_looked_for_when_one_is_unknown_and_only_then() {
        let (old, new) = (key(), key());
        let (before, after) = (token_of(&old, "Acme"), token_of(&new, "Acme"));
        let supply = Arc::new(Supply {
            token_verifier: Default::default(),
            key: new,
            looks: Default::default(),
        });
        let looks = || supply.looks.load(std::sync::atomic::Ordering::SeqCst);
        let token_verifier = Arc::new(
            TokenVerifier::new(vec![verifier(&old, "Acme")])
                .with_key_source(Arc::clone(&supply) as _),
        );
        supply
            .token_verifier
            .set(Arc::downgrade(&token_verifier))
            .unwrap();
        assert!(token_verifier.verify(&before, now()).await.is_ok());
        for worthless in [&token_of(&old, "Other"), "no token", &format!("{before}x")] {
            assert!(token_verifier.verify(worthless, now()).await.is_err());
        }
        assert_eq!(looks(), 0);
        assert!(token_verifier.verify(&after, now()).await.is_ok());
        assert_eq!(looks(), 1);
    }

    #[test]
    fn each_issuer_has_its_own_keys() {
        let (ours, theirs) = (key(), key());
        let token_verifier =
            TokenVerifier::new(vec![verifier(&ours, "Acme"), verifier(&theirs, "Other")]);
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
            TokenVerifier::new(vec![])
                .verify_now(&token_of(&ours, "Acme"), now())
                .is_err()
        );
    }
}
