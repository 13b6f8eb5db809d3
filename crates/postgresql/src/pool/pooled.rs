//! A connection on loan.

use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::PoolState;
use crate::connection::PostgresConnection;

/// A connection of a pool. It goes back when it is dropped; one that broke, or whose statement was
/// given up, is closed instead.
///
/// A transaction that was begun must be ended before: see [`Transaction`](crate::Transaction),
/// which takes care of that.
pub struct PooledConnection {
    /// Absent only while it is dropped.
    loan: Option<Loan>,
    pool: Arc<PoolState>,
}

struct Loan {
    connection: PostgresConnection,
    opened: Instant,
    permit: OwnedSemaphorePermit,
}

impl PooledConnection {
    pub(super) fn new(
        pool: &Arc<PoolState>,
        connection: PostgresConnection,
        opened: Instant,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Self {
            loan: Some(Loan {
                connection,
                opened,
                permit,
            }),
            pool: Arc::clone(pool),
        }
    }

    /// Closes it instead of giving it back.
    pub fn close(self) {
        self.give_up();
    }
}

impl Deref for PooledConnection {
    type Target = PostgresConnection;

    #[expect(
        clippy::expect_used,
        reason = "only `drop` takes the loan, and nothing runs after it"
    )]
    fn deref(&self) -> &PostgresConnection {
        let loan = self.loan.as_ref();
        &loan.expect("it is there until it is dropped").connection
    }
}

impl Drop for PooledConnection {
    fn drop(&mut self) {
        if let Some(Loan {
            connection,
            opened,
            permit,
        }) = self.loan.take()
        {
            self.pool.put_back(connection, opened, permit);
        }
    }
}

impl std::fmt::Debug for PooledConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        (**self).fmt(f)
    }
}
