//! A runtime for commands that wait for a database, a server or a program.

use std::future::Future;

use crate::failure::Failure;

/// What `command` comes to.
pub(super) fn block_on<T>(command: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::system("cannot start the runtime").caused_by(&error))?;
    Ok(runtime.block_on(command))
}
