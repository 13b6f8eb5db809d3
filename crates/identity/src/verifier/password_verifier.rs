//! Verifies passwords at one cost for every rejection.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use common::Secret;

use super::{Rejection, WorkerPool};
use crate::password::{HashCost, PasswordHash, perform};
use crate::{Account, AuthenticationError, CredentialFingerprint, LoginSource, Proof};

/// Verifies passwords on a [`WorkerPool`], at one cost for every rejection.
pub struct PasswordVerifier {
    workers: Arc<WorkerPool>,
    /// What every rejection costs. It grows when a stored hash turns up that costs more.
    rejection: RwLock<Arc<HashCost>>,
    expected: Vec<ExpectedHashes>,
    /// Whether the log says that not every hash can count for it.
    has_warned: AtomicBool,
    tally: Arc<Tally>,
}

/// Hashes that a backend may have.
struct ExpectedHashes {
    cost: HashCost,
    are_there: Box<dyn Fn() -> bool + Send + Sync>,
}

/// What came of verifying a password.
#[derive(Debug)]
pub enum PasswordCheck {
    /// The password is the account's, namely this credential.
    Match(CredentialFingerprint),
    /// The password is not one of the account's.
    Mismatch(Rejection),
}

#[derive(Debug, Default)]
struct Tally {
    performed: AtomicU64,
    spent: Mutex<HashCost>,
}

impl PasswordVerifier {
    /// A verifier for these accounts: all that are known, of every backend, because they set the cost
    /// of a rejection.
    #[must_use]
    pub fn new<'a>(
        workers: Arc<WorkerPool>,
        accounts: impl IntoIterator<Item = &'a Account>,
    ) -> Self {
        let rejection = accounts
            .into_iter()
            .fold(HashCost::default(), |covered, account| {
                covered.covering(&account.cost())
            });
        Self {
            workers,
            rejection: RwLock::new(Arc::new(rejection)),
            expected: Vec::new(),
            has_warned: AtomicBool::new(false),
            tally: Arc::default(),
        }
    }

    /// The same verifier beside a backend that reads each hash when it is needed, such as a database.
    /// Its hashes are expected to cost `cost`. When one costs more, every rejection costs that much
    /// from then on.
    #[must_use]
    pub fn expecting(self, cost: &HashCost) -> Self {
        self.cover(cost);
        self
    }

    /// The same, if the backend can tell whether it has any hash at all. Without one, it has no account
    /// to hide. `are_there` must be quick.
    #[must_use]
    pub fn expecting_if(
        mut self,
        cost: HashCost,
        are_there: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Self {
        self.expected.push(ExpectedHashes {
            cost,
            are_there: Box::new(are_there),
        });
        self
    }

    /// Whether `password` is one of `account`'s.
    ///
    /// # Errors
    /// [`AuthenticationError::Busy`] when too many verifications are waiting.
    pub async fn verify(
        &self,
        account: &Arc<Account>,
        password: &Secret,
        source: &LoginSource,
    ) -> Result<PasswordCheck, AuthenticationError> {
        let (account, password) = (account.clone(), password.clone());
        self.cover_expected();
        let (rejection, tally) = (self.cover(&account.cost()), self.tally.clone());
        let found = self
            .workers
            .run(source, move || {
                let (found, cost) = check(&account, password.expose(), &rejection);
                tally.add(&cost);
                found
            })
            .await?;
        Ok(found.map_or(
            PasswordCheck::Mismatch(Rejection::paid()),
            PasswordCheck::Match,
        ))
    }

    /// Whether `password` is the one that `hash` was made of, for a backend that reads each hash when
    /// it is needed.
    ///
    /// # Errors
    /// [`AuthenticationError::Busy`] when too many verifications are waiting.
    pub async fn verify_hash(
        &self,
        hash: PasswordHash,
        password: &Secret,
        source: &LoginSource,
    ) -> Result<PasswordCheck, AuthenticationError> {
        let account = Account {
            passwords: vec![hash],
            ..Account::default()
        };
        self.verify(&Arc::new(account), password, source).await
    }

    /// Rejects a `proof` that no password was verified for, at the cost of every rejection.
    ///
    /// To reject the anonymous account is free: there is nothing to hide about it, and a request
    /// without credentials must not cost anything.
    ///
    /// # Errors
    /// [`AuthenticationError::Busy`] when too many verifications are waiting.
    pub async fn reject(
        &self,
        proof: &Proof,
        source: &LoginSource,
    ) -> Result<Rejection, AuthenticationError> {
        let rejection = self.rejection_cost();
        if !rejection.is_none() && !proof.is_anonymous() {
            let (secret, tally) = (proof.secret().clone(), self.tally.clone());
            self.workers
                .run(source, move || {
                    perform(&rejection, secret.expose().as_bytes());
                    tally.add(&rejection);
                })
                .await?;
        }
        Ok(Rejection::paid())
    }

    /// What every rejection costs.
    #[must_use]
    pub fn rejection_cost(&self) -> Arc<HashCost> {
        self.cover_expected();
        self.current_cost()
    }

    fn cover_expected(&self) {
        let there = self.expected.iter().filter(|hashes| (hashes.are_there)());
        for hashes in there {
            self.cover(&hashes.cost);
        }
    }

    fn current_cost(&self) -> Arc<HashCost> {
        let rejection = self.rejection.read();
        Arc::clone(&rejection.unwrap_or_else(PoisonError::into_inner))
    }

    /// What every rejection costs from now on, so that it covers `cost`.
    ///
    /// Hashes of a store never make it more than the costliest hash of each kind that is verified:
    /// else a thousand hashes with parameters of their own would make each rejection cost them all.
    fn cover(&self, cost: &HashCost) -> Arc<HashCost> {
        let rejection = self.current_cost();
        if rejection.missing_to(cost).is_none() {
            return rejection;
        }
        let mut rejection = self
            .rejection
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let grown = HashCost::clone(&rejection).covering(cost);
        if grown.is_bounded() {
            *rejection = Arc::new(grown);
        } else if !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the stored hashes have so many different parameters that a rejection cannot compute \
                 them all, so its time may tell whether an account exists; hash the passwords anew"
            );
        }
        Arc::clone(&rejection)
    }

    /// How many verifications were performed so far: one for every password that was looked at, and
    /// one for every rejection.
    #[must_use]
    pub fn performed(&self) -> u64 {
        self.tally.performed.load(Ordering::Relaxed)
    }

    /// What they cost together.
    #[must_use]
    pub fn spent(&self) -> HashCost {
        self.tally.lock().clone()
    }
}

impl Tally {
    fn add(&self, cost: &HashCost) {
        self.performed.fetch_add(1, Ordering::Relaxed);
        *self.lock() += cost;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashCost> {
        self.spent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The credential that `password` is, and what it cost to find out. If no password
/// matches, the cost is topped up to cover `rejection`.
fn check(
    account: &Account,
    password: &str,
    rejection: &HashCost,
) -> (Option<CredentialFingerprint>, HashCost) {
    let mut spent = HashCost::default();
    for hash in &account.passwords {
        spent += &hash.cost();
        if hash.verify(password) {
            return (Some(hash.fingerprint()), spent);
        }
    }
    let missing = spent.missing_to(rejection);
    perform(&missing, password.as_bytes());
    spent += &missing;
    (None, spent)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;

    use super::*;
    use crate::Credentials;
    use crate::password::{Argon2id, Bcrypt, PasswordHash};

    fn bcrypt(password: &str, cost: u32) -> PasswordHash {
        Bcrypt::hash(password.as_bytes(), [3; 16], cost)
            .unwrap()
            .parse()
            .unwrap()
    }

    fn argon2id(memory: u32, passes: u32) -> PasswordHash {
        Argon2id::hash(b"argon", &[1; 16], memory, passes)
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

    fn named(account: &str) -> Proof {
        Proof::Password(Credentials {
            account: account.into(),
            password: "wrong".into(),
        })
    }

    /// The same *work of each kind*, so the same time: no round of one kind stands for another.
    #[tokio::test]
    async fn every_rejection_does_the_same_work_of_each_kind() {
        let accounts = [
            account(vec![bcrypt("cheap", 4)]),
            account(vec![bcrypt("dear", 7)]),
            account(vec![bcrypt("one", 5), bcrypt("two", 6), bcrypt("three", 6)]),
            account(vec![argon2id(64, 3)]),
            account(vec![argon2id(64, 3), argon2id(32, 1)]),
            account(vec![bcrypt("both", 4), argon2id(64, 3)]),
        ];
        let verifier = verifier(&accounts);
        let expected: HashCost = [
            HashCost::bcrypt(32 + 64 + 64),
            argon2id(64, 3).cost(),
            argon2id(32, 1).cost(),
        ]
        .into_iter()
        .sum();
        assert_eq!(*verifier.rejection_cost(), expected);
        let source = LoginSource::new(None, "a");
        let mut total = HashCost::default();
        for account in &accounts {
            let check = verifier
                .verify(account, &"wrong".into(), &source)
                .await
                .unwrap();
            assert!(matches!(check, PasswordCheck::Mismatch(_)));
            total += &expected;
            assert_eq!(verifier.spent(), total);
        }
        for proof in [named("unknown"), Proof::BearerToken("x".into())] {
            verifier.reject(&proof, &source).await.unwrap();
            total += &expected;
            assert_eq!(verifier.spent(), total);
        }
        assert_eq!(verifier.performed(), accounts.len() as u64 + 2);
    }

    /// A hash of a database is known only once it was read.
    #[tokio::test]
    async fn a_dearer_hash_makes_every_later_rejection_as_dear() {
        let verifier =
            verifier(&[account(vec![bcrypt("cheap", 4)])]).expecting(&HashCost::bcrypt(32));
        assert_eq!(*verifier.rejection_cost(), HashCost::bcrypt(32));
        let source = LoginSource::new(None, "a");
        verifier.reject(&named("unknown"), &source).await.unwrap();
        let dear = account(vec![bcrypt("dear", 6)]);
        verifier
            .verify(&dear, &"wrong".into(), &source)
            .await
            .unwrap();
        assert_eq!(*verifier.rejection_cost(), HashCost::bcrypt(64));
        verifier.reject(&named("unknown"), &source).await.unwrap();
        assert_eq!(verifier.spent(), HashCost::bcrypt(32 + 64 + 64));
    }

    #[tokio::test]
    async fn hashes_that_are_not_there_yet_cost_nothing() {
        let are_there = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&are_there);
        let verifier = verifier(&[account(vec![bcrypt("p", 4)])])
            .expecting_if(argon2id(64, 1).cost(), move || seen.load(Ordering::Relaxed));
        let source = LoginSource::new(None, "a");
        verifier.reject(&named("unknown"), &source).await.unwrap();
        assert_eq!(verifier.spent(), HashCost::bcrypt(16));
        are_there.store(true, Ordering::Relaxed);
        let both = HashCost::bcrypt(16).covering(&argon2id(64, 1).cost());
        verifier.reject(&named("unknown"), &source).await.unwrap();
        let spent = [HashCost::bcrypt(16), both.clone()].into_iter().sum();
        assert_eq!(
            (verifier.spent(), verifier.rejection_cost()),
            (spent, Arc::new(both))
        );
    }

    /// One user of a store must not make every login of the server slow.
    #[tokio::test]
    async fn hashes_of_many_kinds_make_no_rejection_cost_more_than_the_costliest() {
        let verifier = verifier(&[]);
        let source = LoginSource::new(None, "a");
        let most = HashCost::bcrypt(1 << 17);
        let costliest = "$argon2id$v=19$m=1048576,t=8,p=1$c29tZXNhbHQ$AAAAAAAAAAAAAAAAAAAAAA";
        let costliest: PasswordHash = costliest.parse().unwrap();
        let verifier = verifier.expecting(&costliest.cost());
        let full = verifier.rejection_cost();
        let other = account(vec![argon2id(8, 1)]);
        let check = verifier.verify(&other, &"argon".into(), &source).await;
        assert!(matches!(check, Ok(PasswordCheck::Match(_))));
        assert_eq!(verifier.rejection_cost(), full);
        let verifier = verifier.expecting(&most);
        assert_eq!(
            *verifier.rejection_cost(),
            HashCost::clone(&full).covering(&most)
        );
    }

    #[tokio::test]
    async fn a_hash_that_nothing_matches_costs_what_every_rejection_does() {
        let excessive = "$2b$31$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC";
        let unmatchable = account(vec![PasswordHash::unmatchable(excessive)]);
        let verifier = verifier(&[unmatchable.clone(), account(vec![bcrypt("p", 5)])]);
        let source = LoginSource::new(None, "a");
        for password in ["badmin", ""] {
            let check = verifier
                .verify(&unmatchable, &password.into(), &source)
                .await;
            assert!(matches!(check, Ok(PasswordCheck::Mismatch(_))));
        }
        assert_eq!(verifier.spent(), HashCost::bcrypt(64));
    }

    #[tokio::test]
    async fn the_matching_password_is_named() {
        let both = account(vec![bcrypt("one", 4), bcrypt("two", 4)]);
        let verifier = verifier(std::slice::from_ref(&both));
        for (password, index) in [("one", 0), ("two", 1)] {
            let check = verifier
                .verify(&both, &password.into(), &LoginSource::new(None, "a"))
                .await
                .unwrap();
            let expected = both.passwords[index].fingerprint();
            assert!(matches!(check, PasswordCheck::Match(found) if found == expected));
        }
        assert_eq!(
            (verifier.performed(), verifier.spent()),
            (2, HashCost::bcrypt(16 + 32))
        );
    }

    #[tokio::test]
    async fn anonymous_requests_and_files_without_passwords_cost_nothing() {
        let source = LoginSource::new(None, "");
        let anonymous = Proof::Password(Credentials::anonymous());
        let with_passwords = verifier(&[account(vec![bcrypt("p", 4)])]);
        with_passwords.reject(&anonymous, &source).await.unwrap();
        let without = verifier(&[]);
        without.reject(&named("a"), &source).await.unwrap();
        assert_eq!((with_passwords.performed(), without.performed()), (0, 0));
    }
}
