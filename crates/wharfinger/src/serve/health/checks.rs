//! What is checked, and the words that Distribution has for a failure (`health/checks/checks.go`).

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use identity::tls::ClientTls;
use storage::Storage;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::HttpCheckConfig;
use crate::failure::Failure;

/// How long the storage may take to say that it can be read.
const STORAGE_LIMIT: Duration = Duration::from_secs(10);

/// Something that is checked.
pub(super) enum Check {
    /// The registry's content can be reached.
    Storage(Storage),
    /// A file does not exist.
    File(PathBuf),
    /// A server answers with a status.
    Http(Box<HttpCheckConfig>, reqwest::Client),
    /// A server takes connections.
    Tcp(String, Duration),
}

impl Check {
    /// A server that must answer.
    pub(super) fn http(config: &HttpCheckConfig) -> Result<Self, Failure> {
        let no_client = "server.health.http: the HTTP client cannot be set up";
        let tls = ClientTls::default();
        let tls = tls
            .config()
            .map_err(|error| Failure::system(no_client).caused_by(&error))?;
        let client = reqwest::Client::builder()
            .user_agent(concat!("wharfinger/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .timeout(config.timeout)
            .tls_backend_preconfigured(tls)
            .build()
            .map_err(|error| Failure::system(no_client).caused_by(&error))?;
        Ok(Self::Http(Box::new(config.clone()), client))
    }

    pub(super) async fn run(&self) -> Result<(), String> {
        match self {
            Self::Storage(storage) => check_storage(storage).await,
            Self::File(path) => match tokio::fs::metadata(path).await {
                Ok(_) => Err("file exists".to_owned()),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error.to_string()),
            },
            Self::Http(config, client) => check_http(config, client).await,
            Self::Tcp(address, limit) => {
                let failed = |why: String| format!("{address}: connection failed: {why}");
                match timeout(*limit, TcpStream::connect(address)).await {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(error)) => Err(failed(error.to_string())),
                    Err(_) => Err(failed("no answer in time".to_owned())),
                }
            }
        }
    }
}

async fn check_storage(storage: &Storage) -> Result<(), String> {
    let locations = timeout(STORAGE_LIMIT, storage.unreachable_locations()).await;
    match locations {
        Ok(Ok(locations)) if locations.is_empty() => Ok(()),
        Ok(Ok(locations)) => {
            for location in locations {
                tracing::error!(%location, "storage driver health check: content cannot be read");
            }
            Err("content cannot be read, see the log".to_owned())
        }
        Ok(Err(error)) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "storage driver health check");
            Err("the storage cannot be asked, see the log".to_owned())
        }
        Err(_) => Err("the storage does not answer in time".to_owned()),
    }
}

async fn check_http(config: &HttpCheckConfig, client: &reqwest::Client) -> Result<(), String> {
    let uri = config.uri.to_string();
    let request = client.head(&uri).headers(config.headers.clone());
    match request.send().await {
        Ok(response) if response.status() == config.status => Ok(()),
        Ok(response) => Err(format!(
            "{uri}: downstream service returned unexpected status: {}",
            response.status().as_u16()
        )),
        Err(error) => Err(format!(
            "{uri}: error while checking: {}",
            error.without_url()
        )),
    }
}
