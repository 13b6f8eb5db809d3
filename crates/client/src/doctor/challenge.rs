//! The registry's response to requests without a token, with a false token, and with an expired one.

use ::token::Challenge;
use data_encoding::BASE64URL_NOPAD;
use reqwest::header::{HeaderValue, SERVER};
use reqwest::{StatusCode, Url};

use super::ProbeRun;
use crate::session::TokenRealm;
use crate::transport::{ClientRequest, ClientResponse};

const ID: &str = "registry-challenge";

impl ProbeRun<'_> {
    /// `registry-challenge`.
    pub(super) async fn challenge(&mut self) {
        let Some(base) = self.base.clone() else {
            return;
        };
        let Ok(response) = self
            .open_transport()
            .send(&ClientRequest::get(base.clone()))
            .await
        else {
            return;
        };
        match response.status() {
            StatusCode::UNAUTHORIZED => {}
            StatusCode::OK if is_page(&response) => {
                let evidence = format!("/v2/ is a web page{}, not a registry", by(&response));
                return self.fail(ID, evidence, PASS_ON);
            }
            StatusCode::OK => {
                return self.ok(ID, "the registry is open: it does not ask for a login");
            }
            // Redirects are another probe's.
            status if status.is_redirection() => {
                return self.not_tested(ID, "/v2/ redirects: see registry-redirects");
            }
            status => return self.not_a_registry(status, &by(&response)),
        }
        let challenges = match read(&response) {
            Ok(challenges) => challenges,
            Err(what) => {
                return self.fail(
                    ID,
                    what,
                    "correct the realm in the registry's configuration (auth.token.realm): it must be a plain URL",
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
            self.false_tokens(&base, &bearer).await;
        }
    }

    /// A server responds, but not as a registry does.
    fn not_a_registry(&mut self, status: StatusCode, by: &str) {
        let (what, remedy) = match status.as_u16() {
            403 => (
                "a proxy or firewall blocks all requests",
                "allow the clients' addresses in the proxy's deny and allow rules",
            ),
            500.. => (
                "the registry behind the proxy is down, or has another address",
                "start the registry, and compare its http.addr with the proxy's proxy_pass",
            ),
            _ => (
                "this is not a registry, or a proxy that does not forward /v2/ to it",
                PASS_ON,
            ),
        };
        self.fail(ID, format!("/v2/ responds {status}{by}: {what}"), remedy);
    }

    fn is_single(&mut self, challenges: &[Challenge]) -> bool {
        let schemes: Vec<_> = challenges
            .iter()
            .map(|challenge| challenge.scheme.as_str())
            .collect();
        match challenges {
            [] => self.fail(
                ID,
                "401 without a WWW-Authenticate header, so clients do not know where to log in",
                "a proxy removes the header, or asks for a login of its own: in nginx, remove auth_basic \
                 from /v2/, and proxy_hide_header WWW-Authenticate",
            ),
            [_] => {}
            _ => self.fail(
                ID,
                format!(
                    "{} challenges at once ({}): each client reads only one of them",
                    schemes.len(),
                    schemes.join(", ")
                ),
                "let either the proxy or the registry ask for a login, not both",
            ),
        }
        challenges.len() == 1
    }

    /// The registry checks passwords itself, which may contradict its configuration.
    fn basic(&mut self) {
        let expects_tokens =
            self.target.settings.service.is_some() || self.target.settings.issuer.is_some();
        if expects_tokens {
            return self.fail(
                ID,
                "the registry, or a proxy in front of it, asks for a password (Basic), but the configuration has auth.token",
                "remove auth_basic from the proxy and auth.htpasswd from the registry, and restart it",
            );
        }
        self.ok(
            ID,
            "one challenge: Basic, so clients send the password with each request",
        );
    }

    fn token_server(&mut self, challenge: &Challenge) -> Option<TokenRealm> {
        let realm = challenge.parameter("realm").unwrap_or_default();
        let parsed = realm
            .parse::<Url>()
            .ok()
            .filter(|realm| realm.host().is_some());
        let Some(url) = parsed.filter(|url| matches!(url.scheme(), "http" | "https")) else {
            self.fail(
                ID,
                format!("the realm {realm:?} is not an absolute URL"),
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
            let evidence = format!("empty parameters in the challenge: {}", empty.join(", "));
            self.fail(
                ID,
                evidence,
                "set auth.token.service, which clients require",
            );
            return None;
        }
        let service = challenge.parameter("service").map(str::to_owned);
        Some(TokenRealm {
            realm: url,
            service,
        })
    }

    /// A client keeps a token until the registry says that the token is bad.
    async fn false_tokens(&mut self, base: &Url, bearer: &Challenge) {
        for (what, token) in [
            ("a false token", "false".to_owned()),
            ("an expired token", expired()),
        ] {
            let header = HeaderValue::from_str(&format!("Bearer {token}")).ok();
            let request = ClientRequest::get(base.clone()).authorization(header.as_ref());
            let Ok(response) = self.open_transport().send(&request).await else {
                continue;
            };
            let challenges = read(&response).unwrap_or_default();
            if response.status() != StatusCode::UNAUTHORIZED || challenges.len() != 1 {
                let evidence = format!(
                    "{what}: the registry responds {} with {} challenges",
                    response.status(),
                    challenges.len()
                );
                let remedy = "the registry must respond to every bad token with 401 and its challenge: check the \
                              proxy's error pages and headers";
                return self.fail(ID, evidence, remedy);
            }
            if challenges[0].parameter("error").is_none() {
                let evidence = format!(
                    "{what}: the challenge has no error parameter, so containerd keeps using the token"
                );
                return self.warn(
                    ID,
                    evidence,
                    "update the registry: version 2.7 and newer send the parameter",
                );
            }
        }
        self.ok(ID, format!("one challenge: {bearer}"));
    }
}

const PASS_ON: &str = "check the host name; if it is a proxy's, have the proxy forward /v2/ to the registry without \
                       changing the path";

/// Whether a response is a page for people.
fn is_page(response: &ClientResponse) -> bool {
    let is_html = response
        .header("content-type")
        .is_some_and(|kind| kind.starts_with("text/html"));
    is_html && response.header("docker-distribution-api-version").is_none()
}

/// The name of the server that responds.
pub(super) fn by(response: &ClientResponse) -> String {
    response
        .header(SERVER.as_str())
        .map_or_else(String::new, |server| format!(" (Server: {server})"))
}

fn read(response: &ClientResponse) -> Result<Vec<Challenge>, String> {
    response.challenges().map_err(|error| error.to_string())
}

/// A token that is expired, and whose signature is wrong.
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
