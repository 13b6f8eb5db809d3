//! The proof that a rejection was paid for.

/// Shows that a rejection cost as much as every other. Only a
/// [`PasswordVerifier`](crate::PasswordVerifier) makes one, so no backend can reject for less.
#[derive(Debug)]
pub struct Rejection(());

impl Rejection {
    /// A rejection whose cost has been computed.
    pub(super) fn paid() -> Self {
        Self(())
    }
}
