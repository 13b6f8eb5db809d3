//! Sends spans to a collector.

use std::sync::Arc;
use std::time::Duration;

use client_tls::ClientTls;
use common::{Clock, Counter, Entropy};
use http::header::{CONTENT_TYPE, HeaderValue};
use tokio::time::Instant;

use crate::finished::FinishedSpan;
use crate::otlp::export_request;
use crate::{TraceSettings, TraceSettingsError, Tracer};

/// How often a failure is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// How often spans are sent again that the collector could not take, and the wait before the first of
/// these attempts. It doubles each time.
const RETRIES: u32 = 3;
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// Sends the spans of a tracer to a collector.
pub struct SpanExporter {
    tracer: Arc<Tracer>,
    settings: TraceSettings,
    client: reqwest::Client,
    sent: Counter,
    failed: Counter,
}

/// What became of spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportStatistics {
    /// How many were sent.
    pub sent: u64,
    /// How many the collector did not take.
    pub failed: u64,
    /// How many had no room to wait.
    pub lost: u64,
}

/// Why a collector did not take spans.
enum ExportFailure {
    /// Another attempt may succeed.
    Passing(String),
    /// It would fail again.
    Lasting(String),
}

impl SpanExporter {
    /// An exporter with its tracer. Nothing is sent before [`run`](Self::run).
    ///
    /// # Errors
    /// When the certificate cannot be read, or TLS cannot be set up.
    pub fn new(
        settings: TraceSettings,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, TraceSettingsError> {
        let client = client(&settings)?;
        let TraceSettings {
            sampler,
            queue,
            batch,
            ..
        } = settings;
        Ok(Self {
            tracer: Arc::new(Tracer::new(sampler, queue, batch, clock, entropy)),
            settings,
            client,
            sent: Counter::default(),
            failed: Counter::default(),
        })
    }

    /// What begins spans.
    #[must_use]
    pub fn tracer(&self) -> &Arc<Tracer> {
        &self.tracer
    }

    /// What became of spans since the start.
    #[must_use]
    pub fn statistics(&self) -> ExportStatistics {
        ExportStatistics {
            sent: self.sent.value(),
            failed: self.failed.value(),
            lost: self.tracer.lost.value(),
        }
    }

    /// Sends spans again and again.
    pub async fn run(&self) {
        let mut logged = None;
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.settings.delay) => {}
                () = self.tracer.has_batch.notified() => {}
            }
            loop {
                let spans = self.tracer.take(self.settings.batch);
                if spans.is_empty() {
                    break;
                }
                if let Err(reason) = self.send(&spans).await {
                    self.log(&mut logged, &reason);
                }
            }
        }
    }

    /// Sends what waits, once, when the server ends.
    pub async fn finish(&self) {
        loop {
            let spans = self.tracer.take(self.settings.batch);
            if spans.is_empty() || self.attempt(&spans).await.is_err() {
                return;
            }
        }
    }

    /// Sends a batch; if the collector is busy or away, again a few times.
    async fn send(&self, spans: &[FinishedSpan]) -> Result<(), String> {
        let mut wait = FIRST_WAIT;
        let mut retries = RETRIES;
        loop {
            match self.attempt(spans).await {
                Ok(()) => {
                    self.sent.add(spans.len() as u64);
                    return Ok(());
                }
                Err(ExportFailure::Passing(_)) if retries > 0 => {
                    retries -= 1;
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                Err(ExportFailure::Passing(reason) | ExportFailure::Lasting(reason)) => {
                    self.failed.add(spans.len() as u64);
                    return Err(reason);
                }
            }
        }
    }

    async fn attempt(&self, spans: &[FinishedSpan]) -> Result<(), ExportFailure> {
        let body = export_request(&self.settings.resource, spans);
        let request = self.client.post(self.settings.endpoint.to_string());
        let response = request
            .headers(self.settings.headers.clone())
            .header(
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-protobuf"),
            )
            .body(body)
            .send()
            .await
            .map_err(|error| {
                let error = error.without_url();
                let source = std::error::Error::source(&error);
                let source = source.map_or(String::new(), |source| format!(": {source}"));
                ExportFailure::Passing(format!("{error}{source}"))
            })?;
        // OTLP, "OTLP/HTTP Response".
        match response.status().as_u16() {
            200..=299 => Ok(()),
            status @ (429 | 502 | 503 | 504) => {
                Err(ExportFailure::Passing(format!("it answers with {status}")))
            }
            status => Err(ExportFailure::Lasting(format!("it answers with {status}"))),
        }
    }

    /// Logs a failure, at most once a minute.
    fn log(&self, logged: &mut Option<Instant>, reason: &str) {
        let now = now();
        if logged.is_some_and(|logged| now - logged < LOG_INTERVAL) {
            return;
        }
        *logged = Some(now);
        let ExportStatistics { failed, lost, .. } = self.statistics();
        tracing::warn!(
            reason,
            failed,
            lost,
            "traces cannot be sent to the collector of OTEL_EXPORTER_OTLP_ENDPOINT"
        );
    }
}

fn client(settings: &TraceSettings) -> Result<reqwest::Client, TraceSettingsError> {
    let mut tls = ClientTls::default();
    if let Some(file) = &settings.certificate_file {
        let unusable = |error: &dyn std::fmt::Display| {
            TraceSettingsError::new(format!("OTEL_EXPORTER_OTLP_CERTIFICATE: {file}: {error}"))
        };
        let pem = std::fs::read(file).map_err(|error| unusable(&error))?;
        tls = tls.trusting(&pem).map_err(|error| unusable(&error))?;
    }
    let no_client = |error: &dyn std::fmt::Display| {
        TraceSettingsError::new(format!("the client for traces cannot be set up: {error}"))
    };
    let tls = tls.config().map_err(|error| no_client(&error))?;
    reqwest::Client::builder()
        .user_agent(concat!(
            "OTel-OTLP-Exporter-wharfinger/",
            env!("CARGO_PKG_VERSION")
        ))
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .timeout(settings.timeout)
        .tls_backend_preconfigured(tls)
        .build()
        .map_err(|error| no_client(&error))
}

#[expect(
    clippy::disallowed_methods,
    reason = "how long a message was not logged, on the runtime's timer"
)]
fn now() -> Instant {
    Instant::now()
}
