//! A push that is begun and cancelled: sessions that last, addresses that are right, bodies of a
//! layer's size.

use bytes::Bytes;
use oci::RepositoryName;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, LOCATION, SERVER};
use reqwest::{Method, Url};

use super::{ProbeRun, told};
use crate::error_response::origin;
use crate::session::Scopes;
use crate::transport::{ConnectionError, HttpRequest, HttpResponse, StreamedBody};
use crate::{Error, RegistrySession};

/// How often an upload is asked after: with replicas, one of them did not begin it.
const ASKED: usize = 6;
/// What limits of proxies lie between: nginx's own, and Cloudflare's.
const BODIES: [u64; 2] = [2_000_000, 110_000_000];
const PIECE: usize = 256 * 1024;

impl ProbeRun<'_> {
    /// `push-session`, `push-location`, `push-body`.
    pub(super) async fn push(&mut self) {
        let name = match (&self.patient.repository, self.patient.push) {
            (Some(name), true) if self.base.is_some() => name.clone(),
            (None, true) => return self.skip_push("name a repository to try an upload: HOST/NAME"),
            (_, true) => return self.skip_push("see registry-reachable first"),
            (_, false) => return self.skip_push("--push tries an upload, which is cancelled"),
        };
        let first = self
            .in_the_way()
            .or(Some("token-access").filter(|id| self.has_failed(id)));
        if let Some(why) = first
            .map(|first| format!("see {first} first"))
            .or_else(|| self.withheld())
        {
            return self.skip_push(&why);
        }
        let Some(session) = self.session().await else {
            return self.skip_push("no session came about");
        };
        let begun = match begin(&session, &name).await {
            Ok(begun) => begun,
            Err(error) => {
                let remedy = error
                    .hint()
                    .unwrap_or_else(|| "look at the registry's log".to_owned());
                return self.fail("push-session", told(&error), remedy);
            }
        };
        let Some(mut location) = self.location(&begun) else {
            return;
        };
        if self.lasts(&session, &name, &location).await {
            self.bodies(&session, &name, &mut location).await;
        }
        let cancel = HttpRequest::new(Method::DELETE, location);
        let _ = session.send(&Scopes::push(&name), cancel).await;
    }

    fn skip_push(&mut self, why: &str) {
        for id in ["push-session", "push-location", "push-body"] {
            self.not_tested(id, why);
        }
    }

    /// Where the upload goes on: an address that this client can use, whatever the registry says.
    fn location(&mut self, begun: &HttpResponse) -> Option<Url> {
        let Some(text) = begun.header(LOCATION.as_str()) else {
            self.fail(
                "push-location",
                "the upload began without a Location",
                "a proxy strips it",
            );
            return None;
        };
        let url = begun.url.join(text).ok()?;
        if origin(&url) == origin(&begun.url) {
            self.ok(
                "push-location",
                format!("uploads go on at {}", origin(&url)),
            );
            return Some(url);
        }
        self.fail(
            "push-location",
            format!("asked at {}, the registry sends the upload to {}", origin(&begun.url), origin(&url)),
            "have the proxy say what it was asked: proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto \
             $scheme; or set http.host in the registry, or http.relativeurls: true",
        );
        // On with what was meant.
        Some(here(&begun.url, &url))
    }

    async fn lasts(
        &mut self,
        session: &RegistrySession,
        name: &RepositoryName,
        location: &Url,
    ) -> bool {
        for nth in 1..=ASKED {
            let call = HttpRequest::get(location.clone());
            let lost = match session.send(&Scopes::push(name), call).await {
                Ok(answer) if answer.status().is_success() => None,
                Ok(answer) => Some(answer.error_response().await.to_string()),
                Err(error) => Some(told(&error)),
            };
            let Some(lost) = lost else { continue };
            self.fail(
                "push-session",
                format!("the upload that was begun is not known when asked for the {nth}. time: {lost}"),
                "replicas must share one storage and one http.secret; or have the proxy send each client to one replica",
            );
            return false;
        }
        self.ok(
            "push-session",
            format!("an upload was begun and known {ASKED} times"),
        );
        true
    }

    /// `location` goes on as the upload does.
    async fn bodies(
        &mut self,
        session: &RegistrySession,
        name: &RepositoryName,
        location: &mut Url,
    ) {
        for size in BODIES {
            let sent = send(session, name, location, size).await;
            let answer = match sent {
                Ok(answer) if answer.status().is_success() => answer,
                Ok(answer) => return self.refused_body(size, answer).await,
                Err(error) => return self.stalled(size, &error),
            };
            if let Some(next) = answer
                .header(LOCATION.as_str())
                .and_then(|next| location.join(next).ok())
            {
                *location = here(location, &next);
            }
        }
        self.ok(
            "push-body",
            "bodies of 2 and 110 MB arrive, in pieces and without a length",
        );
    }

    async fn refused_body(&mut self, size: u64, answer: HttpResponse) {
        let (status, megabytes) = (answer.status().as_u16(), size / 1_000_000);
        let server = answer
            .header(SERVER.as_str())
            .unwrap_or("whoever stands in front")
            .to_owned();
        let evidence = format!(
            "a body of {megabytes} MB: {} (Server: {server})",
            answer.error_response().await
        );
        let remedy = match status {
            411 => {
                "the proxy wants a Content-Length: proxy_http_version 1.1; proxy_request_buffering off;"
            }
            408 | 500.. => SLOW,
            _ => LIMIT,
        };
        self.fail("push-body", evidence, remedy);
    }

    fn stalled(&mut self, size: u64, error: &Error) {
        let evidence = format!(
            "a body of {} MB in pieces: {}",
            size / 1_000_000,
            told(error)
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

const LIMIT: &str =
    "raise the proxy's limit: nginx client_max_body_size 0; and proxy_request_buffering off;";
const SLOW: &str = "the proxy, or the registry behind it, does not take the body: proxy_http_version 1.1; \
                    proxy_request_buffering off; proxy_send_timeout 900s; proxy_read_timeout 900s; and look at the \
                    registry's log and disk";

async fn begin(session: &RegistrySession, name: &RepositoryName) -> Result<HttpResponse, Error> {
    let url = session.url(&format!("{name}/blobs/uploads/"))?;
    let call = HttpRequest::new(Method::POST, url).header(CONTENT_LENGTH, "0");
    session
        .send(&Scopes::push(name), call)
        .await?
        .success()
        .await
}

/// Sends zeros, without saying how many.
async fn send(
    session: &RegistrySession,
    name: &RepositoryName,
    location: &Url,
    size: u64,
) -> Result<HttpResponse, Error> {
    let (pieces, body) = StreamedBody::of_unknown_length();
    let call = HttpRequest::new(Method::PATCH, location.clone())
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
    let (answer, ()) = tokio::join!(session.send_streamed(&scopes, call, body), feed);
    answer
}

/// What `there` leads to on the host of `base`.
fn here(base: &Url, there: &Url) -> Url {
    let mut here = base.clone();
    here.set_path(there.path());
    here.set_query(there.query());
    here
}
