//! Verifying passwords without letting strangers choose the price.
//!
//! A verification is slow by design. So it runs on threads of its own ([`WorkerPool`]), never more
//! than a few at once; and every refusal costs the same, whoever was named: as much as it takes to
//! refuse the *costliest account*, which is the one whose passwords' hashes add up to the most
//! work. An account nobody knows is refused by verifying against the costliest account's hashes and
//! forgetting the result; a wrong password for a cheaper account is topped up to the same work.
//! Nothing can then be learned from how long a refusal took.

mod fair_queue;
mod workers;

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub use self::workers::WorkerPool;
use crate::password::HashCost;
use crate::{Account, AuthenticationError, CredentialFingerprint, Credentials, LoginSource};
use common::Secret;

/// Verifies passwords on [`WorkerPool`], at one price for every refusal.
pub struct PasswordVerifier {
    workers: Arc<WorkerPool>,
    costliest: Arc<Account>,
    highest: HashCost,
    tally: Arc<Tally>,
}

/// Proof that a refusal was paid for. Only a [`PasswordVerifier`] makes one, so no backend can
/// refuse for less.
#[derive(Debug)]
pub struct Rejection(());

/// What came of verifying a password.
#[derive(Debug)]
pub enum PasswordCheck {
    /// It is the one with this credential.
    Match(CredentialFingerprint),
    /// It is none of the account's.
    Mismatch(Rejection),
}

#[derive(Debug, Default)]
struct Tally {
    performed: AtomicU64,
    spent: AtomicU64,
}

impl PasswordVerifier {
    /// A verifier for these accounts: all there are, in whatever backend, for the costliest sets
    /// the price.
    #[must_use]
    pub fn new<'a>(
        workers: Arc<WorkerPool>,
        accounts: impl IntoIterator<Item = &'a Account>,
    ) -> Self {
        let costliest = accounts
            .into_iter()
            .max_by_key(|account| account.work())
            .cloned()
            .unwrap_or_default();
        Self {
            workers,
            highest: costliest.work(),
            costliest: Arc::new(costliest),
            tally: Arc::default(),
        }
    }

    /// Whether `password` is one of `account`'s.
    ///
    /// # Errors
    /// [`AuthenticationError::Busy`] when too many verifications are waiting.
    pub async fn verify(
        &self,
        account: &Arc<Account>,
        password: &Secret,
        origin: &LoginSource,
    ) -> Result<PasswordCheck, AuthenticationError> {
        let (account, password, tally, highest) = (
            account.clone(),
            password.clone(),
            self.tally.clone(),
            self.highest,
        );
        let found = self
            .workers
            .run(origin, move || {
                tally.count(|| check(&account, password.expose(), highest))
            })
            .await?;
        Ok(found.map_or(PasswordCheck::Mismatch(Rejection(())), PasswordCheck::Match))
    }

    /// Refuses `credentials` that no password was verified for, at the price of every other
    /// refusal.
    ///
    /// The anonymous account's refusal is free: there is nothing to hide about it, and a request
    /// that shows no credentials must not cost anything.
    ///
    /// # Errors
    /// [`AuthenticationError::Busy`] when too many verifications are waiting.
    pub async fn refuse(
        &self,
        credentials: &Credentials,
        origin: &LoginSource,
    ) -> Result<Rejection, AuthenticationError> {
        if self.highest > HashCost::NONE && !credentials.is_anonymous() {
            let (account, password, tally) = (
                self.costliest.clone(),
                credentials.password.clone(),
                self.tally.clone(),
            );
            self.workers
                .run(origin, move || {
                    tally.count(|| pretend(&account, password.expose()));
                })
                .await?;
        }
        Ok(Rejection(()))
    }

    /// What every refusal costs.
    #[must_use]
    pub fn highest(&self) -> HashCost {
        self.highest
    }

    /// How many verifications were performed so far: one for every password that was looked at and
    /// for every refusal.
    #[must_use]
    pub fn performed(&self) -> u64 {
        self.tally.performed.load(Ordering::Relaxed)
    }

    /// How much work they took together.
    #[must_use]
    pub fn spent(&self) -> HashCost {
        HashCost::rounds(self.tally.spent.load(Ordering::Relaxed))
    }
}

impl Tally {
    fn count<T>(&self, verification: impl FnOnce() -> (T, HashCost)) -> T {
        let (result, work) = verification();
        self.performed.fetch_add(1, Ordering::Relaxed);
        self.spent.fetch_add(work.as_rounds(), Ordering::Relaxed);
        result
    }
}

/// The credential that `password` is, and the work it took to find out: when it is none, exactly
/// `highest`.
fn check(
    account: &Account,
    password: &str,
    highest: HashCost,
) -> (Option<CredentialFingerprint>, HashCost) {
    let mut spent = HashCost::NONE;
    for hash in &account.passwords {
        spent = [spent, hash.work()].into_iter().sum();
        if hash.verify(password) {
            return (Some(hash.fingerprint()), spent);
        }
    }
    let missing = spent.short_of(highest);
    missing.waste(password.as_bytes());
    (None, [spent, missing].into_iter().sum())
}

/// Verifies `password` against all of `account`'s and forgets what came of it.
fn pretend(account: &Account, password: &str) -> ((), HashCost) {
    for hash in &account.passwords {
        black_box(hash.verify(password));
    }
    ((), account.work())
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::password::{Argon2id, Bcrypt, PasswordHash};

    fn bcrypt(password: &str, cost: u32) -> PasswordHash {
        Bcrypt::hash(password.as_bytes(), [3; 16], cost)
            .unwrap()
            .parse()
            .unwrap()
    }

    fn account(passwords: Vec<PasswordHash>) -> Arc<Account> {
        Arc::new(Account {
            passwords,
            ..Account::default()
        })
    }

    fn verifier(accounts: &[Arc<Account>]) -> PasswordVerifier {
        let workers = Arc::new(WorkerPool::new(NonZeroUsize::MIN));
        PasswordVerifier::new(workers, accounts.iter().map(|account| &**account))
    }

    #[tokio::test]
    async fn every_refusal_costs_the_same() {
        let argon = Argon2id::hash(b"argon", &[1; 16], 64, 3)
            .unwrap()
            .parse()
            .unwrap();
        let accounts = [
            account(vec![bcrypt("cheap", 4)]),
            account(vec![bcrypt("dear", 7)]),
            account(vec![bcrypt("one", 5), bcrypt("two", 6), bcrypt("three", 6)]),
            account(vec![argon]),
        ];
        let verifier = verifier(&accounts);
        assert_eq!(verifier.highest(), HashCost::rounds(32 + 64 + 64));
        let mut refusals = 0;
        for account in &accounts {
            let verdict = verifier
                .verify(account, &"wrong".into(), &LoginSource::new(None, "a"))
                .await
                .unwrap();
            assert!(matches!(verdict, PasswordCheck::Mismatch(_)));
            refusals += 1;
            assert_eq!(verifier.spent(), HashCost::rounds(160 * refusals));
        }
        let unknown = Credentials {
            account: "nobody".into(),
            password: "x".into(),
        };
        verifier
            .refuse(&unknown, &LoginSource::new(None, "nobody"))
            .await
            .unwrap();
        assert_eq!(
            (verifier.performed(), verifier.spent()),
            (5, HashCost::rounds(160 * 5))
        );
    }

    #[tokio::test]
    async fn says_which_password_was_right() {
        let both = account(vec![bcrypt("one", 4), bcrypt("two", 4)]);
        let verifier = verifier(std::slice::from_ref(&both));
        for (password, index) in [("one", 0), ("two", 1)] {
            let verdict = verifier
                .verify(&both, &password.into(), &LoginSource::new(None, "a"))
                .await
                .unwrap();
            assert!(
                matches!(verdict, PasswordCheck::Match(credential) if credential == both.passwords[index].fingerprint())
            );
        }
        assert_eq!(
            (verifier.performed(), verifier.spent()),
            (2, HashCost::rounds(16 + 32))
        );
    }

    #[tokio::test]
    async fn the_anonymous_and_the_passwordless_cost_nothing() {
        let origin = LoginSource::new(None, "");
        let guarded = verifier(&[account(vec![bcrypt("p", 4)])]);
        guarded
            .refuse(&Credentials::anonymous(), &origin)
            .await
            .unwrap();
        let bare = verifier(&[]);
        bare.refuse(
            &Credentials {
                account: "a".into(),
                password: "b".into(),
            },
            &origin,
        )
        .await
        .unwrap();
        assert_eq!((guarded.performed(), bare.performed()), (0, 0));
    }
}
