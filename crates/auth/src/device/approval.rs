//! What a person does on the page: enters the code, signs in, decides.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use common::{RequestContext, Secret};
use event::{Actor, Event, EventKind, Observer};
use identity::{
    AcceptedLogin, CredentialFingerprint, LoginOutcome, LoginSource, Proof, SessionAllowance,
    SourceAddress, TokenUse,
};

use super::store::{Approver, DeviceDecision, StoredDeviceLogin};
use super::{DeviceLoginError, DeviceLogins, PendingDeviceLogin, SecretHash, UserCode, secret};

/// The account name under which all wrong user codes are counted together.
const EVERY_CLIENT: &str = "user codes";

/// What there is to a user code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FoundDeviceLogin {
    /// A login that waits.
    Pending(PendingDeviceLogin),
    /// None, or none that still waits.
    Unknown,
    /// There were too many wrong codes. The next attempt is possible after this long.
    TooManyWrongCodes(Duration),
}

/// What came of signing in to decide about a device login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceSignIn {
    /// The person may decide now, in this browser.
    SignedIn(PendingDeviceLogin),
    /// The name or the password is wrong.
    Rejected,
    /// The account may not have a session: it is anonymous, or its backend refuses.
    NoSession,
    /// The login does not wait any more.
    Over,
    /// There were too many failures. The next attempt is possible after this long.
    TooManyFailures(Duration),
    /// Too many logins are waiting. Another attempt may succeed after this long.
    Busy(Duration),
}

/// A login about which a person has decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecidedDeviceLogin {
    /// The person.
    pub account: String,
    /// The backend that accepted the person, by its section in the configuration.
    pub backend: String,
    /// What proved the account, if the backend can tell.
    pub credential: Option<CredentialFingerprint>,
}

impl DeviceLogins {
    /// A new secret for a browser, which is to keep it in a cookie.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn browser_secret(&self) -> Result<Secret, DeviceLoginError> {
        Ok(secret::draw(self.entropy.as_ref())?)
    }

    /// The login that waits with this code. Wrong codes are counted for the client that enters them
    /// (RFC 8628 §5.1).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(
        &self,
        code: &UserCode,
        address: SourceAddress,
    ) -> Result<FoundDeviceLogin, DeviceLoginError> {
        let every = LoginSource::new(SourceAddress::shared(None), EVERY_CLIENT);
        let source = LoginSource::new(address, EVERY_CLIENT);
        let together = match self.limits.together.admit(&every).await {
            Ok(admission) => admission,
            Err(wait) => return Ok(FoundDeviceLogin::TooManyWrongCodes(wait)),
        };
        let own = match self.limits.per_client.admit(&source).await {
            Ok(admission) => admission,
            Err(wait) => {
                together.give_back();
                return Ok(FoundDeviceLogin::TooManyWrongCodes(wait));
            }
        };
        let now = self.clock.now();
        let found = self.store.find_pending(code, None, now).await;
        let is_wrong = matches!(found, Ok(None));
        for admission in [own, together] {
            match is_wrong {
                true => admission.failed().await,
                false => admission.give_back(),
            }
        }
        Ok(match found? {
            Some(login) => FoundDeviceLogin::Pending(pending(login, now)),
            None => FoundDeviceLogin::Unknown,
        })
    }

    /// Signs a person in to decide about the login with this code, in the browser with this secret.
    ///
    /// # Errors
    /// When a backend or the database fails.
    pub async fn sign_in(
        &self,
        code: &UserCode,
        browser: &Secret,
        proof: &Proof,
        context: &RequestContext,
        user_agent: &str,
    ) -> Result<DeviceSignIn, DeviceLoginError> {
        let address = SourceAddress::from(context);
        let accepted = match self.login.login(proof, address).await? {
            LoginOutcome::Accepted(accepted) => accepted,
            LoginOutcome::TooManyFailures(wait) => return Ok(DeviceSignIn::TooManyFailures(wait)),
            LoginOutcome::Busy(wait) => return Ok(DeviceSignIn::Busy(wait)),
            LoginOutcome::Rejected { .. } | LoginOutcome::TokenRejected(_) => {
                let reason = "incorrect username or password";
                let refused = EventKind::LoginRefused { reason };
                self.tell(proof.account(), refused, context, user_agent);
                return Ok(DeviceSignIn::Rejected);
            }
        };
        let backend = accepted.backend;
        let account = accepted.identity.subject.account.clone();
        self.note_token_use(&accepted, address.of_client());
        let Some(approver) = approver(accepted) else {
            return Ok(DeviceSignIn::NoSession);
        };
        self.tell(
            &account,
            EventKind::LoginAccepted { backend },
            context,
            user_agent,
        );
        let (hash, now) = (SecretHash::of(browser), self.clock.now());
        if !self.store.set_approver(code, hash, approver, now).await? {
            return Ok(DeviceSignIn::Over);
        }
        Ok(match self.signed_in(code, browser).await? {
            Some(login) => DeviceSignIn::SignedIn(login),
            None => DeviceSignIn::Over,
        })
    }

    /// The login that a person has signed in to decide about, in the browser with this secret.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn signed_in(
        &self,
        code: &UserCode,
        browser: &Secret,
    ) -> Result<Option<PendingDeviceLogin>, DeviceLoginError> {
        let (hash, now) = (SecretHash::of(browser), self.clock.now());
        let found = self.store.find_pending(code, Some(hash), now).await?;
        Ok(found.map(|login| pending(login, now)))
    }

    /// Approves or denies a login, in the browser in which the person signed in. `None` if it does
    /// not wait for that browser.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn decide(
        &self,
        code: &UserCode,
        browser: &Secret,
        decision: DeviceDecision,
        context: &RequestContext,
    ) -> Result<Option<DecidedDeviceLogin>, DeviceLoginError> {
        let (hash, now) = (SecretHash::of(browser), self.clock.now());
        let decided = self.store.decide(code, hash, decision, now).await?;
        let Some((device, approver)) = decided.and_then(|it| Some((it.device, it.approver?)))
        else {
            return Ok(None);
        };
        tracing::info!(
            account = approver.account,
            client_id = device.client_id,
            device_name = device.device_name,
            device_address = device.address,
            address = shown(context.shown_address()),
            request_id = context.request_id,
            "{}",
            match decision {
                DeviceDecision::Approve => "a person approved a device login",
                DeviceDecision::Deny => "a person denied a device login",
            }
        );
        Ok(Some(DecidedDeviceLogin {
            account: approver.account,
            backend: approver.backend,
            credential: approver.credential,
        }))
    }

    fn note_token_use(&self, accepted: &AcceptedLogin, address: Option<IpAddr>) {
        let token_use = TokenUse {
            time: self.clock.now(),
            address,
            repository: None,
        };
        self.login.note_token_use(&accepted.identity, token_use);
    }

    /// A line of the log and an event, as of a login at the token endpoint.
    fn tell(&self, account: &str, kind: EventKind<'_>, context: &RequestContext, user_agent: &str) {
        let (address, request_id) = (context.shown_address(), context.request_id.as_str());
        let (message, backend) = match &kind {
            EventKind::LoginAccepted { backend } => (
                "a person signed in to decide about a device login",
                Some(*backend),
            ),
            _ => ("a sign-in for a device login was refused", None),
        };
        let shown = shown(address);
        tracing::info!(account, backend, address = shown, request_id, "{message}");
        let actor = Actor {
            account,
            address,
            user_agent,
            request_id,
            ..Actor::default()
        };
        let time = self.clock.now();
        self.observers.observe(&Event { time, actor, kind });
    }
}

fn shown(address: Option<IpAddr>) -> String {
    address.map_or_else(String::new, |address| address.to_string())
}

/// What a session keeps of a login; `None` if it may not have one.
fn approver(accepted: AcceptedLogin) -> Option<Approver> {
    let AcceptedLogin {
        identity, backend, ..
    } = accepted;
    let SessionAllowance::Allowed(session) = identity.terms.session else {
        return None;
    };
    (!identity.subject.account.is_empty()).then(|| Approver {
        account: identity.subject.account,
        labels: identity.subject.labels,
        credential: identity.credential,
        backend: backend.to_owned(),
        ceiling: identity.ceiling,
        session,
    })
}

fn pending(login: StoredDeviceLogin, now: SystemTime) -> PendingDeviceLogin {
    PendingDeviceLogin {
        device: login.device,
        age: now.duration_since(login.created_at).unwrap_or_default(),
        account: login.approver.map(|approver| approver.account),
    }
}
