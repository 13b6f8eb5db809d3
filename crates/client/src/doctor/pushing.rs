//! A push that is begun and cancelled: upload sessions, their addresses, and bodies as large as
//! layers.

use bytes::Bytes;
use common::with_causes;
use oci::RepositoryName;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, SERVER};
use reqwest::{Method, Url};

use super::ProbeRun;
use super::address::FORWARDED;
use crate::http_error_response::origin;
use crate::session::Scopes;
use crate::transport::{ClientRequest, ClientResponse, ConnectionError, StreamedBody};
use crate::{Error, RegistrySession};

/// How often the status of an upload is requested: of several replicas, only one began it.
const ASKED: usize = 6;
/// Sizes on both sides of the limits of proxies: nginx's default, and Cloudflare's.
const BODIES: [u64; 2] = [2_000_000, 110_000_000];
const PIECE: usize = 256 * 1024;

impl ProbeRun<'_> {
    /// `push-session`, `push-location`, `push-body`.
    pub(super) async fn push(&mut self) {
        let name = match (&self.target.repository, self.target.push) {
            (Some(name), true) if self.base.is_some() => name.clone(),
            (None, true) => {
                return self.skip_push("no repository was named; HOST/NAME tries an upload");
            }
            (_, true) => return self.skip_push("see registry-reachable first"),
            (_, false) => return self.skip_push("--push tries an upload, and cancels it"),
        };
        let first = self
            .blocked_by()
            .or(Some("token-access").filter(|id| self.has_failed(id)));
        if let Some(why) = first
            .map(|first| format!("see {first} first"))
            .or_else(|| self.withheld())
        {
            return self.skip_push(&why);
        }
        let Some(session) = self.session().await else {
            return self.skip_push("the session cannot be started");
        };
        let begun = match begin(&session, &name).await {
            Ok(begun) => begun,
            Err(error) => {
                let remedy = error
                    .hint()
                    .unwrap_or_else(|| "look at the registry's log".to_owned());
                return self.fail("push-session", with_causes(&error), remedy);
            }
        };
        let Some(mut location) = self.location(&begun) else {
            return;
        };
        if self.lasts(&session, &name, &location).await {
            self.bodies(&session, &name, &mut location).await;
        }
        let cancel = ClientRequest::new(Method::DELETE, location);
        let _ = session.send(&Scopes::push(&name), cancel).await;
    }

    fn skip_push(&mut self, why: &str) {
        for id in ["push-session", "push-location", "push-body"] {
            self.not_tested(id, why);
        }
    }

    /// The URL at which the upload continues, on the host that this client uses.
    fn location(&mut self, begun: &ClientResponse) -> Option<Url> {
        let Some(text) = begun.header(LOCATION.as_str()) else {
            self.fail(
                "push-location",
                "the response that begins an upload has no Location header",
                "a proxy removes the header: remove proxy_hide_header Location from its configuration",
            );
            return None;
        };
        let url = begun.url.join(text).ok()?;
        if origin(&url) == origin(&begun.url) {
            self.ok(
                "push-location",
                format!("uploads continue at {}", origin(&url)),
            );
            return Some(url);
        }
        self.fail(
            "push-location",
            format!("an upload begun at {} continues at {}", origin(&begun.url), origin(&url)),
            match self.is_wharfinger {
                true => format!(
                    "have the proxy send what the client asked for: {FORWARDED} and list its address \
                     in server.trusted_proxies; or set server.public_url"
                ),
                false => format!(
                    "have the proxy send what the client asked for: {FORWARDED} or set http.host in \
                     the registry, or http.relativeurls: true"
                ),
            },
        );
        // Continue with the address that was meant.
        Some(here(&begun.url, &url))
    }

    async fn lasts(
        &mut self,
        session: &RegistrySession,
        name: &RepositoryName,
        location: &Url,
    ) -> bool {
        for nth in 1..=ASKED {
            let request = ClientRequest::get(location.clone());
            let lost = match session.send(&Scopes::push(name), request).await {
                Ok(response) if response.status().is_success() => None,
                Ok(response) => Some(response.error_response().await.to_string()),
                Err(error) => Some(with_causes(&error)),
            };
            let Some(lost) = lost else { continue };
            self.fail(
                "push-session",
                format!("upload session not found on request {nth} of {ASKED}: {lost}"),
                "give all replicas the same storage and the same http.secret, or have the proxy send each client to one replica",
            );
            return false;
        }
        self.ok(
            "push-session",
            format!("upload session found on all {ASKED} requests"),
        );
        true
    }

    /// Sends bodies. `location` follows the upload.
    async fn bodies(
        &mut self,
        session: &RegistrySession,
        name: &RepositoryName,
        location: &mut Url,
    ) {
        for size in BODIES {
            let sent = send(session, name, location, size).await;
            let response = match sent {
                Ok(response) if response.status().is_success() => response,
                Ok(response) => return self.refused_body(size, response).await,
                Err(error) => return self.stalled(size, &error),
            };
            if let Some(next) = response
                .header(LOCATION.as_str())
                .and_then(|next| location.join(next).ok())
            {
                *location = here(location, &next);
            }
        }
        self.ok(
            "push-body",
            "bodies of 2 and 110 MB are accepted, in chunks and without a length",
        );
    }

    async fn refused_body(&mut self, size: u64, response: ClientResponse) {
        let (status, megabytes) = (response.status().as_u16(), size / 1_000_000);
        let server = response
            .header(SERVER.as_str())
            .unwrap_or("not named")
            .to_owned();
        let error = response.error_response().await;
        let evidence = format!("a body of {megabytes} MB is rejected: {error} (Server: {server})");
        let remedy = match status {
            413 if error.is_from_registry() => OWN_LIMIT,
            507 => FULL,
            411 => {
                "have the proxy accept bodies without a Content-Length: `proxy_http_version 1.1;` `proxy_request_buffering off;`"
            }
            408 | 500.. => SLOW,
            _ => LIMIT,
        };
        self.fail("push-body", evidence, remedy);
    }

    fn stalled(&mut self, size: u64, error: &Error) {
        let evidence = format!(
            "a body of {} MB in chunks fails: {}",
            size / 1_000_000,
            with_causes(error)
        );
        let in_time = !matches!(
            error,
            Error::Connection {
                problem: ConnectionError::Timeout,
                ..
            }
        );
        self.fail("push-body", evidence, if in_time { LIMIT } else { SLOW });
    }
}

const LIMIT: &str = "raise the proxy's limit of the size of requests (nginx: `client_max_body_size 0;` `proxy_request_buffering off;`)";
const OWN_LIMIT: &str = "the registry itself limits the size of blobs: raise its limit (in our configuration: registry.limits.blob)";
const FULL: &str = "the registry's disk is full: make space, for example with garbage collection (`wharfinger registry gc FILE`)";
const SLOW: &str = "the proxy, or the registry behind it, is too slow or does not accept chunks: \
                    `proxy_http_version 1.1;` `proxy_request_buffering off;` `proxy_send_timeout 900s;` \
                    `proxy_read_timeout 900s;`; also check the registry's log and disk";

async fn begin(session: &RegistrySession, name: &RepositoryName) -> Result<ClientResponse, Error> {
    let url = session.url(&format!("{name}/blobs/uploads/"))?;
    let request = ClientRequest::new(Method::POST, url).header(CONTENT_LENGTH, "0");
    session
        .send(&Scopes::push(name), request)
        .await?
        .success()
        .await
}

/// Sends zeros, without their number.
async fn send(
    session: &RegistrySession,
    name: &RepositoryName,
    location: &Url,
    size: u64,
) -> Result<ClientResponse, Error> {
    let (pieces, body) = StreamedBody::of_unknown_length();
    let request = ClientRequest::new(Method::PATCH, location.clone())
        .header(CONTENT_TYPE, "application/octet-stream");
    let scopes = Scopes::push(name);
    let feed = async move {
        let piece = Bytes::from(vec![0; PIECE]);
        let mut left = size;
        while left > 0 {
            let length = left.min(PIECE as u64);
            let piece = piece.slice(..usize::try_from(length).unwrap_or(PIECE));
            if pieces.send(Ok(piece)).await.is_err() {
                return;
            }
            left -= length;
        }
    };
    let (response, ()) = tokio::join!(session.send_streamed(&scopes, request, body), feed);
    response
}

/// The path of `there` on the host of `base`.
fn here(base: &Url, there: &Url) -> Url {
    let mut here = base.clone();
    here.set_path(there.path());
    here.set_query(there.query());
    here
}
