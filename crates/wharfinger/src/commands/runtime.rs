//! A runtime for commands that wait for a database, a server or a program.

use std::future::Future;
use std::process::ExitCode;

use crate::failure::Failure;
use crate::output;

/// What `command` comes to.
pub(super) fn block_on<T>(command: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::system("cannot start the runtime").caused_by(&error))?;
    Ok(runtime.block_on(command))
}

/// Runs `command`, and prints what it reports.
pub(super) fn print_report(
    command: impl Future<Output = Result<String, Failure>>,
) -> Result<ExitCode, Failure> {
    output::print(&block_on(command)??)?;
    Ok(ExitCode::SUCCESS)
}
