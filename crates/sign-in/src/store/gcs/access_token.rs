//! Access tokens of a service account, each used until shortly before it expires.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::{Clock, Secret, unix_seconds};
use openid::{ProviderClient, ProviderRequestError, RequestAuthorization};
use serde::Deserialize;
use tokio::sync::Mutex;

use super::service_account::ServiceAccountKey;

/// RFC 7523 §2.1.
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// How long before its end a token is replaced.
const EARLY: Duration = Duration::from_secs(60);

/// Gets access tokens, one for all requests of its time.
pub(super) struct AccessTokens {
    key: ServiceAccountKey,
    client: ProviderClient,
    clock: Arc<dyn Clock>,
    current: Mutex<Option<AccessToken>>,
}

struct AccessToken {
    token: Secret,
    good_until: SystemTime,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    #[serde(default)]
    expires_in: u64,
}

impl AccessTokens {
    pub(super) fn new(
        key: ServiceAccountKey,
        client: ProviderClient,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            key,
            client,
            clock,
            current: Mutex::default(),
        }
    }

    /// A token that is good now. Requests wait for each other here, so one of them asks for it.
    pub(super) async fn current(&self) -> Result<Secret, ProviderRequestError> {
        let now = self.clock.now();
        let mut current = self.current.lock().await;
        if let Some(current) = &*current
            && now < current.good_until
        {
            return Ok(current.token.clone());
        }
        let assertion = self.key.assertion(unix_seconds(now));
        let assertion =
            assertion.map_err(|error| ProviderRequestError::broken(error.to_string()))?;
        let form = [("grant_type", GRANT), ("assertion", assertion.expose())];
        let address = self.key.token_address();
        let response = self
            .client
            .post(address, RequestAuthorization::None, &form)
            .await?;
        let answer: TokenAnswer = response.json()?;
        let token = Secret::from(answer.access_token);
        let life = Duration::from_secs(answer.expires_in).saturating_sub(EARLY);
        *current = Some(AccessToken {
            token: token.clone(),
            good_until: now.checked_add(life).unwrap_or(now),
        });
        Ok(token)
    }

    /// Forgets `token`, unless another request has replaced it.
    pub(super) async fn discard(&self, token: &Secret) {
        let mut current = self.current.lock().await;
        current.take_if(|current| current.token.expose() == token.expose());
    }
}
