//! What the registry answers to somebody without papers, with false ones, and with old ones.

use ::token::Challenge;
use data_encoding::BASE64URL_NOPAD;
use reqwest::header::{HeaderValue, SERVER, WWW_AUTHENTICATE};
use reqwest::{StatusCode, Url};

use super::ProbeRun;
use crate::session::TokenEndpoint;
use crate::transport::{HttpRequest, HttpResponse};

const ID: &str = "registry-challenge";

impl ProbeRun<'_> {
    /// `registry-challenge`.
    pub(super) async fn challenge(&mut self) {
        let Some(base) = self.base.clone() else {
            return;
        };
        let Ok(answer) = self.looking().send(&HttpRequest::get(base.clone())).await else {
            return;
        };
        match answer.status() {
            StatusCode::UNAUTHORIZED => {}
            StatusCode::OK if is_page(&answer) => {
                let evidence = format!("/v2/ is a web page{}: this is no registry", by(&answer));
                return self.fail(ID, evidence, PASS_ON);
            }
            StatusCode::OK => return self.ok(ID, "the registry asks nobody who he is"),
            // Where that leads is another probe's to say.
            status if status.is_redirection() => {
                return self.not_tested(ID, "/v2/ redirects: see registry-redirects");
            }
            status => return self.no_registry(status, &by(&answer)),
        }
        let challenges = match read(&answer) {
            Ok(challenges) => challenges,
            Err(what) => {
                return self.fail(
                    ID,
                    what,
                    "write auth.token so that the realm is a plain URL",
                );
            }
        };
        if !self.is_single(&challenges) {
            return;
        }
        let Some(bearer) = challenges
            .into_iter()
            .find(|challenge| challenge.is("Bearer"))
        else {
            return self.basic();
        };
        self.server = self.token_server(&bearer);
        if self.server.is_some() {
            self.false_papers(&base, &bearer).await;
        }
    }

    /// Somebody answers, but not as a registry does.
    fn no_registry(&mut self, status: StatusCode, by: &str) {
        let (what, remedy) = match status.as_u16() {
            403 => (
                "a proxy or firewall lets nobody in",
                "let the clients' addresses in, where the proxy says deny or allow",
            ),
            500.. => (
                "the registry behind it is down, or is not where the proxy looks",
                "start the registry, and compare its http.addr with the proxy's proxy_pass",
            ),
            _ => (
                "this is no registry, or a proxy that does not pass /v2/ on",
                PASS_ON,
            ),
        };
        self.fail(ID, format!("/v2/ answers {status}{by}: {what}"), remedy);
    }

    fn is_single(&mut self, challenges: &[Challenge]) -> bool {
        let schemes: Vec<_> = challenges
            .iter()
            .map(|challenge| challenge.scheme.as_str())
            .collect();
        match challenges {
            [] => self.fail(
                ID,
                "401 without a WWW-Authenticate header: clients cannot know where to log in",
                "a proxy strips it, or an auth of its own answers before the registry: in nginx remove auth_basic from \
                 /v2/ and any proxy_hide_header WWW-Authenticate",
            ),
            [_] => {}
            _ => self.fail(
                ID,
                format!(
                    "{} challenges at once ({}): clients read one, and not all the same",
                    schemes.len(),
                    schemes.join(", ")
                ),
                "let one place alone ask for a login: either the proxy or the registry",
            ),
        }
        challenges.len() == 1
    }

    /// A registry with passwords of its own; or not, when its file says otherwise.
    fn basic(&mut self) {
        let expects_tokens =
            self.patient.sides.service.is_some() || self.patient.sides.issuer.is_some();
        if expects_tokens {
            return self.fail(
                ID,
                "the registry, or a proxy in front, asks for a password (Basic) where its configuration has auth.token",
                "remove auth_basic from the proxy and auth.htpasswd from the registry, and restart it",
            );
        }
        self.ok(ID, "one challenge: Basic, a password for each request");
    }

    fn token_server(&mut self, challenge: &Challenge) -> Option<TokenEndpoint> {
        let realm = challenge.parameter("realm").unwrap_or_default();
        let parsed = realm
            .parse::<Url>()
            .ok()
            .filter(|realm| realm.host().is_some());
        let Some(url) = parsed.filter(|url| matches!(url.scheme(), "http" | "https")) else {
            self.fail(
                ID,
                format!("the realm {realm:?} is no absolute URL"),
                "write https://HOST/auth into auth.token.realm",
            );
            return None;
        };
        if challenge
            .parameters
            .iter()
            .any(|(_, value)| value.is_empty())
        {
            let empty: Vec<_> = challenge
                .parameters
                .iter()
                .filter(|(_, v)| v.is_empty())
                .map(|(n, _)| n.as_str())
                .collect();
            let evidence = format!("empty in the challenge: {}", empty.join(", "));
            self.fail(
                ID,
                evidence,
                "write auth.token.service, which no client can do without",
            );
            return None;
        }
        let service = challenge.parameter("service").map(str::to_owned);
        Some(TokenEndpoint {
            realm: url,
            service,
        })
    }

    /// A client that is not told that its token is bad keeps it.
    async fn false_papers(&mut self, base: &Url, bearer: &Challenge) {
        for (what, papers) in [
            ("a false token", "false".to_owned()),
            ("an expired token", expired()),
        ] {
            let header = HeaderValue::from_str(&format!("Bearer {papers}")).ok();
            let call = HttpRequest::get(base.clone()).authorization(header.as_ref());
            let Ok(answer) = self.looking().send(&call).await else {
                continue;
            };
            let challenges = read(&answer).unwrap_or_default();
            if answer.status() != StatusCode::UNAUTHORIZED || challenges.len() != 1 {
                let evidence = format!(
                    "to {what}: {} with {} challenges",
                    answer.status(),
                    challenges.len()
                );
                let remedy = "the registry must answer 401 with its challenge to every bad token: look at the proxy's \
                              error pages and headers";
                return self.fail(ID, evidence, remedy);
            }
            if challenges[0].parameter("error").is_none() {
                let evidence = format!(
                    "to {what} the challenge names no error: containerd goes on with the token it has"
                );
                return self.warn(
                    ID,
                    evidence,
                    "registry 2.7 and newer name it: update the registry",
                );
            }
        }
        self.ok(ID, format!("one challenge: {bearer}"));
    }
}

const PASS_ON: &str = "is the host right? If a proxy stands there, have it pass everything below /v2/ to the registry, path \
                       unchanged";

/// A page for people, and not a word of an API.
fn is_page(answer: &HttpResponse) -> bool {
    let is_html = answer
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("text/html"));
    is_html && answer.header("docker-distribution-api-version").is_none()
}

/// Who says that he answers.
pub(super) fn by(answer: &HttpResponse) -> String {
    answer
        .header(SERVER.as_str())
        .map_or_else(String::new, |server| format!(" (Server: {server})"))
}

fn read(answer: &HttpResponse) -> Result<Vec<Challenge>, String> {
    let fields = answer.headers().get_all(WWW_AUTHENTICATE).iter();
    let fields: Vec<_> = fields
        .map(|field| String::from_utf8_lossy(field.as_bytes()).into_owned())
        .collect();
    Challenge::parse_all(fields.iter().map(String::as_str)).map_err(|error| error.to_string())
}

/// A token that was never good, and whose time is over.
fn expired() -> String {
    let part = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let claims = r#"{"iss":"doctor","sub":"","aud":"doctor","exp":1,"nbf":0,"iat":0,"jti":"doctor","access":[]}"#;
    format!(
        "{}.{}.{}",
        part(r#"{"typ":"JWT","alg":"RS256","kid":"doctor"}"#),
        part(claims),
        part("no signature")
    )
}
