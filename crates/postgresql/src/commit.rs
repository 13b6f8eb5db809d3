//! Whether a transaction was committed whose connection broke meanwhile.

use std::time::Duration;

use crate::connection::PostgresConnection;
use crate::error::{PostgresError, PostgresFailure};
use crate::jitter::jitter;
use crate::pool::{PostgresPool, now};

/// How long the outcome is asked for: the server may restart, or may not have noticed yet that the
/// connection broke.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(100);

/// A transaction that changes something, on a server's timeline.
#[derive(Clone, Debug)]
pub(crate) struct TransactionId {
    number: String,
    timeline: Option<u32>,
}

/// Begins a transaction that can change something, and learns its number in the same round trip.
pub(crate) async fn begin(
    connection: &PostgresConnection,
    begin: &str,
) -> Result<TransactionId, PostgresError> {
    let text = format!("{begin}; SELECT pg_current_xact_id()");
    let number = connection.last_value(&text).await?;
    Ok(TransactionId {
        number: number.unwrap_or_default(),
        timeline: connection.timeline(),
    })
}

/// Asks on a new connection what became of a transaction. `lost` is why it is not known.
///
/// A standby that was promoted meanwhile may have given the number to another transaction. So it is
/// not asked, and the outcome stays unknown.
pub(crate) async fn settle(
    pool: &PostgresPool,
    id: &TransactionId,
    lost: PostgresError,
) -> Result<(), PostgresError> {
    tracing::info!(
        transaction = id.number,
        "the connection broke during COMMIT; the server is asked for the outcome"
    );
    let deadline = now() + PATIENCE;
    while now() < deadline {
        match status(pool, id).await {
            Ok(Some(status)) if status == "committed" => return Ok(()),
            Ok(Some(status)) if status == "aborted" => return Err(conflict(lost)),
            // The server works on it, or waits for a standby.
            Ok(Some(_)) | Err(PostgresError::Unavailable(_)) => {}
            Ok(None) | Err(_) => break,
        }
        tokio::time::sleep(jitter(PAUSE)).await;
    }
    Err(PostgresError::unavailable(PostgresFailure::UnknownOutcome))
}

async fn status(pool: &PostgresPool, id: &TransactionId) -> Result<Option<String>, PostgresError> {
    let connection = pool.connection().await?;
    if connection.timeline() != id.timeline {
        return Ok(None);
    }
    let sql = "SELECT pg_xact_status($1::text::xid8)";
    let row = connection.query_one(sql, &[&id.number]).await?;
    Ok(row.get(0))
}

/// It was rolled back, so it can be tried again.
fn conflict(lost: PostgresError) -> PostgresError {
    match lost {
        PostgresError::Unavailable(source) => PostgresError::Conflict(source),
        other => other,
    }
}
