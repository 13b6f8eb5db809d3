//! Requests out, answers in: one HTTP client for each host, with the certificates that count there,
//! bounds on everything, and an eye on each exchange.

mod body;
mod certificates;
mod connection_error;
mod request;
mod response;
mod retry;
mod tls;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::{Clock, Entropy, SystemClock, SystemEntropy};
use reqwest::header::{AUTHORIZATION, LOCATION};
use reqwest::{Client, Request, StatusCode, Url};

pub(crate) use body::StreamedBody;
pub use certificates::certificate_directories;
pub use connection_error::{ConnectionError, RootCause};
pub(crate) use request::HttpRequest;
pub(crate) use response::HttpResponse;
pub(crate) use retry::Backoff;

use crate::error_response::{host, origin};
use crate::image_name::is_loopback;
use crate::observer::{ExchangeEvent, ExchangeObserver, seen, seen_url};
use crate::{Error, Step};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(15);
/// How often it is looked whether a body that is sent still moves.
const LOOK: Duration = Duration::from_secs(60);
/// How many redirects are followed.
const HOPS: usize = 10;

/// How to speak to registries.
#[derive(Clone)]
pub struct TransportOptions {
    /// Speak plain HTTP to every registry.
    pub plain_http: bool,
    /// Believe every certificate, and send passwords over plain HTTP where a registry asks for it.
    pub insecure: bool,
    /// Files of certificates to trust besides the system's.
    pub authorities: Vec<PathBuf>,
    /// Certificate and key (PEM) to show to whoever asks.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
    /// Where directories called `HOST:PORT` hold certificates.
    pub certificate_directories: Vec<PathBuf>,
    /// How long a server may think before it answers, and take nothing of what it is sent. Long as
    /// a rule: some put a whole layer into another store first.
    pub patience: Duration,
    /// Who looks on.
    pub observer: Option<Arc<dyn ExchangeObserver>>,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where chance comes from.
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
            observer: None,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
        }
    }
}

/// What sends requests. Clones share their connections.
#[derive(Clone)]
pub struct Transport {
    options: Arc<TransportOptions>,
    clients: Arc<Mutex<HashMap<String, Client>>>,
    /// The registry on whose behalf others are spoken to.
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

    /// A transport that goes out for the registry `host` (with its port). Whom that host's
    /// `certs.d` vouches for is believed at its token server and its storage, too: docker, podman
    /// and containerd look nowhere else for those.
    pub(crate) fn on_behalf_of(&self, host: &str) -> Self {
        Self {
            options: self.options.clone(),
            clients: Arc::default(),
            registry: Some(host.into()),
        }
    }

    /// Reads all that is needed to speak to the host of `url`, which is sent nothing.
    pub(crate) fn prepare(&self, url: &Url) -> Result<(), Error> {
        self.client(url).map(drop)
    }

    /// How it speaks.
    #[must_use]
    pub fn options(&self) -> &TransportOptions {
        &self.options
    }

    /// Sends once, without following anything.
    pub(crate) async fn send(&self, call: &HttpRequest) -> Result<HttpResponse, Error> {
        self.send_by(&self.client(&call.url)?, call).await
    }

    /// Sends once to whoever answers, for a question that holds nothing and an answer that is not
    /// believed.
    pub(crate) async fn send_unproved(&self, call: &HttpRequest) -> Result<HttpResponse, Error> {
        let client = unproved(&call.url)
            .ok_or_else(|| Error::Unsupported("no HTTP client can be made".to_owned()))?;
        self.send_by(&client, call).await
    }

    async fn send_by(&self, client: &Client, call: &HttpRequest) -> Result<HttpResponse, Error> {
        let mut request = self.begin(call);
        *request.body_mut() = call.body.clone().map(Into::into);
        let exchange = client.execute(request);
        match tokio::time::timeout(self.options.patience, exchange).await {
            Ok(outcome) => self.arrived(call, outcome),
            Err(_) => Err(timeout(call, "no answer")),
        }
    }

    /// Sends once, with a body that is made meanwhile.
    pub(crate) async fn send_streamed(
        &self,
        call: &HttpRequest,
        body: StreamedBody,
    ) -> Result<HttpResponse, Error> {
        let mut request = self.begin(call);
        let taken = body.taken();
        *request.body_mut() = Some(reqwest::Body::wrap(body));
        let exchange = self.client(&call.url)?.execute(request);
        tokio::pin!(exchange);
        let patience = self.options.patience;
        let look = LOOK.min(patience);
        let (mut before, mut quiet) = (0, Duration::ZERO);
        loop {
            match tokio::time::timeout(look, &mut exchange).await {
                Ok(outcome) => return self.arrived(call, outcome),
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
            // Once all is sent the server may think; until then it has to take what comes.
            if quiet >= patience {
                return Err(timeout(call, "the server takes no more"));
            }
        }
    }

    /// Sends until there is an answer that another try would not change.
    pub(crate) async fn send_repeatedly(&self, call: &HttpRequest) -> Result<HttpResponse, Error> {
        let mut attempts = Backoff::default();
        loop {
            let outcome = self.send(call).await;
            let (wanted, reason) = match &outcome {
                Ok(answer) if is_passing(answer) => {
                    (answer.retry_after(), answer.status().to_string())
                }
                Err(error) if error.may_pass() => (None, error.to_string()),
                _ => return outcome,
            };
            match attempts.pause(wanted, &*self.options.entropy) {
                Some(pause) => self.pause(pause, &reason).await,
                None => return outcome,
            }
        }
    }

    /// Sends repeatedly and follows redirects; papers go along only to the same host (RFC 9110
    /// §15.4).
    pub(crate) async fn fetch(&self, call: &HttpRequest) -> Result<HttpResponse, Error> {
        let mut call = call.clone();
        for _ in 0..HOPS {
            let answer = self.send_repeatedly(&call).await?;
            if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let Some(to) = answer.header(LOCATION.as_str()).map(str::to_owned) else {
                return Err(answer.malformed("does not say where to"));
            };
            let next = self.redirected(&call, &to)?;
            if origin(&next) != origin(&call.url) {
                // A form may hold a password, and nobody knows the other host.
                if call.body.is_some() {
                    let (from, why) = (
                        Box::new(call.url.clone()),
                        "another host, which must not see what was sent",
                    );
                    return Err(Error::Redirect {
                        step: call.step,
                        from,
                        to,
                        why,
                    });
                }
                call.headers.remove(AUTHORIZATION);
                call.step = Step::Elsewhere;
            }
            self.observe(&ExchangeEvent::Redirected {
                to: &next,
                with_authorization: call.headers.contains_key(AUTHORIZATION),
            });
            call.url = next;
        }
        Err(redirect(&call, "and that is one redirect too many"))
    }

    /// The certificate that a host shows, whoever believes it.
    pub(crate) async fn certificate_of(&self, url: &Url) -> Option<token::Certificate> {
        let answer = unproved(url)?
            .head(url.clone())
            .timeout(self.options.patience)
            .send()
            .await
            .ok()?;
        let info = answer.extensions().get::<reqwest::tls::TlsInfo>()?;
        token::Certificate::from_der(info.peer_certificate()?).ok()
    }

    /// Waits, and says so.
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

    fn redirected(&self, call: &HttpRequest, to: &str) -> Result<Url, Error> {
        let wrong = |why| Error::Redirect {
            step: call.step,
            from: Box::new(call.url.clone()),
            to: to.to_owned(),
            why,
        };
        let next = call.url.join(to).map_err(|_| wrong("which is no URL"))?;
        match next.scheme() {
            "https" => Ok(next),
            "http" if call.url.scheme() == "http" || self.options.insecure => Ok(next),
            "http" => Err(wrong("from https to plain http")),
            _ => Err(wrong("which is no web address")),
        }
    }

    fn begin(&self, call: &HttpRequest) -> Request {
        if self.options.observer.is_some() {
            let (headers, form) = (call.seen_headers(), &call.form);
            let (step, method, url) = (call.step, &call.method, seen_url(call.step, &call.url));
            self.observe(&ExchangeEvent::Request {
                step,
                method,
                url: &url,
                headers: &headers,
                form,
            });
        }
        let mut request = Request::new(call.method.clone(), call.url.clone());
        *request.headers_mut() = call.headers.clone();
        request
    }

    fn arrived(
        &self,
        call: &HttpRequest,
        outcome: reqwest::Result<reqwest::Response>,
    ) -> Result<HttpResponse, Error> {
        let failed = |problem, source| {
            let error = Error::Connection {
                step: call.step,
                origin: origin(&call.url),
                problem,
                source,
            };
            self.observe(&ExchangeEvent::Failed(&error));
            error
        };
        let response =
            outcome.map_err(|error| failed(ConnectionError::of(&error), RootCause::of(&error)))?;
        // Nobody but a proxy says this (RFC 9110 §15.5.8).
        if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            return Err(failed(
                ConnectionError::Proxy,
                RootCause::saying("it wants another login, or one at all"),
            ));
        }
        if self.options.observer.is_some() {
            let headers = seen(response.headers());
            self.observe(&ExchangeEvent::Response {
                step: call.step,
                status: response.status(),
                headers: &headers,
            });
        }
        let at = self.options.clock.now();
        Ok(HttpResponse {
            step: call.step,
            method: call.method.clone(),
            url: call.url.clone(),
            response,
            at,
        })
    }

    /// The HTTP client for a URL's host.
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
        // Without a proxy nothing of plain HTTP ever meets TLS, and the system's many authorities
        // need not be read.
        let needs_tls = url.scheme() == "https" || !url.host_str().is_some_and(is_loopback);
        let found = if needs_tls {
            self.certificates(&host(url))?
        } else {
            Default::default()
        };
        let tls =
            tls::configuration(found, self.options.insecure || !needs_tls).map_err(|error| {
                Error::Unsupported(format!(
                    "the certificates for {} cannot be used: {error}",
                    host(url)
                ))
            })?;
        let built = builder(url).tls_backend_preconfigured(tls).build();
        built.map_err(|error| {
            Error::Unsupported(format!(
                "no HTTP client can be made: {}",
                RootCause::of(&error)
            ))
        })
    }

    fn certificates(&self, host: &str) -> Result<certificates::HostCertificates, Error> {
        let options = &self.options;
        let mut found =
            certificates::HostCertificates::read(&options.certificate_directories, host)?;
        if let Some(registry) = self
            .registry
            .as_deref()
            .filter(|registry| *registry != host)
        {
            let registrys =
                certificates::HostCertificates::read(&options.certificate_directories, registry)?;
            found.authorities.extend(registrys.authorities);
        }
        for path in &options.authorities {
            found
                .authorities
                .extend(certificates::read_certificates(path)?);
        }
        if let Some((chain, key)) = &options.client_certificate {
            found.client = Some(certificates::ClientCertificate::read(chain, key)?);
        }
        Ok(found)
    }
}

/// A client that believes every certificate, and so need not read the system's many authorities.
fn unproved(url: &Url) -> Option<Client> {
    let tls = tls::configuration(certificates::HostCertificates::default(), true).ok()?;
    builder(url)
        .tls_info(true)
        .tls_backend_preconfigured(tls)
        .build()
        .ok()
}

/// What all clients have in common.
fn builder(url: &Url) -> reqwest::ClientBuilder {
    let builder = Client::builder()
        .user_agent(concat!("wharfinger/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT)
        .referer(false);
    // As Go's clients do: no proxy stands between this machine and itself.
    if url.host_str().is_some_and(is_loopback) {
        builder.no_proxy()
    } else {
        builder
    }
}

fn is_passing(answer: &HttpResponse) -> bool {
    matches!(
        answer.status().as_u16(),
        408 | 425 | 429 | 500 | 502 | 503 | 504
    )
}

fn timeout(call: &HttpRequest, what: &str) -> Error {
    let (problem, source) = (ConnectionError::Timeout, RootCause::saying(what));
    Error::Connection {
        step: call.step,
        origin: origin(&call.url),
        problem,
        source,
    }
}

fn redirect(call: &HttpRequest, why: &'static str) -> Error {
    Error::Redirect {
        step: call.step,
        from: Box::new(call.url.clone()),
        to: "yet another place".to_owned(),
        why,
    }
}
