//! A list of users, in parts, from a server that says itself when the list ends.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::timeout;

use super::TokenStoreError;

/// How long a list may take.
pub(super) const MAX_TIME: Duration = Duration::from_secs(60);

/// How much memory the names may take, in bytes.
const MAX_BYTES: usize = 64 << 20;

/// The names of users that were read so far.
pub(super) struct UserListing {
    names: BTreeSet<String>,
    bytes: usize,
    parts: u32,
    max_parts: u32,
}

/// A list that was given up. Its server, or what else is stored there, is not what was expected.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum EndlessListing {
    #[error("the list of users has more than {0} parts; keep sign-ins apart from other data")]
    Parts(u32),
    #[error("the names of users have more than {} MiB", MAX_BYTES >> 20)]
    Bytes,
    #[error("the list of users did not end within {} s", .0.as_secs())]
    Time(Duration),
}

impl UserListing {
    /// An empty list that may come in so many parts.
    pub(super) fn new(max_parts: u32) -> Self {
        Self {
            names: BTreeSet::new(),
            bytes: 0,
            parts: 0,
            max_parts,
        }
    }

    /// Adds the names of one part.
    ///
    /// # Errors
    /// When there are too many parts or names.
    pub(super) fn add(
        &mut self,
        names: impl IntoIterator<Item = String>,
    ) -> Result<(), TokenStoreError> {
        self.parts += 1;
        if self.parts > self.max_parts {
            return Err(EndlessListing::Parts(self.max_parts).into());
        }
        for name in names {
            let length = name.len();
            if self.names.insert(name) {
                self.bytes += length;
            }
            if self.bytes > MAX_BYTES {
                return Err(EndlessListing::Bytes.into());
            }
        }
        Ok(())
    }

    /// The names, in the order of their bytes.
    pub(super) fn into_names(self) -> Vec<String> {
        self.names.into_iter().collect()
    }
}

/// What `listing` answers, unless it takes longer than `limit`.
pub(super) async fn within<T>(
    limit: Duration,
    listing: impl Future<Output = Result<T, TokenStoreError>>,
) -> Result<T, TokenStoreError> {
    let listed = timeout(limit, listing).await;
    listed.unwrap_or_else(|_| Err(EndlessListing::Time(limit).into()))
}

impl From<EndlessListing> for TokenStoreError {
    fn from(error: EndlessListing) -> Self {
        Self::Broken(error.into())
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    fn reason(error: &TokenStoreError) -> String {
        error.source().map(ToString::to_string).unwrap_or_default()
    }

    #[test]
    fn a_list_has_so_many_parts_and_bytes() {
        let mut listing = UserListing::new(2);
        listing.add(["b".to_owned(), "a".to_owned()]).unwrap();
        listing.add(["b".to_owned()]).unwrap();
        let error = listing.add([]).unwrap_err();
        assert!(reason(&error).contains("more than 2 parts"), "{error:?}");
        assert_eq!(listing.into_names(), ["a", "b"]);

        let mut listing = UserListing::new(2);
        listing.add(["n".repeat(MAX_BYTES)]).unwrap();
        let error = listing.add(["n".to_owned()]).unwrap_err();
        assert!(reason(&error).contains("more than 64 MiB"), "{error:?}");
    }

    #[tokio::test]
    async fn a_list_may_take_so_long() {
        let never = std::future::pending::<Result<(), _>>();
        let error = within(Duration::ZERO, never).await.unwrap_err();
        assert!(
            reason(&error).contains("did not end within 0 s"),
            "{error:?}"
        );
    }
}
