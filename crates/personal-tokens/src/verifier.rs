//! Finds the token of a secret when a client logs in.
//!
//! A token that was found is kept in memory, compiled, until something changes: a server with a
//! thousand robots then needs no query per request. Whether something has changed is asked at most
//! every [`NOTICED_WITHIN`], so a command's revocation counts that soon.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use common::{BoxFuture, Clock, Secret};
use database::{ChangeCounts, DatabaseConnection};
use identity::{
    BackendError, CredentialFingerprint, FoundToken, OpaqueToken, OpaqueTokenFault, OpaqueTokens,
    ROBOT_PREFIX, TokenUse,
};
use quick_cache::sync::Cache;

use crate::operations::PersonalTokens;
use crate::token::{PersonalToken, TokenFilter};
use crate::{PersonalTokensError, SECTION, TokenName, rows, secret};

/// How soon a running server notices a change. A command waits this long before it reports success.
pub const NOTICED_WITHIN: Duration = Duration::from_millis(200);

/// How many tokens are kept in memory, of about a kilobyte each.
const KEPT: usize = 1 << 13;

/// A use of a secret is not written again within this time.
const PRECISION: Duration = Duration::from_secs(60);

/// The tokens of a server, as it verifies them.
pub struct TokenVerifier {
    tokens: PersonalTokens,
    clock: Arc<dyn Clock>,
    found: Cache<CredentialFingerprint, CachedToken>,
    changes: Mutex<Option<CountedChanges>>,
    noted: Cache<CredentialFingerprint, NotedUse>,
}

/// A token as it was read after so many changes.
#[derive(Clone)]
struct CachedToken {
    changes: u64,
    token: Arc<PersonalToken>,
}

/// How many changes there were, and when they were counted.
#[derive(Clone, Copy)]
struct CountedChanges {
    count: u64,
    at: SystemTime,
}

/// The last use of a secret that was written.
#[derive(Clone, Copy)]
struct NotedUse {
    at: SystemTime,
    has_repository: bool,
}

impl TokenVerifier {
    /// A verifier of `tokens`.
    #[must_use]
    pub fn new(tokens: PersonalTokens, clock: Arc<dyn Clock>) -> Self {
        Self {
            tokens,
            clock,
            found: Cache::new(KEPT),
            changes: Mutex::new(None),
            noted: Cache::new(KEPT),
        }
    }

    async fn verify(
        &self,
        fingerprint: Option<CredentialFingerprint>,
    ) -> Result<Result<OpaqueToken, OpaqueTokenFault>, PersonalTokensError> {
        let Some(fingerprint) = fingerprint else {
            return Ok(Err(OpaqueTokenFault::Unknown));
        };
        let now = self.clock.now();
        let changes = self.count_changes(now).await?;
        let kept = self.found.get(&fingerprint);
        let token = match kept.filter(|found| found.changes == changes) {
            Some(found) => found.token,
            None => match self.read(fingerprint).await? {
                Some(token) => {
                    let token = Arc::new(token);
                    let found = CachedToken {
                        changes,
                        token: Arc::clone(&token),
                    };
                    self.found.insert(fingerprint, found);
                    token
                }
                None => return Ok(Err(OpaqueTokenFault::Unknown)),
            },
        };
        Ok(token.opaque(&fingerprint, now))
    }

    async fn read(
        &self,
        fingerprint: CredentialFingerprint,
    ) -> Result<Option<PersonalToken>, PersonalTokensError> {
        let read = self
            .tokens
            .database
            .read(move |connection: &DatabaseConnection| {
                Ok::<_, PersonalTokensError>(rows::find(connection, &fingerprint)?)
            });
        let mut token = read.await?;
        token.iter_mut().for_each(|token| self.tokens.bound(token));
        Ok(token)
    }

    /// How many changes there were. It is counted before a token is read, so that a change while it
    /// is read makes it stale.
    async fn count_changes(&self, now: SystemTime) -> Result<u64, PersonalTokensError> {
        let counted = *self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counted) = counted
            // After the clock was set back this is an error, and they are counted again.
            && now.duration_since(counted.at).is_ok_and(|age| age < NOTICED_WITHIN)
        {
            return Ok(counted.count);
        }
        let counts = self.tokens.database.read(ChangeCounts::read).await?;
        let count = counts.personal_tokens;
        let counted = CountedChanges { count, at: now };
        *self.changes.lock().unwrap_or_else(PoisonError::into_inner) = Some(counted);
        Ok(count)
    }

    async fn robot(&self, account: &str) -> Result<Option<OpaqueToken>, PersonalTokensError> {
        let name = account
            .strip_prefix(ROBOT_PREFIX)
            .map(str::parse::<TokenName>);
        let Some(Ok(name)) = name else {
            return Ok(None);
        };
        let filter = TokenFilter::robot(name);
        let (robots, now) = (self.tokens.list(filter).await?, self.clock.now());
        Ok(robots.into_iter().next().and_then(|robot| {
            let mut secrets = robot.secrets.iter();
            secrets.find_map(|secret| robot.opaque(&secret.fingerprint, now).ok())
        }))
    }

    /// Whether a use is written: once a minute, and once more if it is the first with a repository.
    fn is_due(&self, fingerprint: &CredentialFingerprint, token_use: &TokenUse) -> bool {
        let has_repository = token_use.repository.is_some();
        let is_due = self.noted.get(fingerprint).is_none_or(|noted| {
            let age = token_use.time.duration_since(noted.at);
            age.is_ok_and(|age| age >= PRECISION) || (has_repository && !noted.has_repository)
        });
        if is_due {
            let noted = NotedUse {
                at: token_use.time,
                has_repository,
            };
            self.noted.insert(*fingerprint, noted);
        }
        is_due
    }
}

impl OpaqueTokens for TokenVerifier {
    fn reserves(&self, account: &str) -> bool {
        account.starts_with(ROBOT_PREFIX)
    }

    fn name(&self) -> &'static str {
        SECTION
    }

    fn recognizes(&self, secret: &Secret) -> bool {
        secret::has_prefix(secret)
    }

    fn find<'a>(&'a self, secret: &'a Secret) -> BoxFuture<'a, FoundToken> {
        Box::pin(async {
            self.verify(secret::fingerprint(secret))
                .await
                .map_err(failure)
        })
    }

    fn find_by_fingerprint<'a>(
        &'a self,
        fingerprint: &'a CredentialFingerprint,
    ) -> BoxFuture<'a, FoundToken> {
        Box::pin(async { self.verify(Some(*fingerprint)).await.map_err(failure) })
    }

    fn find_by_id<'a>(&'a self, id: &'a str) -> BoxFuture<'a, FoundToken> {
        Box::pin(async {
            let filter = TokenFilter {
                id: Some(id.to_owned()),
                ..TokenFilter::default()
            };
            let found = self.tokens.list(filter).await.map_err(failure)?;
            let now = self.clock.now();
            Ok(match found.first() {
                Some(token) => token.newest(now),
                None => Err(OpaqueTokenFault::Unknown),
            })
        })
    }

    fn find_robot<'a>(
        &'a self,
        account: &'a str,
    ) -> BoxFuture<'a, Result<Option<OpaqueToken>, BackendError>> {
        Box::pin(async { self.robot(account).await.map_err(failure) })
    }

    fn note_use(&self, fingerprint: &CredentialFingerprint, token_use: TokenUse) {
        if !self.is_due(fingerprint, &token_use) {
            return;
        }
        let (database, fingerprint) = (self.tokens.database.clone(), *fingerprint);
        tokio::spawn(async move {
            let write = database.write(move |connection: &DatabaseConnection| {
                rows::note_use(connection, &fingerprint, &token_use)
            });
            if let Err(error) = write.await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the use of a personal token could not be written");
            }
        });
    }
}

/// A failure of the database, as a login has it.
fn failure(error: PersonalTokensError) -> BackendError {
    match error {
        PersonalTokensError::Database(ref cause) if cause.may_pass() => {
            BackendError::unavailable(SECTION, error)
        }
        _ => BackendError::broken(SECTION, error),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use common::{SystemClock, SystemEntropy};
    use database::{Administrator, Database, DatabaseLocation};
    use identity::AuthenticatorChain;

    use super::*;
    use crate::{NewToken, NewTokenHolder, TokenPolicy, parse_ceiling};

    fn other_fingerprint(number: usize) -> CredentialFingerprint {
        CredentialFingerprint::of(&number.to_string())
    }

    #[tokio::test]
    async fn so_many_secrets_are_kept_and_others_are_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let location = DatabaseLocation::at(folder.path().join("db"));
        let database = Database::open_exclusive(&location).unwrap();
        let tokens = PersonalTokens::new(database, TokenPolicy::default(), Arc::new(SystemEntropy));
        let robot = NewToken {
            holder: NewTokenHolder::Robot {
                name: "ci".parse().unwrap(),
                owner: None,
            },
            ceiling: parse_ceiling(&["repository:app:pull"]).unwrap(),
            networks: Vec::new(),
            lifetime: None,
        };
        let owners = AuthenticatorChain::new(Vec::new());
        let root = Administrator::SystemUser("root".into());
        let created = tokens
            .create(robot, &owners, &root, SystemClock.now())
            .await
            .unwrap();
        let verifier = TokenVerifier::new(tokens, Arc::new(SystemClock));
        let is_found = async || verifier.find(&created.secret).await.unwrap().is_ok();
        assert!(is_found().await);
        let kept = secret::fingerprint(&created.secret).unwrap();
        let found = verifier.found.get(&kept).unwrap();
        let token_use = TokenUse {
            time: UNIX_EPOCH,
            address: None,
            repository: None,
        };
        for number in 0..3 * KEPT {
            verifier
                .found
                .insert(other_fingerprint(number), found.clone());
            verifier.is_due(&other_fingerprint(number), &token_use);
        }
        assert!(verifier.found.len() <= KEPT, "{}", verifier.found.len());
        assert!(verifier.noted.len() <= KEPT, "{}", verifier.noted.len());
        verifier.found.remove(&kept);
        assert!(is_found().await);
    }
}
