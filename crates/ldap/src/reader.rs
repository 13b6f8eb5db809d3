//! The account that searches, and how often its password is tried.
//!
//! A directory locks an account after some wrong passwords. If the reader's password is wrong, each
//! login would try it, so the reader would be locked at once and stay so after its password is
//! corrected. Therefore only one connection binds at a time, and a refused password rests for a
//! while.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use common::{Clock, Secret};
use tokio::time::timeout;

use crate::connection::DirectoryConnection;
use crate::error::DirectoryError;
use crate::shared_state::{is_younger, lock};

/// How long a refused password is not tried again. The pause grows up to [`LONGEST_PAUSE`], so
/// that in half an hour, which is how long Active Directory counts failures, there are at most four
/// attempts.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// By how much each pause is longer than the one before it.
const GROWTH: u32 = 5;
const LONGEST_PAUSE: Duration = Duration::from_secs(15 * 60);

/// The account that searches, and its password.
#[derive(Clone, Debug)]
pub struct ReaderCredentials {
    /// Its distinguished name.
    pub bind_dn: String,
    /// Its password.
    pub password: Secret,
}

/// Binds connections as the reader.
pub(crate) struct Reader {
    credentials: ReaderCredentials,
    clock: Arc<dyn Clock>,
    /// How long a connection waits for the bind of another.
    limit: Duration,
    turn: tokio::sync::Mutex<()>,
    refused: Mutex<Option<RefusedPassword>>,
}

#[derive(Clone)]
struct RefusedPassword {
    since: SystemTime,
    pause: Duration,
    reason: String,
}

impl Reader {
    pub(crate) fn new(
        credentials: ReaderCredentials,
        limit: Duration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            credentials,
            clock,
            limit,
            turn: tokio::sync::Mutex::default(),
            refused: Mutex::default(),
        }
    }

    /// An error while the password was refused a short time ago.
    pub(crate) fn check(&self) -> Result<(), DirectoryError> {
        match &*lock(&self.refused) {
            Some(refused) if is_younger(&*self.clock, refused.since, refused.pause) => {
                Err(refused.clone().into())
            }
            _ => Ok(()),
        }
    }

    /// Binds `connection`.
    pub(crate) async fn bind(
        &self,
        connection: &mut DirectoryConnection,
    ) -> Result<(), DirectoryError> {
        let turn = timeout(self.limit, self.turn.lock()).await;
        let _turn = turn.map_err(|_| connection.slow_reader())?;
        self.check()?;
        let ReaderCredentials { bind_dn, password } = &self.credentials;
        let outcome = connection.bind_reader(bind_dn, password).await;
        let mut refused = lock(&self.refused);
        match outcome {
            Ok(()) => {
                *refused = None;
                Ok(())
            }
            Err(error) if error.is_refusal() => {
                let pause = match &*refused {
                    Some(last) => LONGEST_PAUSE.min(last.pause * GROWTH),
                    None => FIRST_PAUSE,
                };
                let now = RefusedPassword {
                    since: self.clock.now(),
                    pause,
                    reason: error.to_string(),
                };
                *refused = Some(now.clone());
                Err(now.into())
            }
            Err(error) => Err(error),
        }
    }
}

impl From<RefusedPassword> for DirectoryError {
    fn from(refused: RefusedPassword) -> Self {
        Self::ReaderRefused {
            reason: refused.reason,
            pause: refused.pause,
        }
    }
}
