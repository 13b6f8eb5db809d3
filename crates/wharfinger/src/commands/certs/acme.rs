//! `wharfinger certs acme`: the certificates that the server obtains itself.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::SystemTime;

use ::acme::{AcmeRows, AcmeStore, AcmeStoreError, CacheDirectory, CertificateHost, HostStatus};
use clap::Subcommand;
use common::{Clock, SystemClock, rfc3339, unix_seconds};

use crate::commands::managed_database::ManagedDatabase;
use crate::commands::{configuration, runtime};
use crate::failure::Failure;
use crate::output;

/// Show the certificates from an ACME server, or have them obtained now
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show each host's certificate, when it is renewed, and why the last attempt failed
    ///
    /// The exit code is 1 if a host has no certificate, or one that expires soon.
    Status {
        /// The configuration's file
        file: PathBuf,
    },
    /// Forget failed attempts, so that the running server makes the next one within 30 seconds
    ///
    /// Use it after the cause was removed: authorities limit how often a host may fail.
    Retry {
        /// The configuration's file
        file: PathBuf,
    },
}

pub(super) fn run(command: &Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Status { file } => status(file),
        Command::Retry { file } => retry(file),
    }
}

/// The hosts of a configuration, and where their certificates are kept.
struct ConfiguredStore {
    hosts: Vec<CertificateHost>,
    store: Arc<dyn AcmeStore>,
}

fn configured(file: &Path) -> Result<ConfiguredStore, Failure> {
    let config = configuration::load(file)?.config;
    let Some(section) = config.server.letsencrypt else {
        return Err(Failure::usage(format!(
            "{} has no section server.letsencrypt",
            file.display()
        ))
        .hint("its certificate, if it has one, is in the file that server.certificate names"));
    };
    let store: Arc<dyn AcmeStore> = match section.cache_dir {
        Some(directory) => Arc::new(CacheDirectory::new(directory)),
        None => {
            let database = ManagedDatabase::open(file)?.database;
            Arc::new(AcmeRows::new(database, Arc::new(SystemClock)))
        }
    };
    Ok(ConfiguredStore {
        hosts: section.settings.hosts,
        store,
    })
}

fn status(file: &Path) -> Result<ExitCode, Failure> {
    let now = SystemClock.now();
    let all = runtime::block_on(async {
        let ConfiguredStore { hosts, store } = configured(file)?;
        let status = ::acme::status(store.as_ref(), &hosts).await;
        status.map_err(|error| unusable(&error))
    })??;
    let text: String = all.iter().map(|host| described(host, now)).collect();
    output::print(&text)?;
    Ok(match all.iter().all(|host| is_fine(host, now)) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

fn retry(file: &Path) -> Result<ExitCode, Failure> {
    let is_forgotten = runtime::block_on(async {
        let ConfiguredStore { hosts, store } = configured(file)?;
        let retried = ::acme::retry(store.as_ref(), &hosts).await;
        retried.map_err(|error| unusable(&error))
    })??;
    if !is_forgotten {
        return Err(Failure::system("a server is making an attempt now")
            .hint("`wharfinger certs acme status` shows its outcome in a few minutes"));
    }
    output::print("a running server makes the next attempt within 30 seconds\n")?;
    Ok(ExitCode::SUCCESS)
}

fn unusable(error: &AcmeStoreError) -> Failure {
    Failure::system("the certificates cannot be read or changed")
        .caused_by(error)
        .hint("run the command as the user that runs the server")
}

fn is_fine(host: &HostStatus, now: SystemTime) -> bool {
    match &host.certificate {
        Some(Ok(certificate)) => !certificate.expires_soon(now),
        Some(Err(_)) | None => false,
    }
}

fn described(status: &HostStatus, now: SystemTime) -> String {
    let host = &status.host;
    let mut text = match &status.certificate {
        None => format!("{host}: no certificate yet\n"),
        Some(Err(error)) => format!("{host}: the stored certificate cannot be used: {error}\n"),
        Some(Ok(certificate)) => {
            let (end, renewal) = (certificate.not_after(), certificate.renewal_time());
            let state = match (end < now, certificate.expires_soon(now)) {
                (true, _) => "expired on",
                (false, true) => "expires soon, on",
                (false, false) => "valid until",
            };
            format!(
                "{host}: {state} {}, renewed from {} on, issued by {}\n",
                date(end),
                date(renewal),
                certificate.issuer()
            )
        }
    };
    if let Some(attempts) = status.attempts.as_ref().filter(|_| status.is_under_way) {
        let began = rfc3339(attempts.began);
        let _ = writeln!(
            text,
            "  attempt {} began at {began}, and is under way",
            attempts.failures
        );
    } else if let Some(attempts) = &status.attempts {
        // A `String` takes everything.
        let _ = writeln!(
            text,
            "  attempt {} at {} failed: {}\n  next attempt at {}",
            attempts.failures,
            rfc3339(attempts.began),
            attempts.error,
            date(attempts.next_attempt())
        );
    }
    text
}

fn date(time: SystemTime) -> String {
    rfc3339(unix_seconds(time))
}
