//! The token: its claims, the access that it grants, and whether the registry accepts it.

use ::token::{ReceivedClaims, UnverifiedToken};
use common::{rfc3339, unix_seconds, with_causes};

use super::ProbeRun;
use super::key::KeyVerdict;
use crate::Error;
use crate::session::{Scopes, authorization_header, challenge_scopes};
use crate::transport::ClientRequest;

const PROBES_OF_TOKEN: [&str; 4] = [
    "token-claims",
    "token-key",
    "token-access",
    "token-accepted",
];

impl ProbeRun<'_> {
    /// `token-claims`, `token-key`, `token-access`, `token-accepted`.
    pub(super) async fn token(&mut self) {
        let Some(server) = self.server.clone() else {
            return;
        };
        if self.has_failed("realm-reachable") {
            return;
        }
        // The token server would reject a request without the login, and that says nothing.
        if let Some(why) = self.withheld() {
            return self.no_token(&why);
        }
        let scopes = self.wanted();
        let login = self.sendable_login();
        let granted = server.ask(self.realm_transport(), &login, &scopes, false);
        let granted = match granted.await {
            Ok(granted) => granted,
            Err(_) if self.has_failed("login") => return self.no_token("see login first"),
            Err(Error::Denied {
                logged_in: false, ..
            }) => {
                return self.no_token(
                    "the token server gives no token without a login; --user NAME tries one",
                );
            }
            Err(error) => {
                return self.fail(
                    "token-claims",
                    format!("no token: {}", with_causes(&error)),
                    format!(
                        "look at the token server's log, and check that {} is its URL",
                        self.realm_setting()
                    ),
                );
            }
        };
        match UnverifiedToken::parse(granted.token.expose()) {
            Ok(token) => {
                self.claims(&token, server.service.as_deref());
                self.key(granted.token.expose(), &token);
                let needed = self.needed().await;
                self.access(&token, &scopes, &needed);
            }
            Err(error) => {
                for id in ["token-claims", "token-key", "token-access"] {
                    self.not_tested(id, format!("the token is not a JWT: {error}"));
                }
            }
        }
        self.accepted(granted.token.expose()).await;
        self.granted = Some(granted);
    }

    fn no_token(&mut self, why: &str) {
        for id in PROBES_OF_TOKEN {
            self.not_tested(id, why);
        }
    }

    /// The scopes that the probes of a repository need.
    pub(super) fn wanted(&self) -> Scopes {
        match (&self.target.repository, self.target.push) {
            (Some(name), true) => Scopes::push(name),
            (Some(name), false) => Scopes::pull(name),
            (None, _) => Scopes::default(),
        }
    }

    fn claims(&mut self, token: &UnverifiedToken, service: Option<&str>) {
        let id = "token-claims";
        let claims = match token.claims() {
            Ok(claims) => claims,
            Err(error) => {
                return self.fail(
                    id,
                    error.to_string(),
                    "correct the token server: no registry can read this token",
                );
            }
        };
        let wanted = self
            .target
            .settings
            .service
            .clone()
            .or_else(|| service.map(str::to_owned));
        if let Some(service) = wanted.filter(|service| !claims.audience.contains(service)) {
            return self.fail(
                id,
                format!(
                    "token intended for another audience: its aud is {:?}, but the registry's service is \
                     {service:?}",
                    claims.audience
                ),
                "make auth.token.service of the registry equal to the service in the token server's tokens",
            );
        }
        if let Some(issuer) = self
            .target
            .settings
            .issuer
            .clone()
            .filter(|issuer| *issuer != claims.issuer)
        {
            return self.fail(
                id,
                format!(
                    "token from untrusted issuer: its iss is {:?}, but the registry requires {issuer:?}",
                    claims.issuer
                ),
                "make auth.token.issuer of the registry equal to token.issuer of the token server",
            );
        }
        if !token.claims_json().contains("\"access\"") {
            return self.fail(
                id,
                "the token has no access claim",
                "correct the token server: a registry needs the access claim, even an empty one",
            );
        }
        self.times(id, &claims);
    }

    fn times(&mut self, id: &'static str, claims: &ReceivedClaims) {
        // By the registry's clock, which decides.
        let now = self.transport.options().clock.now();
        let registry = self.dates.iter().find(|(whose, ..)| *whose == "registry");
        let now = registry.map_or(now, |&(_, there, here)| {
            there + now.duration_since(here).unwrap_or_default()
        });
        let (now, leeway) = (unix_seconds(now), ::token::LEEWAY.as_secs());
        let clock = "synchronise the clocks of registry and token server with NTP (`timedatectl set-ntp true`)";
        let at = |seconds| rfc3339(seconds);
        if claims.not_before > now + leeway {
            let evidence = format!(
                "token not valid before {}, but the registry's clock says {}",
                at(claims.not_before),
                at(now)
            );
            return self.fail(id, evidence, clock);
        }
        if claims.expires_at + leeway < now {
            let evidence = format!(
                "token expired at {}, and the registry's clock says {}",
                at(claims.expires_at),
                at(now)
            );
            return self.fail(id, evidence, clock);
        }
        let lifetime = claims.expires_at.saturating_sub(claims.issued_at);
        let evidence = format!(
            "iss {:?}, aud {:?}, valid for {lifetime} s",
            claims.issuer, claims.audience
        );
        if lifetime < 60 {
            return self.warn(
                id,
                evidence,
                "set token.expiration: 900 in the token server: a token of less than a minute expires in the middle of a push",
            );
        }
        self.ok(id, evidence);
    }

    /// The scopes that the registry requires to list the repository's tags.
    async fn needed(&self) -> Scopes {
        let url = self.base.as_ref().zip(self.target.repository.as_ref());
        let Some(url) = url.and_then(|(base, name)| base.join(&format!("{name}/tags/list")).ok())
        else {
            return Scopes::default();
        };
        let response = self.open_transport().send(&ClientRequest::get(url)).await;
        response
            .ok()
            .and_then(|response| challenge_scopes(&response).ok())
            .unwrap_or_default()
    }

    fn access(&mut self, token: &UnverifiedToken, asked: &Scopes, needed: &Scopes) {
        let id = "token-access";
        let Some(name) = &self.target.repository else {
            return self.not_tested(id, "no repository was named; HOST/NAME tests its access");
        };
        if self.has_failed("login") {
            return self.not_tested(id, "see login first");
        }
        let granted = token
            .claims()
            .map(|claims| claims.access)
            .unwrap_or_default();
        let shown: Vec<_> = granted
            .iter()
            .map(|a| format!("{}:{}:{}", a.resource_type, a.name, a.actions.join(",")))
            .collect();
        let shown = if shown.is_empty() {
            "nothing".to_owned()
        } else {
            shown.join(" ")
        };
        let evidence = format!("requested {}; granted {shown}", asked.texts().join(" "));
        if !asked.cover(needed) {
            let evidence = format!(
                "{evidence}; the registry requires {}",
                needed.texts().join(" ")
            );
            let remedy = "have the proxy forward /v2/ without changing the path: clients, token server and registry \
                          must use the same name for a repository";
            return self.fail(id, evidence, remedy);
        }
        let lacking = asked.lacking(&granted);
        if lacking.is_empty() {
            return self.ok(id, evidence);
        }
        let entry = |account: &str| {
            let actions = if self.target.push {
                "pull, push"
            } else {
                "pull"
            };
            format!(
                "add a rule to the token server's acl (a push needs pull, too): `- {{match: {{account: {account:?}, \
                 name: {:?}}}, actions: [{actions}]}}`",
                name.as_str()
            )
        };
        let remedy = match self.login.user() {
            Some(user) => entry(user),
            None if self.login.is_anonymous() => {
                format!(
                    "log in with `wharfinger login {}`, or allow it without a login: {}",
                    self.host(),
                    entry("")
                )
            }
            None => entry("NAME"),
        };
        self.fail(
            id,
            format!("{evidence}; missing {}", lacking.join(" ")),
            remedy,
        );
    }

    async fn accepted(&mut self, token: &str) {
        let id = "token-accepted";
        let authorization = authorization_header("Bearer", token);
        let Some((status, challenge)) = self.request_base(authorization.as_ref()).await else {
            return;
        };
        let explained = ["token-claims", "clocks"]
            .into_iter()
            .find(|id| self.has_failed(id));
        if status.is_success() || explained.is_none() {
            self.reconsider_key(status.is_success());
        }
        if status.is_success() {
            return self.ok(id, "the registry accepts the token");
        }
        let explained = explained.or(Some("token-key").filter(|id| self.has_failed(id)));
        let remedy = match (explained, &self.key_verdict) {
            (Some(probe), _) => format!("see {probe}"),
            (None, KeyVerdict::All) => {
                "restart the registry: it reads rootcertbundle and jwks only at its start, and the given \
                 file holds this key; if that does not help, the registry uses another file"
                    .to_owned()
            }
            (None, _) => {
                "look at the registry's log (untrusted key, another audience or untrusted issuer); \
                 --rootcertbundle FILE and --config FILE compare the settings of both servers"
                    .to_owned()
            }
        };
        self.fail(
            id,
            format!(
                "the registry rejects the token of its own token server with {status}: {challenge}"
            ),
            remedy,
        );
    }
}
