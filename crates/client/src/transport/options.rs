//! How to speak to registries.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use common::{Clock, Entropy, SystemClock, SystemEntropy};

use super::ProxySettings;
use crate::observer::ExchangeObserver;

/// How to speak to registries.
#[derive(Clone)]
pub struct TransportOptions {
    /// Speak plain HTTP to every registry.
    pub plain_http: bool,
    /// Accept every certificate, and send passwords over plain HTTP when a registry asks for it.
    pub insecure: bool,
    /// Files of certificates (PEM) to trust besides the system's.
    pub authorities: Vec<PathBuf>,
    /// Certificate and key (PEM) of this client, for servers that ask for one.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Directories in which directories called `HOST:PORT` hold certificates.
    pub certificate_directories: Vec<PathBuf>,
    /// How long a server may take to respond, or to take more of a body. Long as a rule: some copy
    /// a whole layer to another store first.
    pub patience: Duration,
    /// The proxies between here and the registries.
    pub proxies: ProxySettings,
    /// Sees each request and response.
    pub observer: Option<Arc<dyn ExchangeObserver>>,
    /// The source of the time.
    pub clock: Arc<dyn Clock>,
    /// The source of random bytes.
    pub entropy: Arc<dyn Entropy>,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            plain_http: false,
            insecure: false,
            authorities: Vec::new(),
            client_certificate: None,
            certificate_directories: Vec::new(),
            patience: Duration::from_secs(300),
            proxies: ProxySettings::from_env(),
            observer: None,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
        }
    }
}
