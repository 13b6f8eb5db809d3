//! A database that a copy makes, or has made, is not served as if nothing had happened.

use database::{CopyState, Database};

use crate::failure::Failure;

/// Refuses a database that is an unfinished copy: what clients push there, the next pass would remove.
/// Warns of a registry that was copied to another place, and stores nothing.
pub(super) async fn refuse_unfinished_copy(database: &Database) -> Result<(), Failure> {
    match database.copy_state().await {
        Ok(CopyState::Unfinished(_)) => {
            let message = "the database is an unfinished copy of another registry";
            return Err(Failure::system(message).hint(
                "finish it with `wharfinger registry copy`, without --prepare, or name another database",
            ));
        }
        Ok(CopyState::None | CopyState::Complete(_)) => {}
        // A database that cannot be reached yet is asked again by every request.
        Err(error) => tracing::debug!(%error, "cannot see whether the database is a copy"),
    }
    if let Ok(true) = database.is_read_only().await {
        tracing::warn!(
            "this registry was copied to another place and stores nothing; \
             `wharfinger registry copy FILE --release` lets it store again"
        );
    }
    Ok(())
}
