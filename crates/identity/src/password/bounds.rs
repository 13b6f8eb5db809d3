//! The costliest hashes that are verified: each takes some ten seconds, and Docker gives up a login
//! after fifteen.

/// bcrypt's cost. A hash of cost 31 would keep a thread busy for a day.
pub(super) const MAX_BCRYPT_COST: u32 = 17;

/// The most memory that argon2id takes, in KiB: 1 GiB. `login.parallel` verifications run at once.
pub(super) const MAX_ARGON2ID_MEMORY: u32 = 1 << 20;

/// The highest product of argon2id's memory and passes, in KiB: 8 GiB.
pub(super) const MAX_ARGON2ID_WORK: u64 = 8 << 20;
