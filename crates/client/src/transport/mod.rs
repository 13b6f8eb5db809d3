//! Sends requests and receives responses: one HTTP client for each origin, with the certificates
//! that count there, bounds on everything, and an observer of each exchange.

mod body;
mod certificates;
mod connection_error;
mod options;
mod proxy;
mod request;
mod response;
mod retry;
mod tls;

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, LOCATION};
use reqwest::{Client, StatusCode, Url};

pub(crate) use body::StreamedBody;
pub use certificates::certificate_directories;
pub use connection_error::{ConnectionError, RootCause};
pub use options::TransportOptions;
pub use proxy::ProxySettings;
pub(crate) use request::ClientRequest;
pub(crate) use response::ClientResponse;
pub(crate) use retry::{Backoff, is_transient};

use crate::http_error_response::{host, origin};
use crate::image_name::is_loopback;
use crate::observer::{ExchangeEvent, seen, seen_url};
use crate::{Error, Step};

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(15);
/// How often a body that is being sent is looked at, to see whether it still moves.
const LOOK: Duration = Duration::from_secs(60);
/// How many redirects are followed.
const MAX_REDIRECTS: usize = 10;

/// Sends requests. Clones share their connections.
#[derive(Clone)]
pub struct Transport {
    options: Arc<TransportOptions>,
    clients: Arc<Mutex<HashMap<String, Client>>>,
    /// The registry that other servers are contacted for.
    registry: Option<Arc<str>>,
}

impl Transport {
    /// A transport without connections yet.
    #[must_use]
    pub fn new(options: TransportOptions) -> Self {
        Self {
            options: Arc::new(options),
            clients: Arc::default(),
            registry: None,
        }
    }

    /// A transport for the registry `host` (with its port). The certificates in that host's
    /// `certs.d` count at its token server and its storage, too: docker, podman and containerd read
    /// no other directory for those.
    pub(crate) fn on_behalf_of(&self, host: &str) -> Self {
        Self {
            options: self.options.clone(),
            clients: Arc::default(),
            registry: Some(host.into()),
        }
    }

    /// Reads the certificates for the host of `url`, without sending anything.
    pub(crate) fn prepare(&self, url: &Url) -> Result<(), Error> {
        self.client(url).map(drop)
    }

    /// Its options.
    #[must_use]
    pub fn options(&self) -> &TransportOptions {
        &self.options
    }

    /// Sends once, without following redirects.
    pub(crate) async fn send(&self, request: &ClientRequest) -> Result<ClientResponse, Error> {
        self.send_by(&self.client(&request.url)?, request).await
    }

    /// Sends once and accepts every certificate: for a request without secrets and a response that
    /// is not trusted.
    pub(crate) async fn send_unverified(
        &self,
        request: &ClientRequest,
    ) -> Result<ClientResponse, Error> {
        self.send_by(&self.unverified(&request.url)?, request).await
    }

    async fn send_by(
        &self,
        client: &Client,
        request: &ClientRequest,
    ) -> Result<ClientResponse, Error> {
        let mut outgoing = self.begin(request);
        *outgoing.body_mut() = request.body.clone().map(Into::into);
        match tokio::time::timeout(self.options.patience, client.execute(outgoing)).await {
            Ok(outcome) => self.received(request, outcome),
            Err(_) => Err(timeout(request, "the server sent no response")),
        }
    }

    /// Sends once, with a body that is produced meanwhile.
    pub(crate) async fn send_streamed(
        &self,
        request: &ClientRequest,
        body: StreamedBody,
    ) -> Result<ClientResponse, Error> {
        let taken = body.taken();
        let mut outgoing = self.begin(request);
        *outgoing.body_mut() = Some(reqwest::Body::wrap(body));
        let exchange = self.client(&request.url)?.execute(outgoing);
        tokio::pin!(exchange);
        let patience = self.options.patience;
        let look = LOOK.min(patience);
        let (mut before, mut quiet) = (0, Duration::ZERO);
        loop {
            match tokio::time::timeout(look, &mut exchange).await {
                Ok(outcome) => return self.received(request, outcome),
                Err(_) => {
                    let now = taken.load(Ordering::Relaxed);
                    quiet = if now == before {
                        quiet + look
                    } else {
                        Duration::ZERO
                    };
                    before = now;
                }
            }
            // The same limit holds while the body is sent and after its end.
            if quiet >= patience {
                return Err(timeout(request, "the server stopped reading the body"));
            }
        }
    }

    /// Sends until there is a response that another try would not change.
    pub(crate) async fn send_repeatedly(
        &self,
        request: &ClientRequest,
    ) -> Result<ClientResponse, Error> {
        let mut backoff = Backoff::default();
        loop {
            let outcome = self.send(request).await;
            let (wanted, reason) = match &outcome {
                _ if !request.retried => return outcome,
                Ok(response) if is_transient(response.status()) => {
                    (response.retry_after(), response.status().to_string())
                }
                Err(error) if error.is_transient() => (None, error.to_string()),
                _ => return outcome,
            };
            match backoff.pause(wanted, &*self.options.entropy) {
                Some(pause) => self.pause(pause, &reason).await,
                None => return outcome,
            }
        }
    }

    /// Sends repeatedly and follows redirects. The `Authorization` header goes along only to the
    /// same origin (RFC 9110 §15.4).
    pub(crate) async fn fetch(&self, request: &ClientRequest) -> Result<ClientResponse, Error> {
        let mut request = request.clone();
        for _ in 0..MAX_REDIRECTS {
            let response = self.send_repeatedly(&request).await?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            let Some(to) = response.header(LOCATION.as_str()).map(str::to_owned) else {
                return Err(response.malformed("it has no Location header"));
            };
            if !request.redirected {
                return Err(Error::Redirect {
                    step: request.step,
                    from: Box::new(request.url),
                    to,
                    why: "which this server may not do",
                });
            }
            let next = self.redirected(&request, &to)?;
            if origin(&next) != origin(&request.url) {
                // A form may hold a password.
                if request.body.is_some() {
                    return Err(Error::Redirect {
                        step: request.step,
                        from: Box::new(request.url),
                        to,
                        why: "another host, which must not see the body of the request",
                    });
                }
                request.headers.remove(AUTHORIZATION);
                request.step = Step::Redirected;
            }
            self.observe(&ExchangeEvent::Redirected {
                to: &seen_url(request.step, &next),
                with_authorization: request.headers.contains_key(AUTHORIZATION),
            });
            request.url = next;
        }
        Err(Error::Redirect {
            step: request.step,
            from: Box::new(request.url),
            to: "another address".to_owned(),
            why: "after more redirects than are followed",
        })
    }

    /// The document at `url`, of at most `limit` bytes. It is requested once, without credentials.
    ///
    /// # Errors
    /// `url` is not a URL, the server does not respond with a success, or the document is too long.
    pub async fn document(&self, url: &str, accept: &str, limit: usize) -> Result<Bytes, Error> {
        let url = Url::parse(url)
            .map_err(|error| Error::Unsupported(format!("{url:?} is not a URL: {error}")))?;
        let request = ClientRequest::get(url).step(Step::Redirected).once();
        let request = request.header(ACCEPT, accept);
        self.fetch(&request)
            .await?
            .success()
            .await?
            .bytes(limit)
            .await
    }

    /// The certificate that a host shows, whether it is trusted or not.
    pub(crate) async fn certificate_of(&self, url: &Url) -> Option<token::Certificate> {
        let request = self.unverified(url).ok()?.head(url.clone());
        let request = request.timeout(self.options.patience);
        let response = request.send().await.ok()?;
        let info = response.extensions().get::<reqwest::tls::TlsInfo>()?;
        token::Certificate::from_der(info.peer_certificate()?).ok()
    }

    /// Waits, and tells the observer why.
    pub(crate) async fn pause(&self, pause: Duration, reason: &str) {
        self.observe(&ExchangeEvent::Retry {
            after: pause,
            reason,
        });
        tokio::time::sleep(pause).await;
    }

    pub(crate) fn observe(&self, event: &ExchangeEvent<'_>) {
        if let Some(observer) = &self.options.observer {
            observer.observe(event);
        }
    }

    fn redirected(&self, request: &ClientRequest, to: &str) -> Result<Url, Error> {
        let wrong = |why| Error::Redirect {
            step: request.step,
            from: Box::new(request.url.clone()),
            to: to.to_owned(),
            why,
        };
        let next = request.url.join(to);
        let next = next.map_err(|_| wrong("which is not a URL"))?;
        match next.scheme() {
            "https" => Ok(next),
            "http" if request.url.scheme() == "http" || self.options.insecure => Ok(next),
            "http" => Err(wrong("from https to plain http")),
            _ => Err(wrong("which is neither http nor https")),
        }
    }

    fn begin(&self, request: &ClientRequest) -> reqwest::Request {
        if self.options.observer.is_some() {
            self.observe(&ExchangeEvent::Request {
                step: request.step,
                method: &request.method,
                url: &seen_url(request.step, &request.url),
                headers: &request.seen_headers(),
                form: &request.form,
            });
        }
        let mut outgoing = reqwest::Request::new(request.method.clone(), request.url.clone());
        *outgoing.headers_mut() = request.headers.clone();
        outgoing
    }

    fn received(
        &self,
        request: &ClientRequest,
        outcome: reqwest::Result<reqwest::Response>,
    ) -> Result<ClientResponse, Error> {
        let failed = |problem, source| {
            let error = Error::Connection {
                step: request.step,
                origin: origin(&request.url),
                problem,
                source,
            };
            self.observe(&ExchangeEvent::Failed(&error));
            error
        };
        let response =
            outcome.map_err(|error| failed(ConnectionError::of(&error), RootCause::of(&error)))?;
        // Only a proxy responds with this (RFC 9110 §15.5.8).
        if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return Err(failed(
                ConnectionError::Proxy,
                RootCause::saying("407: the proxy wants a user name and a password"),
            ));
        }
        if self.options.observer.is_some() {
            self.observe(&ExchangeEvent::Response {
                step: request.step,
                status: response.status(),
                headers: &seen(response.headers()),
            });
        }
        Ok(ClientResponse {
            step: request.step,
            method: request.method.clone(),
            url: request.url.clone(),
            response,
            received_at: self.options.clock.now(),
        })
    }

    /// The HTTP client for a URL's origin.
    fn client(&self, url: &Url) -> Result<Client, Error> {
        let origin = origin(url);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(&origin) {
            return Ok(client.clone());
        }
        let client = self.new_client(url)?;
        clients.insert(origin, client.clone());
        Ok(client)
    }

    fn new_client(&self, url: &Url) -> Result<Client, Error> {
        // Plain HTTP to this machine never meets TLS, not even a proxy's, so the system's many
        // authorities need not be read.
        let needs_tls = url.scheme() == "https" || !url.host_str().is_some_and(is_loopback);
        let found = if needs_tls {
            self.certificates(&host(url))?
        } else {
            certificates::HostCertificates::default()
        };
        let tls = tls::configuration(found, self.options.insecure || !needs_tls);
        let tls = tls.map_err(|error| {
            Error::Unsupported(format!(
                "the certificates for {} cannot be used: {error}",
                host(url)
            ))
        })?;
        built(self.builder(url)?.tls_backend_preconfigured(tls))
    }

    /// A client that accepts every certificate. It does not read the system's authorities.
    fn unverified(&self, url: &Url) -> Result<Client, Error> {
        let tls = tls::configuration(certificates::HostCertificates::default(), true);
        let tls = tls.map_err(|error| Error::Unsupported(format!("TLS: {error}")))?;
        built(
            self.builder(url)?
                .tls_info(true)
                .tls_backend_preconfigured(tls),
        )
    }

    /// What all clients have in common.
    fn builder(&self, url: &Url) -> Result<reqwest::ClientBuilder, Error> {
        let builder = Client::builder()
            .user_agent(concat!("wharfinger/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT)
            .referer(false)
            .no_proxy();
        let proxy = self.options.proxies.for_url(url);
        Ok(match proxy.map_err(Error::Unsupported)? {
            Some(proxy) => builder.proxy(proxy),
            None => builder,
        })
    }

    fn certificates(&self, host: &str) -> Result<certificates::HostCertificates, Error> {
        let options = &self.options;
        let directories = &options.certificate_directories;
        let mut found = certificates::HostCertificates::read(directories, host)?;
        if let Some(registry) = self.registry.as_deref().filter(|known| *known != host) {
            let other = certificates::HostCertificates::read(directories, registry)?;
            found.authorities.extend(other.authorities);
        }
        for path in &options.authorities {
            let authorities = certificates::read_certificates(path)?;
            found.authorities.extend(authorities);
        }
        if let Some((chain, key)) = &options.client_certificate {
            found.client = Some(certificates::ClientCertificate::read(chain, key)?);
        }
        Ok(found)
    }
}

fn built(builder: reqwest::ClientBuilder) -> Result<Client, Error> {
    builder.build().map_err(|error| {
        let cause = RootCause::of(&error);
        Error::Unsupported(format!("the HTTP client cannot be set up: {cause}"))
    })
}

fn timeout(request: &ClientRequest, what: &str) -> Error {
    Error::Connection {
        step: request.step,
        origin: origin(&request.url),
        problem: ConnectionError::Timeout,
        source: RootCause::saying(what),
    }
}
