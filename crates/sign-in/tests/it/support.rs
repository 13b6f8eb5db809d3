//! Accounts to test, and a clock that stands still.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Clock, Secret, SystemEntropy};
use identity::password::HashCost;
use identity::{
    Account, AuthenticationError, AuthenticationOutcome, Authenticator, Credentials, LoginSource,
    PasswordVerifier, Proof, WorkerPool,
};
use openid::ProviderClient;
use sign_in::{
    AccountParts, AccountPolicy, ExpectedUser, IdentityProvider, MemoryTokenStore, OidcProvider,
    OidcSettings, ProviderTokens, ProviderUser, RefreshWhen, SignInAccounts, SignInBackend,
    TokenStore,
};

use crate::oidc_stub::{CLIENT_SECRET, OidcStub};

/// Where a browser reaches the page, which the settings overrule.
pub(crate) const PAGE: &str = "https://page.example.com/auth";

/// 2026-11-01, when every test begins.
pub(crate) const START: u64 = 1_793_491_200;

/// A clock that moves only in [`pass`](Self::pass).
pub(crate) struct HeldClock(Mutex<SystemTime>);

impl HeldClock {
    pub(crate) fn pass(&self, seconds: u64) {
        *self.0.lock().unwrap() += Duration::from_secs(seconds);
    }
}

impl Clock for HeldClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}

/// Accounts with what a test looks at.
pub(crate) struct Bench {
    pub(crate) accounts: SignInAccounts,
    pub(crate) backend: Arc<SignInBackend>,
    pub(crate) provider: Arc<dyn IdentityProvider>,
    pub(crate) verifier: Arc<PasswordVerifier>,
    pub(crate) store: Arc<dyn TokenStore>,
    pub(crate) clock: Arc<HeldClock>,
}

impl Bench {
    pub(crate) fn new(
        section: &'static str,
        policy: AccountPolicy,
        provider: impl FnOnce(ProviderClient, Arc<HeldClock>) -> Arc<dyn IdentityProvider>,
    ) -> Self {
        Self::with_store(
            Arc::new(MemoryTokenStore::default()),
            section,
            policy,
            provider,
        )
    }

    /// Accounts in a store of the test's own.
    pub(crate) fn with_store(
        store: Arc<dyn TokenStore>,
        section: &'static str,
        policy: AccountPolicy,
        provider: impl FnOnce(ProviderClient, Arc<HeldClock>) -> Arc<dyn IdentityProvider>,
    ) -> Self {
        let start = UNIX_EPOCH + Duration::from_secs(START);
        let clock = Arc::new(HeldClock(Mutex::new(start)));
        let client = ProviderClient::new(Duration::from_secs(30)).unwrap();
        let provider = provider(client, clock.clone());
        let accounts = SignInAccounts::new(AccountParts {
            section,
            provider: provider.clone(),
            store: store.clone(),
            policy,
            clock: clock.clone(),
            entropy: Arc::new(SystemEntropy),
        });
        let workers = Arc::new(WorkerPool::new(NonZeroUsize::new(2).unwrap()));
        let verifier = PasswordVerifier::new(workers, std::iter::empty::<&Account>());
        let verifier = Arc::new(verifier.expecting(&HashCost::bcrypt(1 << 10)));
        let backend = SignInBackend::new(accounts.clone(), verifier.clone());
        Self {
            accounts,
            backend: Arc::new(backend),
            provider,
            verifier,
            store,
            clock,
        }
    }

    /// Accounts of an OpenID Connect provider.
    pub(crate) fn oidc(stub: &OidcStub) -> Self {
        Self::oidc_with(stub, |_| {})
    }

    pub(crate) fn oidc_with(stub: &OidcStub, change: impl FnOnce(&mut OidcSettings)) -> Self {
        let mut settings = Self::oidc_settings(stub);
        change(&mut settings);
        Self::new("oidc_auth", oidc_policy(), |client, clock| {
            Arc::new(OidcProvider::new(settings, client, clock))
        })
    }

    /// A server that waits for the provider no longer than `timeout`.
    pub(crate) fn impatient_oidc(stub: &OidcStub, timeout: Duration) -> Self {
        let (settings, client) = (Self::oidc_settings(stub), ProviderClient::new(timeout));
        Self::new("oidc_auth", oidc_policy(), |_, clock| {
            Arc::new(OidcProvider::new(settings, client.unwrap(), clock))
        })
    }

    fn oidc_settings(stub: &OidcStub) -> OidcSettings {
        OidcSettings {
            issuer: stub.issuer(),
            client_id: "wharfinger".to_owned(),
            client_secret: CLIENT_SECRET.into(),
            redirect_url: Some("https://auth.example.com/oidc_auth".to_owned()),
            scopes: vec!["openid".to_owned(), "email".to_owned()],
            user_claim: "email".to_owned(),
            label_claims: vec!["groups".to_owned()],
            domain: None,
            parameters: Vec::new(),
        }
    }

    /// Google's settings, with the stub as the issuer.
    pub(crate) fn google(stub: &OidcStub, domain: Option<&str>) -> Self {
        let (id, secret) = ("wharfinger".to_owned(), CLIENT_SECRET.into());
        let domain = domain.map(str::to_owned);
        let settings = OidcSettings {
            issuer: stub.issuer(),
            ..OidcSettings::google(id, secret, None, domain)
        };
        Self::new("google_auth", oidc_policy(), |client, clock| {
            Arc::new(OidcProvider::new(settings, client, clock))
        })
    }

    /// Stores a user, as the end of a sign-in does, and gives the password.
    pub(crate) async fn store_user(&self, tokens: &ProviderTokens, user: &ProviderUser) -> Secret {
        let made = self.accounts.sign_in(tokens, user, "test").await.unwrap();
        made.password
    }

    pub(crate) async fn log_in(
        &self,
        account: &str,
        password: &Secret,
    ) -> Result<AuthenticationOutcome, AuthenticationError> {
        let proof = Proof::Password(Credentials {
            account: account.into(),
            password: password.clone(),
        });
        let source = LoginSource::new(None, account);
        self.backend.authenticate(&proof, &source).await
    }

    /// The labels of a login that is accepted.
    #[track_caller]
    pub(crate) fn labels(
        outcome: Result<AuthenticationOutcome, AuthenticationError>,
    ) -> policy::Labels {
        match outcome {
            Ok(AuthenticationOutcome::Accepted(identity)) => identity.subject.labels,
            other => panic!("not accepted: {other:?}"),
        }
    }
}

/// As the configuration has it by default.
pub(crate) fn oidc_policy() -> AccountPolicy {
    AccountPolicy {
        revalidate_after: None,
        session: Duration::from_secs(12 * 3600),
        refresh: RefreshWhen::Always,
        ignores_case: false,
    }
}

pub(crate) fn hourly_policy() -> AccountPolicy {
    AccountPolicy {
        revalidate_after: Some(Duration::from_secs(3600)),
        session: Duration::from_secs(3600),
        refresh: RefreshWhen::Refused,
        ignores_case: true,
    }
}

/// Tokens that a provider gave.
pub(crate) fn tokens(access: &str, refresh: &str) -> ProviderTokens {
    ProviderTokens {
        token_type: "bearer".to_owned(),
        access_token: access.into(),
        refresh_token: refresh.into(),
        id_token: "".into(),
        expires_in: None,
    }
}

/// A sign-in by a page has this nonce, which only OpenID Connect looks at.
pub(crate) const AT_SIGN_IN: ExpectedUser<'_> = ExpectedUser::SignIn { nonce: "n" };

pub(crate) fn label(name: &str, values: &[&str]) -> policy::Labels {
    let values = values.iter().map(|value| (*value).to_owned());
    policy::Labels::from([(name.to_owned(), values.collect())])
}
