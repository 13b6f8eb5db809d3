//! Users of a database, as the tests of each crate for databases ask about them.

use std::num::NonZeroUsize;
use std::sync::Arc;

use identity::password::{Bcrypt, HashCost};
use identity::{
    Account, AuthenticationError, AuthenticationOutcome, Authenticator, BackendError, BackendFault,
    Credentials, LoginSource, PasswordVerifier, Proof, WorkerPool,
};

/// A backend under test.
pub(crate) struct StoredUsers<B> {
    pub(crate) backend: B,
    pub(crate) verifier: Arc<PasswordVerifier>,
}

impl<B: Authenticator + 'static> StoredUsers<B> {
    /// The backend that `make` makes with a verifier.
    pub(crate) fn new(make: impl FnOnce(Arc<PasswordVerifier>) -> B) -> Self {
        let workers = Arc::new(WorkerPool::new(NonZeroUsize::new(4).unwrap()));
        let none: [&Account; 0] = [];
        let verifier = PasswordVerifier::new(workers, none).expecting(&HashCost::bcrypt(32));
        let verifier = Arc::new(verifier);
        Self {
            backend: make(Arc::clone(&verifier)),
            verifier,
        }
    }

    pub(crate) async fn ask(
        &self,
        account: &str,
        password: &str,
    ) -> Result<AuthenticationOutcome, AuthenticationError> {
        let proof = Proof::Password(Credentials {
            account: account.into(),
            password: password.into(),
        });
        let source = LoginSource::new(None, account);
        self.backend.authenticate(&proof, &source).await
    }

    /// `accepted NAME`, `rejected`, `no match`, `busy`, `broken: …` or `unavailable: …`.
    pub(crate) async fn outcome(&self, account: &str, password: &str) -> String {
        match self.ask(account, password).await {
            Ok(AuthenticationOutcome::Accepted(identity)) => {
                format!("accepted {}", identity.subject.account)
            }
            Ok(AuthenticationOutcome::Rejected(_) | AuthenticationOutcome::TokenRefused(_)) => {
                "rejected".to_owned()
            }
            Ok(AuthenticationOutcome::NoMatch) => "no match".to_owned(),
            Err(AuthenticationError::Busy(_)) => "busy".to_owned(),
            Err(AuthenticationError::Backend(error)) => described(&error),
        }
    }

    /// As [`outcome`](Self::outcome), until the database is there.
    pub(crate) async fn outcome_once_available(&self, account: &str, password: &str) -> String {
        loop {
            let outcome = self.outcome(account, password).await;
            if !outcome.starts_with("unavailable") {
                return outcome;
            }
        }
    }

    /// Checks 64 logins of `ann` at once, every other one with a wrong password.
    pub(crate) async fn answers_sixty_four_logins_at_once(self: Arc<Self>) {
        let logins = (0..64).map(|number| {
            let users = Arc::clone(&self);
            tokio::spawn(async move {
                let (password, expected) = match number % 2 {
                    0 => ("right", "accepted ann"),
                    _ => ("wrong", "rejected"),
                };
                assert_eq!(users.outcome("ann", password).await, expected);
            })
        });
        for login in logins.collect::<Vec<_>>() {
            login.await.unwrap();
        }
    }

    /// Checks that logins whose clients go away leave room for others.
    pub(crate) async fn goes_on_after_logins_that_are_given_up(&self) {
        for _ in 0..40 {
            let given_up = self.outcome("ann", "right");
            let soon = tokio::task::yield_now();
            tokio::select! { biased; () = soon => {}, _ = given_up => {} }
        }
        assert_eq!(self.outcome("ann", "right").await, "accepted ann");
    }
}

/// A failure with its causes.
pub(crate) fn described(error: &BackendError) -> String {
    let kind = match error.fault {
        BackendFault::Broken => "broken",
        BackendFault::Unavailable => "unavailable",
    };
    format!("{kind}: {}", causes(error))
}

/// What caused `error`, and what caused that.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = Vec::new();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push(cause.to_string());
        source = cause.source();
    }
    text.join(": ")
}

/// A cheap hash of `password`.
pub(crate) fn hash(password: &str) -> String {
    Bcrypt::hash(password.as_bytes(), [7; 16], 4).unwrap()
}
