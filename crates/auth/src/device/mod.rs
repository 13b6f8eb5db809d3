//! Logins of devices that a person approves in a browser (RFC 8628).
//!
//! A device that cannot show a page, such as a command line, asks for two codes
//! ([`begin`](DeviceLogins::begin)). It keeps the *device code* and shows the *user code* with the
//! address of a page. There a person enters the user code ([`find`](DeviceLogins::find)), signs in
//! ([`sign_in`](DeviceLogins::sign_in)), compares, and approves or denies
//! ([`decide`](DeviceLogins::decide)). Meanwhile the device polls the token endpoint with the device
//! code. The first poll after the approval opens a session, and the code is used up.
//!
//! What must last is in the database, so that a restart forgets nothing. In memory are only the times
//! of polls and the number of wrong user codes ([`DeviceLoginLimits`]), which outlive a reload.
//!
//! There are two logins, and their names differ: a *device login* is what the device asked for;
//! *signing in* is what the person does on the page.

mod approval;
mod policy;
mod polling;
mod secret;
mod store;
mod user_code;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use common::{Clock, Entropy, EntropyError, Secret, client_network};
use database::Database;
use event::Observers;
use identity::{BackendError, Login, LoginLimiter, Rate, SharedFailures};

use self::polling::PollPacing;
use self::store::{BeginOutcome, DeviceLoginStore};

pub use self::approval::{DecidedDeviceLogin, DeviceSignIn, FoundDeviceLogin};
pub use self::policy::DeviceLoginPolicy;
pub(crate) use self::secret::SecretHash;
pub(crate) use self::store::{Approver, DeviceLoginStatus, StoredDeviceLogin};
pub use self::store::{DeviceDecision, DeviceDescription, PendingDeviceLogin};
pub use self::user_code::{UserCode, UserCodeError};

/// The path of the page, behind the server's prefix.
pub const PAGE: &str = "/device";

/// How often one client may enter wrong user codes (RFC 8628 §5.1).
const WRONG_CODES_PER_CLIENT: Rate = Rate::per_minute(10);

/// The same for all clients together, and for all that share a proxy's address. At this rate, with
/// 10,000 logins that wait (the default), one is guessed in three days; with 1,000, in a month.
const WRONG_CODES: Rate = Rate::per_minute(600);

/// How often a user code is drawn anew if another login has it.
const DRAWS: u32 = 5;

/// The device logins of one installation.
pub struct DeviceLogins {
    store: DeviceLoginStore,
    policy: DeviceLoginPolicy,
    limits: Arc<DeviceLoginLimits>,
    login: Arc<Login>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    observers: Observers,
}

/// What [`DeviceLogins`] is made of.
pub struct DeviceLoginSettings {
    /// Where they are kept.
    pub database: Database,
    /// Their bounds.
    pub policy: DeviceLoginPolicy,
    /// What is counted in memory.
    pub limits: Arc<DeviceLoginLimits>,
    /// How people sign in.
    pub login: Arc<Login>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for codes.
    pub entropy: Arc<dyn Entropy>,
    /// What gets an event of each sign-in.
    pub observers: Observers,
}

/// What is counted of device logins in memory: wrong user codes, and the times of polls.
pub struct DeviceLoginLimits {
    per_client: LoginLimiter,
    together: LoginLimiter,
    polls: PollPacing,
}

/// A device login that was just begun (RFC 8628 §3.2).
#[derive(Debug)]
pub struct BegunDeviceLogin {
    /// What the device polls with. It is stored nowhere.
    pub device_code: Secret,
    /// What the person compares.
    pub user_code: UserCode,
    /// How long the person has time.
    pub ttl: Duration,
    /// How long the device waits between two polls.
    pub interval: Duration,
}

/// Why device logins failed. None of these is the client's fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceLoginError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] database::Error),
    /// The system has no randomness for a code.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// Every user code that was drawn belongs to another login.
    #[error("no user code is free")]
    NoFreeCode,
    /// The session of an approved login could not be opened. The log has the cause.
    #[error("the session of an approved device login could not be opened")]
    NoSession,
    /// A backend of logins failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// There are too many device logins. There is room after this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyDeviceLogins(pub Duration);

/// What a poll with an approved code may do.
pub(crate) struct ApprovedDeviceLogin {
    pub(crate) hash: SecretHash,
    pub(crate) device: DeviceDescription,
    pub(crate) approver: Approver,
}

/// Why a poll gets no token (RFC 8628 §3.5, RFC 6749 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PollError {
    #[error("the person has not decided yet: ask again after the interval")]
    AuthorizationPending,
    #[error("the device asks too often: wait 5 seconds longer between two requests")]
    SlowDown,
    #[error("the person denied the login")]
    AccessDenied,
    #[error("the account that approved the login was changed or disabled since")]
    AccountGone,
    #[error("the device code has expired: begin again")]
    ExpiredToken,
    #[error("the device code is not valid, or was used: begin again")]
    DeviceCode,
    #[error("the device code was made for another client_id")]
    OtherClient,
    #[error("the device code was made for another service")]
    OtherService,
}

impl DeviceLoginLimits {
    /// Limits that have counted nothing yet.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn new(clock: &Arc<dyn Clock>, entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let limiter = |per_client| {
            let clock = Arc::clone(clock);
            LoginLimiter::new(per_client, WRONG_CODES, clock, entropy)
        };
        Ok(Self {
            per_client: limiter(WRONG_CODES_PER_CLIENT)?,
            together: limiter(Rate::OFF)?,
            polls: PollPacing::default(),
        })
    }

    /// The same, counting wrong user codes together with other servers that have these keys.
    #[must_use]
    pub fn counting_together(
        self,
        keys: [&[u8; 32]; 2],
        failures: &Arc<dyn SharedFailures>,
    ) -> Self {
        let [per_client, together] = keys;
        let failures = || Arc::clone(failures);
        Self {
            per_client: self.per_client.counting_together(per_client, failures()),
            together: self.together.counting_together(together, failures()),
            polls: self.polls,
        }
    }
}

impl DeviceLogins {
    /// The device logins of these settings.
    #[must_use]
    pub fn new(settings: DeviceLoginSettings) -> Self {
        Self {
            store: DeviceLoginStore(settings.database),
            policy: settings.policy,
            limits: settings.limits,
            login: settings.login,
            clock: settings.clock,
            entropy: settings.entropy,
            observers: settings.observers,
        }
    }

    /// Begins a login of a device, for a client at `address`; `None` if that is shared by many.
    ///
    /// # Errors
    /// The outer one when the server fails; the inner one when there are too many logins.
    pub async fn begin(
        &self,
        device: DeviceDescription,
        address: Option<IpAddr>,
    ) -> Result<Result<BegunDeviceLogin, TooManyDeviceLogins>, DeviceLoginError> {
        let network = address.map(|address| client_network(address).to_string());
        let network = network.unwrap_or_default();
        let now = self.clock.now();
        for _ in 0..DRAWS {
            let device_code = secret::draw(self.entropy.as_ref())?;
            let user_code = UserCode::generate(self.entropy.as_ref())?;
            let codes = (SecretHash::of(&device_code), user_code.clone());
            let begun = self
                .store
                .begin(codes, device.clone(), network.clone(), self.policy, now)
                .await?;
            match begun {
                BeginOutcome::Begun => {
                    return Ok(Ok(BegunDeviceLogin {
                        device_code,
                        user_code,
                        ttl: self.policy.ttl,
                        interval: self.policy.interval,
                    }));
                }
                BeginOutcome::TooMany { until } => {
                    let wait = until.duration_since(now).unwrap_or_default();
                    return Ok(Err(TooManyDeviceLogins(wait)));
                }
                BeginOutcome::CodeTaken => {}
            }
        }
        Err(DeviceLoginError::NoFreeCode)
    }

    /// The approved login of a device code. Nothing is changed: see [`take`](Self::take).
    pub(crate) async fn poll(
        &self,
        device_code: &Secret,
        client_id: &str,
        service: &str,
        now: SystemTime,
    ) -> Result<Result<ApprovedDeviceLogin, PollError>, DeviceLoginError> {
        let Some(login) = self.store.find(SecretHash::of(device_code)).await? else {
            return Ok(Err(PollError::DeviceCode));
        };
        if login.device.client_id != client_id {
            return Ok(Err(PollError::OtherClient));
        }
        if !service.is_empty() && login.device.service != service {
            return Ok(Err(PollError::OtherService));
        }
        Ok(self.approved(login, now))
    }

    fn approved(
        &self,
        login: StoredDeviceLogin,
        now: SystemTime,
    ) -> Result<ApprovedDeviceLogin, PollError> {
        let DeviceLoginPolicy { ttl, interval, .. } = self.policy;
        match (login.status, login.approver) {
            (DeviceLoginStatus::Used, _) => Err(PollError::DeviceCode),
            (DeviceLoginStatus::Denied, _) => Err(PollError::AccessDenied),
            _ if login.expires_at <= now => Err(PollError::ExpiredToken),
            (DeviceLoginStatus::Approved, Some(approver)) => Ok(ApprovedDeviceLogin {
                hash: login.hash,
                device: login.device,
                approver,
            }),
            (DeviceLoginStatus::Pending | DeviceLoginStatus::Approved, _) => {
                let polls = &self.limits.polls;
                match polls.is_too_early(login.hash, now, interval, ttl) {
                    true => Err(PollError::SlowDown),
                    false => Err(PollError::AuthorizationPending),
                }
            }
        }
    }

    /// Uses up an approved login. `false` if another poll was faster.
    pub(crate) async fn take(
        &self,
        login: &ApprovedDeviceLogin,
        now: SystemTime,
    ) -> Result<bool, DeviceLoginError> {
        self.store.take(login.hash, now).await
    }
}
