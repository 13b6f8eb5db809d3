//! Tokens in a database, a clock that stands still, and a backend whose accounts can change.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{BoxFuture, Clock, SystemEntropy};
use database::{
    AdministrationEntry, AdministrationFilter, Administrator, Database, Precondition,
    logged_changes,
};
use identity::{
    Account, AccountHint, AuthenticationError, AuthenticationOutcome, Authenticator,
    AuthenticatorChain, BackendError, Credentials, CurrentCredentials, Login, LoginCache,
    LoginLimiter, LoginOutcome, LoginSource, PasswordHash, PasswordVerifier, Proof, Rate, Recheck,
    WorkerPool,
};
use personal_tokens::{
    CreatedSecret, NewToken, NewTokenHolder, PersonalTokens, PersonalTokensError, TokenPolicy,
    TokenVerifier, parse_ceiling,
};
use policy::{Labels, Subject};

use crate::test_database::{DatabaseKind, TestDatabase};

/// For changes that require nothing.
pub(crate) const FREE: Precondition = Precondition::Unconditional;

pub(crate) const DAY: Duration = Duration::from_secs(86_400);

/// A clock that moves only in [`pass`](Self::pass).
pub(crate) struct HeldClock(Mutex<SystemTime>);

impl HeldClock {
    pub(crate) fn pass(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

impl Clock for HeldClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}

/// What a backend says of each account. It counts the proofs that it sees.
#[derive(Default)]
pub(crate) struct People {
    accounts: Mutex<Vec<(String, Recheck)>>,
    seen: AtomicUsize,
}

impl People {
    pub(crate) fn set(&self, account: &str, recheck: Recheck) {
        let mut accounts = self.accounts.lock().unwrap();
        accounts.retain(|(name, _)| name != account);
        accounts.push((account.to_owned(), recheck));
    }

    pub(crate) fn proofs_seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

pub(crate) fn present(account: &str, team: &str) -> Recheck {
    Recheck::Present {
        subject: Subject {
            account: account.to_owned(),
            labels: Labels::from([("team".to_owned(), vec![team.to_owned()])]),
        },
        credentials: CurrentCredentials::Unknown,
    }
}

/// The backend of [`People`] under a name.
pub(crate) struct Directory(pub(crate) &'static str, pub(crate) Arc<People>);

impl Authenticator for Directory {
    fn name(&self) -> &'static str {
        self.0
    }

    fn hint(&self, _: &str) -> AccountHint {
        AccountHint::NeedsProof
    }

    fn authenticate<'a>(
        &'a self,
        _: &'a Proof,
        _: &'a LoginSource,
    ) -> BoxFuture<'a, Result<AuthenticationOutcome, AuthenticationError>> {
        self.1.seen.fetch_add(1, Ordering::SeqCst);
        Box::pin(std::future::ready(Ok(AuthenticationOutcome::NoMatch)))
    }

    fn recheck<'a>(&'a self, account: &'a str) -> BoxFuture<'a, Result<Recheck, BackendError>> {
        let accounts = self.1.accounts.lock().unwrap();
        let found = accounts.iter().find(|(name, _)| name == account);
        let found = found.map_or(Recheck::NoMatch, |(_, recheck)| recheck.clone());
        Box::pin(std::future::ready(Ok(found)))
    }
}

/// Tokens, their operations and a login by them.
pub(crate) struct Bench {
    pub(crate) tokens: PersonalTokens,
    pub(crate) database: Database,
    pub(crate) people: Arc<People>,
    pub(crate) clock: Arc<HeldClock>,
    pub(crate) login: Login,
    pub(crate) passwords: Arc<PasswordVerifier>,
    pub(crate) place: TestDatabase,
}

impl Bench {
    pub(crate) fn new(kind: DatabaseKind) -> Self {
        Self::with(kind, TokenPolicy::default(), Vec::new())
    }

    /// With these backends before the directory, which has `ann`.
    pub(crate) fn with(
        kind: DatabaseKind,
        policy: TokenPolicy,
        before: Vec<Box<dyn Authenticator>>,
    ) -> Self {
        let place = TestDatabase::new(kind);
        let database = place.database.clone();
        let tokens = PersonalTokens::new(database.clone(), policy, Arc::new(SystemEntropy));
        let clock = Arc::new(HeldClock(Mutex::new(
            UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        )));
        let people = Arc::new(People::default());
        people.set("ann", present("ann", "red"));
        let mut backends = before;
        backends.push(Box::new(Directory("directory", Arc::clone(&people))));
        let verifier = TokenVerifier::new(tokens.clone(), clock.clone());
        let chain = AuthenticatorChain::new(backends).with_tokens(Arc::new(verifier));
        let hash: PasswordHash = "$2b$04$U6Ek8MxpXUzZitZIW13AqeCjpSV4WMvQzrn0qdVJ7NTSK2BXum2VW"
            .parse()
            .unwrap();
        let account = Account {
            passwords: vec![hash],
            ..Account::default()
        };
        let workers = Arc::new(WorkerPool::new(NonZeroUsize::MIN));
        let passwords = Arc::new(PasswordVerifier::new(workers, [&account]));
        let cache = LoginCache::new(DAY, clock.clone(), &SystemEntropy).unwrap();
        let rate = Rate::per_minute(10);
        let limiter = LoginLimiter::new(rate, rate, clock.clone(), &SystemEntropy).unwrap();
        Self {
            login: Login::new(chain, cache, Arc::new(limiter), Arc::clone(&passwords)),
            tokens,
            database,
            people,
            clock,
            passwords,
            place,
        }
    }

    /// The backends, as a command builds them.
    pub(crate) fn owners(&self) -> AuthenticatorChain {
        let people = Arc::clone(&self.people);
        AuthenticatorChain::new(vec![Box::new(Directory("directory", people))])
    }

    /// What was logged, the earliest first.
    pub(crate) async fn log(&self) -> Vec<AdministrationEntry> {
        let read = self
            .database
            .read(|connection| logged_changes(connection, &AdministrationFilter::default(), 100));
        let mut entries = read.await.unwrap();
        entries.reverse();
        entries
    }

    /// The actions that were logged.
    pub(crate) async fn actions(&self) -> Vec<String> {
        let log = self.log().await;
        log.into_iter().map(|entry| entry.action).collect()
    }

    pub(crate) async fn create(&self, new: NewToken) -> Result<CreatedSecret, PersonalTokensError> {
        let (owners, now) = (self.owners(), self.clock.now());
        self.tokens.create(new, &owners, &root(), now).await
    }

    /// A login with a secret as the password of `account`, or as a Bearer token if that is empty.
    pub(crate) async fn log_in(
        &self,
        account: &str,
        secret: &common::Secret,
        from: &str,
    ) -> LoginOutcome {
        let proof = match account {
            "" => Proof::BearerToken(secret.clone()),
            _ => Proof::Password(Credentials {
                account: account.to_owned(),
                password: secret.clone(),
            }),
        };
        let address: std::net::IpAddr = from.parse().unwrap();
        self.login.login(&proof, Some(address)).await.unwrap()
    }
}

pub(crate) fn root() -> Administrator {
    Administrator::SystemUser("root (uid 0)".into())
}

/// A robot of the system, or of a person, that may pull `app`.
pub(crate) fn robot(name: &str, owner: Option<&str>) -> NewToken {
    NewToken {
        holder: NewTokenHolder::Robot {
            name: name.parse().unwrap(),
            owner: owner.map(str::to_owned),
        },
        ceiling: parse_ceiling(&["repository:app:pull"]).unwrap(),
        networks: Vec::new(),
        lifetime: None,
    }
}

/// A personal token that may pull `app`.
pub(crate) fn personal(account: &str, name: &str) -> NewToken {
    NewToken {
        holder: NewTokenHolder::Person {
            account: account.to_owned(),
            name: name.parse().unwrap(),
        },
        ..robot("unused", None)
    }
}
