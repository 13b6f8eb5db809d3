//! What the commands that speak to registries share: how they connect, who they say they are, what
//! they show of it.

mod interruption;
mod progress;
mod secret;
mod trace;

use std::future::Future;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use client::{
    CredentialStore, Credentials, Error, ErrorKind, ExchangeObserver, Host, ImageName, Platform,
    RegistryClient, RegistrySession, RepositoryClient, Transport, TransportOptions,
    certificate_directories,
};

pub(crate) use progress::{ProgressBars, bytes};
pub(crate) use secret::password;
pub(crate) use trace::Trace;

use crate::failure::{Failure, FailureKind};
use crate::output;

/// How to connect.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArguments {
    /// Show every step on standard error: requests, challenges, tokens and what is in them. Secrets
    /// are shortened.
    #[arg(long)]
    pub(crate) trace: bool,
    /// Speak plain http. Without it, that is done with this machine's own registries only.
    #[arg(long)]
    plain_http: bool,
    /// Believe every certificate: whoever answers may read and change everything.
    #[arg(long)]
    insecure: bool,
    /// Trust the certificates in this PEM file, too; may be repeated. Those in certs.d/HOST:PORT of
    /// docker, containerd and podman are trusted anyway.
    #[arg(long, value_name = "FILE")]
    ca_file: Vec<PathBuf>,
    /// Show this certificate (PEM) to servers that ask for one.
    #[arg(long, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// The certificate's private key (PEM).
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Use no stored login.
    #[arg(long)]
    pub(crate) anonymous: bool,
}

/// Which part of an index is meant.
#[derive(Clone, Debug, Args)]
pub(crate) struct PlatformArguments {
    /// Of an index, the image for this platform: OS/ARCHITECTURE[/VARIANT].
    #[arg(long)]
    pub(crate) platform: Option<Platform>,
}

/// How lists are fetched.
#[derive(Clone, Debug, Args)]
pub(crate) struct PageArguments {
    /// How many to ask for at once; the registry's own measure without.
    #[arg(long, value_name = "N")]
    pub(crate) page: Option<usize>,
}

/// A way to registries, each with the login that is stored for it.
#[derive(Clone)]
pub(crate) struct Remote {
    transport: Transport,
    anonymous: bool,
}

impl ConnectionArguments {
    /// Opens the way.
    pub(crate) fn open(&self) -> Remote {
        Remote {
            transport: Transport::new(self.options()),
            anonymous: self.anonymous,
        }
    }

    /// The way's options. What is dangerous about them is said.
    pub(crate) fn options(&self) -> TransportOptions {
        if self.insecure {
            output::note(
                "warning: --insecure: certificates are not checked, and nothing that comes can be trusted",
            );
        }
        let observer = self
            .trace
            .then(|| Arc::new(Trace::new()) as Arc<dyn ExchangeObserver>);
        let home = std::env::var_os("HOME").map(PathBuf::from);
        TransportOptions {
            plain_http: self.plain_http,
            insecure: self.insecure,
            authorities: self.ca_file.clone(),
            client_certificate: self.cert.clone().zip(self.key.clone()),
            certificate_directories: certificate_directories(home.as_deref()),
            observer,
            ..TransportOptions::default()
        }
    }
}

impl Remote {
    /// A session with `host`, with the login that is stored for it or for `path` there.
    pub(crate) async fn session(
        &self,
        host: &Host,
        path: &str,
    ) -> Result<RegistrySession, Failure> {
        let found = if self.anonymous {
            None
        } else {
            credential_store()
                .find(host, path)
                .await
                .map_err(Error::from)?
        };
        self.session_as(
            host,
            found.map_or(Credentials::Anonymous, |found| found.credentials),
        )
        .await
    }

    /// A session with `host` as somebody.
    pub(crate) async fn session_as(
        &self,
        host: &Host,
        credentials: Credentials,
    ) -> Result<RegistrySession, Failure> {
        Ok(RegistrySession::begin(self.transport.clone(), host.clone(), credentials).await?)
    }

    /// The repository of an image.
    pub(crate) async fn repository(&self, name: &ImageName) -> Result<RepositoryClient, Failure> {
        let session = self.session(&name.host, name.repository.as_str()).await?;
        Ok(RegistryClient::new(session).repository(name.repository.clone()))
    }
}

/// Where logins are stored for this user.
pub(crate) fn credential_store() -> CredentialStore {
    CredentialStore::new(|name| std::env::var_os(name))
}

/// How many threads move images. More would not make them faster: each blob keeps one busy, and few
/// move at once.
const THREADS: usize = 4;
/// How long what is under way may take to tidy up after itself, when somebody has had enough.
const TIDY: Duration = Duration::from_secs(2);

/// Runs a command that waits for others, until it is done or somebody has had enough.
pub(crate) fn run(command: impl Future<Output = Result<(), Failure>>) -> Result<ExitCode, Failure> {
    let threads = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(THREADS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_all()
        .build();
    let runtime =
        runtime.map_err(|error| Failure::system("cannot start the runtime").caused_by(&error))?;
    let outcome = runtime.block_on(async {
        let interrupted = interruption::signal()?;
        tokio::select! {
            outcome = command => outcome.map(|()| ExitCode::SUCCESS),
            signal = interrupted => Err(Failure::new(FailureKind::Interrupted(signal), "interrupted")),
        }
    });
    match &outcome {
        // Half an archive is taken away by whoever wrote it.
        Err(_) => runtime.shutdown_timeout(TIDY),
        // Whatever is still being read or written is of no use to anybody any more.
        Ok(_) => runtime.shutdown_background(),
    }
    outcome
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::Login => FailureKind::Login,
            ErrorKind::Denied => FailureKind::Denied,
            ErrorKind::NotFound => FailureKind::NotFound,
            ErrorKind::Unreachable => FailureKind::Unreachable,
            ErrorKind::Content => FailureKind::Content,
            ErrorKind::Server | ErrorKind::Local => FailureKind::System,
            ErrorKind::Usage => FailureKind::Usage,
        };
        let mut failure = Failure::new(kind, error.to_string());
        if let Some(source) = std::error::Error::source(&error) {
            failure = failure.caused_by(source);
        }
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}
