//! What the commands for registries share: connection, login, and what they show.

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
    CredentialStore, CredentialsError, Error, ErrorKind, ExchangeObserver, Host, ImageName,
    LoginCredentials, Platform, RegistryClient, RegistrySession, RepositoryClient, Transport,
    TransportOptions, certificate_directories,
};
use common::escape_line;

pub(crate) use progress::{ProgressBars, bytes};
pub(crate) use secret::password;
pub(crate) use trace::Trace;

use crate::failure::{Failure, FailureKind};
use crate::output;

/// The options of a connection.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectionArguments {
    #[command(flatten)]
    pub(crate) https: HttpsArguments,
    /// Use plain http. By default, only a registry on this machine may use it.
    #[arg(long)]
    plain_http: bool,
    /// Do not use a stored login.
    #[arg(long)]
    pub(crate) anonymous: bool,
}

/// The heading of these options in the help. It is said of each, because other options may follow.
const CONNECTION: &str = "Connection";

/// The options of a connection over https.
#[derive(Clone, Debug, Args)]
pub(crate) struct HttpsArguments {
    /// Show every step on standard error: requests, challenges, and the claims of tokens. Secrets are
    /// hidden.
    #[arg(long, help_heading = CONNECTION)]
    pub(crate) trace: bool,
    /// Skip certificate verification (insecure).
    #[arg(long, help_heading = CONNECTION)]
    insecure: bool,
    /// Trust the certificates in this PEM file, too; may be repeated. Those in certs.d/HOST:PORT of
    /// docker, containerd and podman are always trusted.
    #[arg(long, help_heading = CONNECTION, value_name = "FILE")]
    ca_file: Vec<PathBuf>,
    /// Client certificate (PEM), for servers that ask for one.
    #[arg(long, help_heading = CONNECTION, value_name = "FILE", requires = "key")]
    cert: Option<PathBuf>,
    /// Private key (PEM) of the client certificate.
    #[arg(long, help_heading = CONNECTION, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
}

/// The choice of an image of an index.
#[derive(Clone, Debug, Args)]
pub(crate) struct PlatformArguments {
    /// Choose the image of an index for this platform: OS/ARCHITECTURE[/VARIANT].
    #[arg(long)]
    pub(crate) platform: Option<Platform>,
}

/// The options of a list.
#[derive(Clone, Debug, Args)]
pub(crate) struct PageArguments {
    /// Page size (default: the registry's).
    #[arg(long, value_name = "N")]
    pub(crate) page: Option<usize>,
}

/// Connects to registries, each with its stored login.
#[derive(Clone)]
pub(crate) struct Remote {
    transport: Transport,
    anonymous: bool,
}

impl ConnectionArguments {
    /// Prepares connecting.
    pub(crate) fn open(&self) -> Remote {
        Remote {
            transport: Transport::new(self.options()),
            anonymous: self.anonymous,
        }
    }

    /// Connects to the repository of an image.
    pub(crate) async fn repository(&self, name: &ImageName) -> Result<RepositoryClient, Failure> {
        self.open().repository(name).await
    }

    /// The options for the client. Warns of dangerous ones.
    pub(crate) fn options(&self) -> TransportOptions {
        TransportOptions {
            plain_http: self.plain_http,
            ..self.https.options()
        }
    }
}

impl HttpsArguments {
    /// The options for the client. Warns of dangerous ones.
    pub(crate) fn options(&self) -> TransportOptions {
        if self.insecure {
            output::note(
                "warning: --insecure skips certificate verification: others may read and change everything",
            );
        }
        let observer = self
            .trace
            .then(|| Arc::new(Trace::new()) as Arc<dyn ExchangeObserver>);
        let home = std::env::var_os("HOME").map(PathBuf::from);
        TransportOptions {
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
        if self.anonymous {
            return self.session_as(host, LoginCredentials::Anonymous).await;
        }
        let lookup = credential_store().find(host, path).await;
        for problem in &lookup.problems {
            warn_of_store(problem);
        }
        let credentials = lookup.found.map(|found| found.credentials);
        self.session_as(host, credentials.unwrap_or_default()).await
    }

    /// A session with `host` with this login.
    pub(crate) async fn session_as(
        &self,
        host: &Host,
        credentials: LoginCredentials,
    ) -> Result<RegistrySession, Failure> {
        Ok(RegistrySession::begin(self.transport.clone(), host.clone(), credentials).await?)
    }

    /// The repository of an image.
    pub(crate) async fn repository(&self, name: &ImageName) -> Result<RepositoryClient, Failure> {
        let session = self.session(&name.host, name.repository.as_str()).await?;
        Ok(RegistryClient::new(session).repository(name.repository.clone()))
    }
}

/// The stored logins of this user.
pub(crate) fn credential_store() -> CredentialStore {
    CredentialStore::new(|name| std::env::var_os(name))
}

/// Warns of a file or helper that cannot be read: what follows is done without it.
pub(crate) fn warn_of_store(problem: &CredentialsError) {
    let source = std::error::Error::source(problem).map_or_else(String::new, |e| format!(": {e}"));
    output::note(format_args!(
        "warning: {problem}{source}; a login that it holds is not used"
    ));
    if let Some(hint) = problem.hint() {
        output::note(format_args!("hint: {hint}"));
    }
}

/// How many threads copy images. Each blob keeps one busy, and few are copied at once.
const THREADS: usize = 4;
/// How long cleaning up may take after an interruption.
const TIDY: Duration = Duration::from_secs(2);

/// Runs a command until it is done or interrupted.
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
        // The writer of an incomplete archive deletes it.
        Err(_) => runtime.shutdown_timeout(TIDY),
        // Nothing that still runs is needed.
        Ok(_) => runtime.shutdown_background(),
    }
    outcome
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        failed(error.kind(), &error, error.hint())
    }
}

/// What failed in the client, as the failure of a command.
pub(crate) fn failed(
    kind: ErrorKind,
    error: &dyn std::error::Error,
    hint: Option<String>,
) -> Failure {
    let kind = match kind {
        ErrorKind::Login => FailureKind::Login,
        ErrorKind::Denied => FailureKind::Denied,
        ErrorKind::NotFound => FailureKind::NotFound,
        ErrorKind::Unreachable => FailureKind::Unreachable,
        ErrorKind::Content => FailureKind::Content,
        ErrorKind::Server | ErrorKind::Local => FailureKind::System,
        ErrorKind::Usage => FailureKind::Usage,
    };
    let mut failure = Failure::new(kind, escape_line(&error.to_string()));
    if let Some(source) = error.source() {
        failure = failure.caused_by(source);
    }
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
