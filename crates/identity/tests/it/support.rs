//! Logins to test, and a clock that stands still.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Clock, SystemEntropy};
use identity::password::Bcrypt;
use identity::process::Program;
use identity::{
    Account, Accounts, Authenticator, AuthenticatorChain, Credentials, ExtAuth, Login, LoginCache,
    LoginLimiter, LoginSettings, PasswordVerifier, Proof, StaticUsers, WorkerPool,
};

/// A clock that moves only in [`pass`](Self::pass).
pub(crate) struct HeldClock(Mutex<SystemTime>);

impl HeldClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(
            UNIX_EPOCH + Duration::from_secs(1_800_000_000),
        )))
    }

    pub(crate) fn pass(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

impl Clock for HeldClock {
    fn now(&self) -> SystemTime {
        *self.0.lock().unwrap()
    }
}

/// An account whose passwords are hashed at these costs.
pub(crate) fn account(passwords: &[(&str, u32)]) -> Account {
    let passwords = passwords
        .iter()
        .map(|(password, cost)| {
            Bcrypt::hash(password.as_bytes(), [5; 16], *cost)
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    Account {
        passwords,
        ..Account::default()
    }
}

pub(crate) fn accounts(all: &[(&str, Account)]) -> Accounts {
    let mut accounts = Accounts::default();
    for (name, account) in all {
        accounts.add((*name).to_owned(), account.clone()).unwrap();
    }
    accounts
}

pub(crate) fn verifier(accounts: &Accounts) -> Arc<PasswordVerifier> {
    let workers = Arc::new(WorkerPool::new(NonZeroUsize::new(2).unwrap()));
    Arc::new(PasswordVerifier::new(
        workers,
        accounts.iter().map(|(_, account)| account),
    ))
}

pub(crate) fn proof(account: &str, password: &str) -> Proof {
    Proof::Password(Credentials {
        account: account.into(),
        password: password.into(),
    })
}

/// A shell script in `directory` that is an `ext_auth` program. It is started through `sh`, for a
/// file just written may still be open in a child that another test is starting, and such a file
/// cannot be executed.
pub(crate) fn script(directory: &Path, text: &str, limit: Duration) -> Program {
    let path = directory.join("auth.sh");
    std::fs::write(&path, text).unwrap();
    Program::new("sh", [path], limit, NonZeroUsize::new(4).unwrap())
}

/// A login, and the parts of it that a test looks at.
pub(crate) struct Bench {
    pub(crate) login: Arc<Login>,
    pub(crate) verifier: Arc<PasswordVerifier>,
    pub(crate) clock: Arc<HeldClock>,
    limiter: Arc<LoginLimiter>,
    accounts: Accounts,
    settings: LoginSettings,
}

impl Bench {
    pub(crate) fn new(all: &[(&str, Account)]) -> Self {
        Self::with(all, LoginSettings::default(), None)
    }

    pub(crate) fn with(
        all: &[(&str, Account)],
        settings: LoginSettings,
        program: Option<Program>,
    ) -> Self {
        let (accounts, clock) = (accounts(all), HeldClock::new());
        let verifier = verifier(&accounts);
        let limiter = LoginLimiter::new(
            settings.per_address,
            settings.per_account,
            clock.clone(),
            &SystemEntropy,
        )
        .unwrap();
        let limiter = Arc::new(limiter);
        let login = login(&accounts, &settings, &clock, &limiter, &verifier, program);
        Self {
            login,
            verifier,
            clock,
            limiter,
            accounts,
            settings,
        }
    }

    /// A login of these backends alone.
    pub(crate) fn of(
        backends: Vec<Box<dyn Authenticator>>,
        verifier: Arc<PasswordVerifier>,
    ) -> Self {
        Self::remembering(backends, verifier, Duration::ZERO)
    }

    /// The same, with accepted logins remembered for `period`.
    pub(crate) fn remembering(
        backends: Vec<Box<dyn Authenticator>>,
        verifier: Arc<PasswordVerifier>,
        period: Duration,
    ) -> Self {
        let empty = Self::new(&[]);
        let cache = LoginCache::new(period, empty.clock.clone(), &SystemEntropy).unwrap();
        let chain = AuthenticatorChain::new(backends);
        let login = Login::new(chain, cache, empty.limiter.clone(), verifier.clone());
        Self {
            login: Arc::new(login),
            verifier,
            ..empty
        }
    }

    /// What a reload of the same configuration makes: a new cache behind the same limiter.
    pub(crate) fn reloaded(&self) -> Arc<Login> {
        login(
            &self.accounts,
            &self.settings,
            &self.clock,
            &self.limiter,
            &self.verifier,
            None,
        )
    }
}

fn login(
    accounts: &Accounts,
    settings: &LoginSettings,
    clock: &Arc<HeldClock>,
    limiter: &Arc<LoginLimiter>,
    verifier: &Arc<PasswordVerifier>,
    program: Option<Program>,
) -> Arc<Login> {
    let mut backends: Vec<Box<dyn Authenticator>> = vec![Box::new(StaticUsers::new(
        accounts.clone(),
        verifier.clone(),
    ))];
    if let Some(program) = program {
        backends.push(Box::new(ExtAuth::new(program, verifier.clone())));
    }
    let cache = LoginCache::new(settings.remember, clock.clone(), &SystemEntropy).unwrap();
    Arc::new(Login::new(
        AuthenticatorChain::new(backends),
        cache,
        limiter.clone(),
        verifier.clone(),
    ))
}
