//! Password hashes: parsed strictly, verified in constant time, their cost known.
//!
//! Two kinds are supported: *bcrypt* as `htpasswd -B` and `docker_auth` write it, and *argon2id*
//! (RFC 9106) as a PHC string. Other kinds (Apache's `$apr1$`, `{SHA}`, crypt's `$6$`, …) are errors
//! that name the kind.

mod argon2id;
mod bcrypt;
mod bounds;
mod cost;
mod hash;
mod unsupported;
mod work;

pub use self::argon2id::{Argon2id, Argon2idError};
pub use self::bcrypt::{Bcrypt, BcryptError};
pub use self::cost::HashCost;
pub use self::hash::{HashError, PasswordHash};
pub(crate) use self::work::perform;
