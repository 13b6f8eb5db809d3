//! Directories, backends that ask them, and what they log.

use std::error::Error;
use std::io;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Clock, SystemClock};
use identity::password::Bcrypt;
use identity::tls::ClientTls;
use identity::{
    Account, AuthenticationError, AuthenticationOutcome, Authenticator, AuthenticatorChain,
    BackendError, BackendFault, CredentialFingerprint, Credentials, EarlierLogin, LoginSource,
    PasswordVerifier, Proof, SessionStatus, WorkerPool,
};
use ldap::{
    BindNameTemplate, DirectoryAddress, DirectoryServer, DirectoryTimeouts, FilterTemplate,
    LdapAuth, LdapSettings, ReaderCredentials, SearchIdentity,
};
use peers::{Slapd, SlapdConfig};
use tracing_subscriber::fmt::MakeWriter;

/// A directory that no test changes.
pub(crate) fn shared() -> &'static Slapd {
    static SHARED: OnceLock<Slapd> = OnceLock::new();
    SHARED.get_or_init(own)
}

/// A directory for one test.
pub(crate) fn own() -> Slapd {
    Slapd::start(&SlapdConfig::default())
}

/// The name of a person's entry.
pub(crate) fn person(uid: &str) -> String {
    format!("uid={uid},{}", Slapd::PEOPLE)
}

/// A server without TLS.
pub(crate) fn server(host_port: &str) -> DirectoryServer {
    let address = DirectoryAddress::parse(host_port, None).unwrap();
    DirectoryServer::new(address, &ClientTls::default()).unwrap()
}

/// A reader who searches people by `uid`.
pub(crate) fn settings(host_port: &str) -> LdapSettings {
    LdapSettings {
        servers: vec![server(host_port)],
        search_as: reader(Slapd::READER_PASSWORD),
        base: Slapd::PEOPLE.to_owned(),
        filter: FilterTemplate::of_account("(uid=${account})").unwrap(),
        account_attribute: Some("uid".to_owned()),
        labels: Vec::new(),
        groups: None,
        timeouts: DirectoryTimeouts {
            connect: Duration::from_secs(30),
            operation: Duration::from_secs(30),
        },
        concurrency: NonZeroUsize::new(16).unwrap(),
    }
}

pub(crate) fn reader(password: &str) -> SearchIdentity {
    SearchIdentity::Reader(ReaderCredentials {
        bind_dn: Slapd::READER.to_owned(),
        password: password.into(),
    })
}

/// The account itself binds as `name`, and searches.
pub(crate) fn as_account(name: &str) -> SearchIdentity {
    SearchIdentity::Account(BindNameTemplate::parse(name).unwrap())
}

/// A verifier whose rejections cost something.
pub(crate) fn verifier() -> Arc<PasswordVerifier> {
    let hash = Bcrypt::hash(b"x", [5; 16], 4).unwrap().parse().unwrap();
    let account = Account {
        passwords: vec![hash],
        ..Account::default()
    };
    let workers = Arc::new(WorkerPool::new(NonZeroUsize::new(2).unwrap()));
    Arc::new(PasswordVerifier::new(workers, [&account]))
}

pub(crate) fn backend(settings: LdapSettings) -> LdapAuth {
    LdapAuth::new(settings, verifier(), Arc::new(SystemClock))
}

/// A clock that moves only in [`pass`](Self::pass).
pub(crate) struct HeldClock(Mutex<SystemTime>);

impl HeldClock {
    pub(crate) fn new() -> Arc<Self> {
        let start = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        Arc::new(Self(Mutex::new(start)))
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

/// What a login came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    NoMatch,
    /// With the account's name.
    Accepted(String),
    Rejected,
    Busy,
    /// With all that the log says.
    Broken(String),
    Unavailable(String),
}

pub(crate) fn accepted(account: &str) -> Outcome {
    Outcome::Accepted(account.to_owned())
}

pub(crate) fn proof(account: &str, password: &str) -> Proof {
    Proof::Password(Credentials {
        account: account.into(),
        password: password.into(),
    })
}

pub(crate) async fn log_in(backend: &LdapAuth, account: &str, password: &str) -> Outcome {
    let source = LoginSource::new(None, account);
    let proof = proof(account, password);
    match backend.authenticate(&proof, &source).await {
        Ok(AuthenticationOutcome::NoMatch) => Outcome::NoMatch,
        Ok(AuthenticationOutcome::Accepted(identity)) => accepted(&identity.subject.account),
        Ok(AuthenticationOutcome::Rejected(_) | AuthenticationOutcome::TokenRefused(_)) => {
            Outcome::Rejected
        }
        Err(AuthenticationError::Busy(_)) => Outcome::Busy,
        Err(AuthenticationError::Backend(error)) => failed(&error),
    }
}

fn failed(error: &BackendError) -> Outcome {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    match error.fault {
        BackendFault::Broken => Outcome::Broken(text),
        BackendFault::Unavailable => Outcome::Unavailable(text),
    }
}

impl Outcome {
    /// The text of an error that the operator must correct.
    pub(crate) fn broken(self) -> String {
        match self {
            Self::Broken(text) => text,
            other => panic!("{other:?}"),
        }
    }

    /// The text of an error that may pass.
    pub(crate) fn unavailable(self) -> String {
        match self {
            Self::Unavailable(text) => text,
            other => panic!("{other:?}"),
        }
    }
}

/// A chain that asks a directory, and the credential of a login.
pub(crate) struct Session {
    chain: AuthenticatorChain,
    pub(crate) account: &'static str,
    credential: CredentialFingerprint,
}

impl Session {
    /// The session of a login.
    pub(crate) async fn open(backend: LdapAuth, account: &'static str, password: &str) -> Self {
        let source = LoginSource::new(None, account);
        let proof = proof(account, password);
        let outcome = backend.authenticate(&proof, &source).await;
        let AuthenticationOutcome::Accepted(identity) = outcome.unwrap() else {
            panic!("{account} is not accepted")
        };
        Self {
            chain: AuthenticatorChain::new(vec![Box::new(backend)]),
            account,
            credential: identity.credential.unwrap(),
        }
    }

    pub(crate) async fn status(&self) -> Result<SessionStatus, BackendError> {
        let login = EarlierLogin {
            account: self.account,
            credential: Some(&self.credential),
            backend: Some("ldap_auth"),
        };
        self.chain.recheck(&login).await
    }
}

/// Everything that is logged on this thread, at every level.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// A log that is written until the guard is dropped.
    pub(crate) fn begin() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(log.clone())
            .finish();
        let guard = tracing::subscriber::set_default(subscriber);
        (log, guard)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
