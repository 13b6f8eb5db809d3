//! How long a rejected login takes, by the kind of account: the times must not tell the kinds apart.
//!
//! `cargo bench -p identity --bench rejections` prints the quartiles of 60 rounds, in milliseconds.
//! The file mixes bcrypt and argon2id, as it does while its users move from one to the other.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "it measures time and stops at the first failure"
)]

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{SystemClock, SystemEntropy};
use identity::password::{Argon2id, Bcrypt};
use identity::{
    Account, Accounts, AuthenticatorChain, Credentials, Login, LoginCache, LoginLimiter,
    LoginOutcome, PasswordHash, PasswordVerifier, Proof, Rate, StaticUsers, WorkerPool,
};

const ROUNDS: usize = 60;
const NAMES: [&str; 4] = ["bcrypt", "argon2id", "both", "unknown"];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let login = login();
    let mut times = [const { Vec::new() }; NAMES.len()];
    // In turn, so that a change of the machine's speed reaches every kind.
    for _ in 0..ROUNDS {
        for (name, times) in NAMES.iter().zip(&mut times) {
            times.push(reject(&login, name).await);
        }
    }
    println!(
        "{:10} {:>8} {:>8} {:>8}",
        "account", "25 %", "median", "75 %"
    );
    for (name, mut times) in NAMES.iter().zip(times) {
        times.sort_unstable();
        let [first, median, third] =
            [1, 2, 3].map(|quarter| times[ROUNDS * quarter / 4].as_secs_f64() * 1e3);
        println!("{name:10} {first:8.2} {median:8.2} {third:8.2}");
    }
}

async fn reject(login: &Login, account: &str) -> Duration {
    let proof = Proof::Password(Credentials {
        account: account.into(),
        password: "wrong".into(),
    });
    let began = Instant::now();
    let outcome = login.login(&proof, None).await.unwrap();
    let took = began.elapsed();
    assert!(
        matches!(outcome, LoginOutcome::Rejected { .. }),
        "{outcome:?}"
    );
    took
}

fn login() -> Login {
    let bcrypt: PasswordHash = Bcrypt::hash(b"right", [3; 16], 10)
        .unwrap()
        .parse()
        .unwrap();
    let argon2id = Argon2id::hash(b"right", &[3; 16], 19_456, 2).unwrap();
    let argon2id: PasswordHash = argon2id.parse().unwrap();
    let mut accounts = Accounts::default();
    for (name, passwords) in [
        ("bcrypt", vec![bcrypt.clone()]),
        ("argon2id", vec![argon2id.clone()]),
        ("both", vec![bcrypt, argon2id]),
    ] {
        let account = Account {
            passwords,
            ..Account::default()
        };
        accounts.add(name.into(), account).unwrap();
    }
    let workers = Arc::new(WorkerPool::new(NonZeroUsize::MIN));
    let verifier = PasswordVerifier::new(workers, accounts.iter().map(|(_, account)| account));
    let verifier = Arc::new(verifier);
    let clock = Arc::new(SystemClock);
    let limiter = LoginLimiter::new(Rate::OFF, Rate::OFF, clock.clone(), &SystemEntropy).unwrap();
    let cache = LoginCache::new(Duration::ZERO, clock, &SystemEntropy).unwrap();
    let users = StaticUsers::new(accounts, verifier.clone());
    let chain = AuthenticatorChain::new(vec![Box::new(users)]);
    Login::new(chain, cache, Arc::new(limiter), verifier)
}
