//! The token: what it says, what it grants, and what the registry makes of it.

use ::token::{ReceivedClaims, UnverifiedToken};
use common::{rfc3339, unix_seconds};

use super::key::KeyVerdict;
use super::{ProbeRun, told};
use crate::Error;
use crate::session::{Scopes, authorization, challenge_scopes};
use crate::transport::HttpRequest;

impl ProbeRun<'_> {
    /// `token-claims`, `token-key`, `token-access`, `token-accepted`.
    pub(super) async fn token(&mut self) {
        let Some(server) = self.server.clone() else {
            return;
        };
        if self.has_failed("realm-reachable") {
            return;
        }
        let scopes = self.wanted();
        // A password goes only where the way is trusted; anybody may ask without.
        let login = self.sendable_login();
        let granted = match server
            .ask(self.realm_transport(), &login, &scopes, false)
            .await
        {
            Ok(granted) => granted,
            Err(Error::Denied {
                logged_in: false, ..
            }) if self.withheld().is_none() => {
                return self.nothing_for_nobody();
            }
            Err(error) => {
                return self.fail(
                    "token-claims",
                    format!("no token: {}", told(&error)),
                    "look at the token server's log, and whether auth.token.realm is its URL",
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
                    self.not_tested(id, format!("the token is opaque: {error}"));
                }
            }
        }
        self.accepted(granted.token.expose()).await;
        self.granted = Some(granted);
    }

    /// A token server may give tokens only to those whom it knows.
    fn nothing_for_nobody(&mut self) {
        for id in [
            "token-claims",
            "token-key",
            "token-access",
            "token-accepted",
        ] {
            self.not_tested(
                id,
                "the token server gives nothing to anonymous callers; --user NAME looks on",
            );
        }
    }

    /// What the probes of a repository need.
    pub(super) fn wanted(&self) -> Scopes {
        match (&self.patient.repository, self.patient.push) {
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
                    "no registry reads such a token: mend the token server",
                );
            }
        };
        let wanted = self
            .patient
            .sides
            .service
            .clone()
            .or_else(|| service.map(str::to_owned));
        if let Some(service) = wanted.filter(|service| !claims.audience.contains(service)) {
            return self.fail(
                id,
                format!("token intended for another audience: aud is {:?}, the registry is {service:?}", claims.audience),
                "auth.token.service of the registry and the service that the token server writes must be the same, to the letter",
            );
        }
        if let Some(issuer) = self
            .patient
            .sides
            .issuer
            .clone()
            .filter(|issuer| *issuer != claims.issuer)
        {
            return self.fail(
                id,
                format!("token from untrusted issuer: iss is {:?}, the registry wants {issuer:?}", claims.issuer),
                "auth.token.issuer of the registry and token.issuer of the token server must be the same, to the letter",
            );
        }
        if !token.claims_json().contains("\"access\"") {
            return self.fail(
                id,
                "the token has no access claim",
                "a registry reads nothing else: mend the token server",
            );
        }
        self.times(id, &claims);
    }

    fn times(&mut self, id: &'static str, claims: &ReceivedClaims) {
        // By the registry's clock, for that is what decides.
        let now = self.transport.options().clock.now();
        let registry = self.dates.iter().find(|(whose, ..)| *whose == "registry");
        let now = registry.map_or(now, |&(_, there, here)| {
            there + now.duration_since(here).unwrap_or_default()
        });
        let (now, leeway) = (unix_seconds(now), ::token::LEEWAY.as_secs());
        let clock = "set the clocks of registry and token server by NTP";
        let at = |seconds| rfc3339(seconds);
        if claims.not_before > now + leeway {
            let evidence = format!(
                "not to be used before {}, and the registry's clock says {}",
                at(claims.not_before),
                at(now)
            );
            return self.fail(id, evidence, clock);
        }
        if claims.expires_at + leeway < now {
            let evidence = format!(
                "not to be used after {}, and the registry's clock says {}",
                at(claims.expires_at),
                at(now)
            );
            return self.fail(id, evidence, clock);
        }
        let lifetime = claims.expires_at.saturating_sub(claims.issued_at);
        let evidence = format!(
            "iss {:?}, aud {:?}, good for {lifetime} s",
            claims.issuer, claims.audience
        );
        if lifetime < 60 {
            return self.warn(
                id,
                evidence,
                "a token that lives under a minute ends in the middle of a push: token.expiration: 900",
            );
        }
        self.ok(id, evidence);
    }

    /// What the registry says it needs to show the repository's tags.
    async fn needed(&self) -> Scopes {
        let url = self.base.as_ref().zip(self.patient.repository.as_ref());
        let Some(url) = url.and_then(|(base, name)| base.join(&format!("{name}/tags/list")).ok())
        else {
            return Scopes::default();
        };
        let answer = self.looking().send(&HttpRequest::get(url)).await;
        answer
            .ok()
            .and_then(|answer| challenge_scopes(&answer).ok())
            .unwrap_or_default()
    }

    fn access(&mut self, token: &UnverifiedToken, asked: &Scopes, needed: &Scopes) {
        let id = "token-access";
        let Some(name) = &self.patient.repository else {
            return self.not_tested(
                id,
                "name a repository to see what its token grants: HOST/NAME",
            );
        };
        if let Some(why) = self.withheld() {
            return self.not_tested(id, why);
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
        let evidence = format!("asked for {}; granted {shown}", asked.texts().join(" "));
        if !asked.cover(needed) {
            let evidence = format!(
                "{evidence}; the registry needs {}",
                needed.texts().join(" ")
            );
            let remedy = "a proxy changes the repository's name on the way: have it pass /v2/ on with the path unchanged, so \
                          that clients, token server and registry call the repository the same";
            return self.fail(id, evidence, remedy);
        }
        let lacking = asked.lacking(&granted);
        if lacking.is_empty() {
            return self.ok(id, evidence);
        }
        let entry = |account: &str| {
            let actions = if self.patient.push {
                "pull, push"
            } else {
                "pull"
            };
            format!(
                "an entry in the token server's acl (a push needs pull, too): - {{match: {{account: {account:?}, name: \
                 {:?}}}, actions: [{actions}]}}",
                name.as_str()
            )
        };
        let remedy = match self.login.user() {
            Some(user) => entry(user),
            None if self.login.is_anonymous() => {
                format!(
                    "log in (wharfinger login {}), or let anonymous callers do it: {}",
                    self.host(),
                    entry("")
                )
            }
            None => entry("NAME"),
        };
        self.fail(
            id,
            format!("{evidence}; needed and missing: {}", lacking.join(" ")),
            remedy,
        );
    }

    async fn accepted(&mut self, token: &str) {
        let id = "token-accepted";
        let papers = authorization("Bearer", token);
        let Some((status, challenge)) = self.opens(papers.as_ref()).await else {
            return;
        };
        let explained = ["token-claims", "clocks"]
            .into_iter()
            .find(|id| self.has_failed(id));
        if status.is_success() || explained.is_none() {
            self.reconsider_key(status.is_success());
        }
        if status.is_success() {
            return self.ok(id, "the registry opens /v2/ to it");
        }
        let explained = explained.or(Some("token-key").filter(|id| self.has_failed(id)));
        let remedy = match (explained, &self.belief) {
            (Some(probe), _) => format!("see {probe}"),
            (None, KeyVerdict::All) => {
                "restart the registry: it reads rootcertbundle and jwks only when it starts, and with the \
                                    file that was given it would believe this key; or it is started with another file"
                    .to_owned()
            }
            (None, _) => {
                "the registry's log says why (token signed by untrusted key, another audience, untrusted issuer); \
                          --rootcertbundle FILE and --config FILE compare both sides"
                    .to_owned()
            }
        };
        self.fail(
            id,
            format!("the registry answers {status} to its own token server's token: {challenge}"),
            remedy,
        );
    }
}
