//! `http_authz`: a server that says what an account may do.
//!
//! It gets the question that a program of `ext_authz` gets, by POST. 200 with
//! `{"actions": ["pull"]}` grants these of the actions that were asked for; 404 means that it has no
//! answer. Any other status is an error, so a broken server grants nothing. `max_age` in the answer,
//! or `Cache-Control: max-age` in the header, lets the answer be remembered for so many seconds.

use std::sync::Arc;
use std::time::Duration;

use common::{BoxFuture, Clock};
use http::HeaderMap;
use http::header::CACHE_CONTROL;
use identity::LoginSource;
use identity::http::{BackendUrl, HttpAnswer, HttpClient, HttpClientError, JsonPlace, json_object};
use policy::AclQuery;
use serde::Deserialize;

use super::AuthorizeError;
use super::external_policy::{ExternalPolicy, PolicyAnswer, PolicyRespondent};
use super::question::Question;

const NAME: &str = "http_authz";

/// A server that is asked over HTTP.
struct DecisionServer(HttpClient);

/// What the server answers. Other members are ignored.
#[derive(Deserialize)]
struct ActionsAnswer {
    actions: Vec<String>,
    max_age: Option<u64>,
}

/// Why there is no decision.
#[derive(Debug, thiserror::Error)]
enum HttpAuthzError {
    #[error("{url} answered {status}, not 200 (with the actions) or 404 (no answer)")]
    Status { url: BackendUrl, status: u16 },
    #[error(
        "the answer of {url} is wrong at {place}: it must be JSON of the form {}",
        r#"{"actions": ["pull"]}"#
    )]
    Answer { url: BackendUrl, place: JsonPlace },
}

impl ExternalPolicy {
    /// `http_authz`: asks `client`. Answers are remembered by `clock`.
    #[must_use]
    pub fn http_authz(client: HttpClient, clock: Arc<dyn Clock>) -> Self {
        Self::new(DecisionServer(client), clock)
    }
}

impl DecisionServer {
    async fn post(
        &self,
        query: &AclQuery<'_>,
        source: &LoginSource,
    ) -> Result<PolicyAnswer, AuthorizeError> {
        let url = || self.0.url().clone();
        let question = Question::about(query).to_json();
        let answer = self.0.post(source, question.as_bytes()).await;
        let HttpAnswer {
            status,
            headers,
            body,
        } = answer.map_err(not_answered)?;
        let (granted, max_age) = match status {
            200 => {
                let answer: ActionsAnswer = json_object(&body)
                    .map_err(|place| failed(HttpAuthzError::Answer { url: url(), place }))?;
                let max_age = answer.max_age.map(Duration::from_secs);
                (Some(query.granting(&answer.actions)), max_age)
            }
            404 => (None, None),
            status => return Err(failed(HttpAuthzError::Status { url: url(), status })),
        };
        Ok(PolicyAnswer {
            granted,
            max_age: max_age.unwrap_or_else(|| max_age_of(&headers)),
        })
    }
}

impl PolicyRespondent for DecisionServer {
    fn section(&self) -> &'static str {
        NAME
    }

    fn ask<'a>(
        &'a self,
        query: &'a AclQuery<'a>,
        source: &'a LoginSource,
    ) -> BoxFuture<'a, Result<PolicyAnswer, AuthorizeError>> {
        Box::pin(self.post(query, source))
    }

    fn describe(&self, answer: &PolicyAnswer) -> String {
        let url = self.0.url();
        match answer.granted {
            Some(_) => format!("{url} answers"),
            None => format!("{url} has no answer to a question without actions (404)"),
        }
    }
}

/// How long an answer with these headers may be remembered (RFC 9111 §5.2.2).
fn max_age_of(headers: &HeaderMap) -> Duration {
    let fields = headers.get_all(CACHE_CONTROL).iter();
    let fields = fields.filter_map(|field| field.to_str().ok());
    let directives = fields.flat_map(|field| field.split(',')).map(str::trim);
    let mut period = Duration::ZERO;
    for directive in directives.map(str::to_ascii_lowercase) {
        match directive.split_once('=') {
            Some(("max-age", seconds)) => {
                let seconds = seconds.trim_matches('"').parse();
                period = Duration::from_secs(seconds.unwrap_or_default());
            }
            None if matches!(directive.as_str(), "no-store" | "no-cache") => {
                return Duration::ZERO;
            }
            _ => {}
        }
    }
    period
}

fn not_answered(error: HttpClientError) -> AuthorizeError {
    match error {
        HttpClientError::Busy(_) => AuthorizeError::Busy { policy: NAME },
        error if error.may_pass() => AuthorizeError::Unavailable {
            policy: NAME,
            source: error.into(),
        },
        error => AuthorizeError::Policy {
            policy: NAME,
            source: error.into(),
        },
    }
}

fn failed(error: HttpAuthzError) -> AuthorizeError {
    AuthorizeError::Policy {
        policy: NAME,
        source: error.into(),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_server_names_the_time_in_its_header() {
        for (fields, seconds) in [
            (&[][..], 0),
            (&["max-age=30"], 30),
            (&["private, Max-Age=\"30\""], 30),
            (&["no-store, max-age=30"], 0),
            (&["max-age=30", "no-cache"], 0),
            (&["max-age=-1"], 0),
            (&["max-age=x"], 0),
            (&["s-maxage=30"], 0),
            (&["max-age"], 0),
        ] {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append(CACHE_CONTROL, HeaderValue::from_static(field));
            }
            assert_eq!(
                max_age_of(&headers),
                Duration::from_secs(seconds),
                "{fields:?}"
            );
        }
    }
}
