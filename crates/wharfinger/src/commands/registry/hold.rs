//! A hold on garbage collection, which removes no file while files are copied.

use std::time::Duration;

use common::{Entropy, SystemEntropy};
use storage::collection::CollectionHold;
use storage::{Error, Storage};

use crate::failure::Failure;

/// How long the hold of a command that was killed lasts.
const LASTING: Duration = Duration::from_secs(3600);
/// How often the hold is renewed. A slow disk must not end it.
const RENEWAL: Duration = Duration::from_secs(600);

/// Does `work` while no file is removed.
pub(super) async fn while_held<T>(
    storage: &Storage,
    work: impl Future<Output = T>,
) -> Result<T, Failure> {
    let hold = CollectionHold {
        id: random_id()?,
        lasting: LASTING,
    };
    storage.hold(hold).await.map_err(|error| not_held(&error))?;
    let renew = async {
        loop {
            tokio::time::sleep(RENEWAL).await;
            if let Err(error) = storage.hold(hold).await {
                return error;
            }
        }
    };
    let done = tokio::select! {
        done = work => Ok(done),
        error = renew => Err(not_held(&error)),
    };
    storage
        .release(hold)
        .await
        .map_err(|error| not_held(&error))?;
    done
}

/// 16 random bytes.
pub(super) fn random_id() -> Result<[u8; 16], Failure> {
    let mut id = [0; 16];
    SystemEntropy
        .fill(&mut id)
        .map_err(|error| Failure::system("no name can be made").caused_by(&error))?;
    Ok(id)
}

fn not_held(error: &Error) -> Failure {
    Failure::system("cannot pause garbage collection for the backup").caused_by(error)
}
