//! `wharfinger serve FILE`: runs what the file configures.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::failure::Failure;
use crate::serve;

/// Run the servers that a configuration file describes
///
/// The file may be one of docker_auth or of registry:2. The configuration is read again on SIGHUP and
/// when a file that it names changes. SIGTERM and SIGINT stop the server after its open requests.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The configuration file.
    file: PathBuf,
    #[command(flatten)]
    glog: Glog,
}

/// `docker_auth`'s flags for its log, under their names.
#[derive(Debug, Args)]
struct Glog {
    /// Log more: 2 and above is level debug.
    #[arg(long, short = 'v', value_name = "LEVEL")]
    v: Option<u8>,
    /// Log to standard error only.
    #[arg(long = "logtostderr", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    to_stderr: Option<bool>,
    /// Log to standard error as well as to the file in --log_dir.
    #[arg(long = "alsologtostderr", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    also_to_stderr: Option<bool>,
    /// Append the log to wharfinger.log in this folder.
    #[arg(long = "log_dir", value_name = "FOLDER")]
    folder: Option<PathBuf>,
    /// Accepted for docker_auth's sake, without effect.
    #[arg(long = "stderrthreshold", value_name = "LEVEL", hide = true)]
    stderr_threshold: Option<String>,
    /// Accepted for docker_auth's sake, without effect.
    #[arg(long, value_name = "PATTERNS", hide = true)]
    vmodule: Option<String>,
    /// Accepted for docker_auth's sake, without effect.
    #[arg(long = "log_backtrace_at", value_name = "FILE:LINE", hide = true)]
    backtrace_at: Option<String>,
    /// Accepted for docker_auth's sake, without effect.
    #[arg(long = "log_link", value_name = "FOLDER", hide = true)]
    link: Option<String>,
    /// Accepted for docker_auth's sake, without effect.
    #[arg(long = "logbuflevel", value_name = "LEVEL", hide = true)]
    buffer_level: Option<String>,
}

pub(crate) fn run(arguments: Arguments) -> Result<ExitCode, Failure> {
    let glog = arguments.glog;
    let only_stderr = glog.to_stderr == Some(true);
    let folder = glog.folder.filter(|_| !only_stderr);
    let overrides = serve::LogOverrides {
        level: glog
            .v
            .filter(|&level| level >= 2)
            .map(|_| tracing::Level::DEBUG),
        no_stderr: folder.is_some() && glog.also_to_stderr != Some(true),
        folder,
    };
    serve::run(&arguments.file, overrides)
}
