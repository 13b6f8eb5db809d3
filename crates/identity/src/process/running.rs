//! A program that is running, with everything that it starts.

use std::ffi::OsString;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use traces::current_traceparent;

use super::ProcessError;

/// A running program, the leader of its own process group. The group is killed when this is dropped.
pub(super) struct RunningProcess(pub(super) Child);

/// The variables by which a program continues the trace of the request that starts it (OpenTelemetry,
/// "Environment Variables as Context Propagation Carriers").
fn trace_variables() -> impl Iterator<Item = (&'static str, String)> {
    let (parent, state) = current_traceparent().unzip();
    let parent = parent.map(|parent| ("TRACEPARENT", parent));
    let state = state.flatten().map(|state| ("TRACESTATE", state));
    parent.into_iter().chain(state)
}

impl RunningProcess {
    pub(super) fn start(command: &OsString, arguments: &[OsString]) -> Result<Self, ProcessError> {
        Command::new(command)
            .args(arguments)
            .envs(trace_variables())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map(Self)
            .map_err(|source| ProcessError::Start {
                command: command.clone(),
                source,
            })
    }

    /// Kills the whole group and waits until its leader is gone. If that takes long, the runtime goes
    /// on waiting.
    pub(super) async fn end(&mut self) {
        self.kill();
        let _ = timeout(Duration::from_secs(1), self.0.wait()).await;
    }

    fn kill(&self) {
        // The id exists until the process has been waited for, so no other process has it yet.
        let group = self
            .0
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(Err(error)) = group.map(|group| kill_process_group(group, Signal::KILL)) {
            tracing::debug!(%error, "a program's process group could not be killed");
        }
    }
}

impl Drop for RunningProcess {
    fn drop(&mut self) {
        self.kill();
    }
}
