//! Work that one of several servers does for all.

use std::pin::pin;

use tokio::time::timeout;

use crate::{Duty, Error, Storage};

impl Storage {
    /// Does `work` if it is due and this server's turn. Returns `None` if it is not. Another server may
    /// begin the same work if this one has not renewed its lease in time, so each step may be done
    /// twice.
    ///
    /// # Errors
    /// What `work` returns, or if the database fails. [`Error::Conflict`] if another server has taken
    /// the duty meanwhile; the work then stops.
    pub async fn in_turn<T, E: From<Error>>(
        &self,
        duty: Duty,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<Option<T>, E> {
        let duties = &self.shared.metadata.duties;
        let Some(lease) = duties.take(&duty).await? else {
            return Ok(None);
        };
        let mut work = pin!(work);
        let done = loop {
            if let Ok(done) = timeout(duty.lease / 3, &mut work).await {
                break done;
            }
            // After another failure there is time for one more attempt.
            if let Err(Error::Conflict) = duties.renew(&lease).await {
                return Err(Error::Conflict.into());
            }
        };
        match &done {
            Ok(_) => duties.finish(lease).await?,
            Err(_) => duties.give_up(lease).await?,
        }
        done.map(Some)
    }
}
