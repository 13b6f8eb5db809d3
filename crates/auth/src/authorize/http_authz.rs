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

use super::decision_cache::{DecisionCache, GrantedActions};
use super::question::{Question, probe_query};
use super::{AuthorizeError, Authorizer, Decision};

const NAME: &str = "http_authz";

/// A server that is asked for every decision that it does not let be remembered.
pub struct HttpAuthz {
    client: HttpClient,
    remembered: DecisionCache,
}

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

impl HttpAuthz {
    /// Asks `client`. Answers are remembered by `clock`.
    #[must_use]
    pub fn new(client: HttpClient, clock: Arc<dyn Clock>) -> Self {
        Self {
            client,
            remembered: DecisionCache::new(clock),
        }
    }

    async fn ask(
        &self,
        query: &AclQuery<'_>,
        source: &LoginSource,
    ) -> Result<Option<Decision>, AuthorizeError> {
        let question = Question::about(query).to_json();
        let key = DecisionCache::key(&question);
        if let Some(granted) = self.remembered.get(&key) {
            return Ok(Decision::of_policy(NAME, granted));
        }
        let (granted, period) = self.post(query, source, &question).await?;
        self.remembered.insert(key, &granted, period);
        Ok(Decision::of_policy(NAME, granted))
    }

    /// What the server grants, and for how long that may be remembered.
    async fn post(
        &self,
        query: &AclQuery<'_>,
        source: &LoginSource,
        question: &str,
    ) -> Result<(GrantedActions, Duration), AuthorizeError> {
        let url = || self.client.url().clone();
        let answer = self.client.post(source, question.as_bytes()).await;
        let HttpAnswer {
            status,
            headers,
            body,
        } = answer.map_err(not_answered)?;
        match status {
            200 => {
                let answer: ActionsAnswer = json_object(&body)
                    .map_err(|place| failed(HttpAuthzError::Answer { url: url(), place }))?;
                let period = answer.max_age.map(Duration::from_secs);
                let granted = query.granting(&answer.actions);
                Ok((Some(granted), period.unwrap_or_else(|| max_age(&headers))))
            }
            404 => Ok((None, max_age(&headers))),
            status => Err(failed(HttpAuthzError::Status { url: url(), status })),
        }
    }

    async fn try_connection(&self) -> Result<String, AuthorizeError> {
        let source = LoginSource::new(None, "");
        let query = probe_query();
        let question = Question::about(&query).to_json();
        let (granted, _) = self.post(&query, &source, &question).await?;
        let url = self.client.url();
        Ok(match granted {
            Some(_) => format!("{url} answers"),
            None => format!("{url} has no answer to a question without actions (404)"),
        })
    }
}

impl Authorizer for HttpAuthz {
    fn name(&self) -> &'static str {
        NAME
    }

    fn decide<'a>(
        &'a self,
        query: &'a AclQuery<'a>,
        source: &'a LoginSource,
    ) -> BoxFuture<'a, Result<Option<Decision>, AuthorizeError>> {
        Box::pin(self.ask(query, source))
    }

    fn probe(&self) -> BoxFuture<'_, Result<Option<String>, AuthorizeError>> {
        Box::pin(async { self.try_connection().await.map(Some) })
    }
}

/// How long an answer with these headers may be remembered (RFC 9111 §5.2.2).
fn max_age(headers: &HeaderMap) -> Duration {
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
                max_age(&headers),
                Duration::from_secs(seconds),
                "{fields:?}"
            );
        }
    }
}
