//! Signals such as Ctrl-C: the command stops and cleans up.

use std::future::Future;
use std::process::exit;

use tokio::signal::unix::{Signal, SignalKind, signal as listen};
use tokio::sync::oneshot;

use super::TIDY;
use crate::failure::Failure;

/// Ends with the number of the first signal that asks the program to stop. From then on the program
/// ends in any case, even if a call hangs.
pub(super) fn signal() -> Result<impl Future<Output = u8>, Failure> {
    let failed = |error| Failure::system("cannot listen to signals").caused_by(&error);
    let [mut interrupt, mut terminate, mut hang_up] = [
        listen(SignalKind::interrupt()).map_err(failed)?,
        listen(SignalKind::terminate()).map_err(failed)?,
        listen(SignalKind::hangup()).map_err(failed)?,
    ];
    let (sender, receiver) = oneshot::channel();
    tokio::spawn(async move {
        let number = first(&mut interrupt, &mut terminate, &mut hang_up).await;
        let _ = sender.send(number);
        // The second signal ends it at once.
        let _ = tokio::time::timeout(
            2 * TIDY,
            first(&mut interrupt, &mut terminate, &mut hang_up),
        )
        .await;
        exit(128 + i32::from(number));
    });
    Ok(async {
        match receiver.await {
            Ok(number) => number,
            // The sender is dropped with the runtime, when no task waits any more.
            Err(_) => std::future::pending().await,
        }
    })
}

/// The number of the first signal. Their numbers are POSIX's (`kill`, "-signal_number").
async fn first(interrupt: &mut Signal, terminate: &mut Signal, hang_up: &mut Signal) -> u8 {
    tokio::select! {
        _ = interrupt.recv() => 2,
        _ = terminate.recv() => 15,
        _ = hang_up.recv() => 1,
    }
}
