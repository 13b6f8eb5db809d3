//! The tokens of a session, each until it expires.

use std::time::{Duration, SystemTime};

use reqwest::header::HeaderValue;

use super::scopes::Scopes;

/// How long before its expiry a token is no longer used: the request has to arrive, and clocks
/// differ.
const MARGIN: Duration = Duration::from_secs(10);

/// Tokens by the scopes that they were requested for.
#[derive(Default)]
pub(super) struct TokenCache(Vec<CachedToken>);

struct CachedToken {
    scopes: Scopes,
    authorization: HeaderValue,
    until: SystemTime,
}

impl TokenCache {
    /// The header for a request that needs `scopes`.
    pub(super) fn find(&self, scopes: &Scopes, now: SystemTime) -> Option<&HeaderValue> {
        self.0
            .iter()
            .find(|kept| kept.until > now && kept.scopes.cover(scopes))
            .map(|kept| &kept.authorization)
    }

    /// Keeps a token for `lifetime` from `now`, by the local clock: then it does not matter whose
    /// clock is right.
    pub(super) fn keep(
        &mut self,
        scopes: Scopes,
        authorization: HeaderValue,
        lifetime: Duration,
        now: SystemTime,
    ) {
        self.0
            .retain(|kept| kept.until > now && !scopes.cover(&kept.scopes));
        let until = now + lifetime.saturating_sub(MARGIN.min(lifetime / 2));
        self.0.push(CachedToken {
            scopes,
            authorization,
            until,
        });
    }

    /// Forgets a token that the registry rejected.
    pub(super) fn forget(&mut self, authorization: &HeaderValue) {
        self.0.retain(|kept| kept.authorization != authorization);
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn a_token_serves_its_scopes_until_it_expires() {
        let name = "a".parse().unwrap();
        let (pull, push) = (Scopes::pull(&name), Scopes::push(&name));
        let mut tokens = TokenCache::default();
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        tokens.keep(
            pull.clone(),
            HeaderValue::from_static("one"),
            Duration::from_secs(60),
            at(0),
        );
        assert_eq!(tokens.find(&pull, at(49)).unwrap(), "one");
        assert!(tokens.find(&pull, at(50)).is_none() && tokens.find(&push, at(0)).is_none());
        tokens.keep(
            push.clone(),
            HeaderValue::from_static("two"),
            Duration::from_secs(4),
            at(1),
        );
        assert_eq!(
            tokens.find(&pull, at(2)).unwrap(),
            "two",
            "the wider one replaces the other"
        );
        assert!(
            tokens.find(&pull, at(3)).is_none(),
            "half of a short life is used"
        );
        tokens.keep(
            push,
            HeaderValue::from_static("three"),
            Duration::from_secs(60),
            at(1),
        );
        tokens.forget(&HeaderValue::from_static("three"));
        assert!(tokens.find(&pull, at(2)).is_none());
    }
}
