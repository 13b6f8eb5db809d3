//! The token: what it says, whose key signed it, and what the registry makes of it.

use ::token::{
    ReceivedClaims, Refusal, Registry, Trust, UnverifiedToken, Verdict as Foretold, rfc3339, unix_seconds, verdict,
};

use super::{Examination, told};
use crate::session::{Scopes, authorization};

impl Examination<'_> {
    /// `token-claims`, `token-key`, `token-access`, `token-accepted`.
    pub(super) async fn token(&mut self) {
        let Some(server) = self.server.clone() else { return };
        if self.has_failed("realm-reachable") {
            return;
        }
        let scopes = self.wanted();
        // A password goes only where the way is trusted; anybody may ask without.
        let login = if self.trusted && self.realm_trusted { self.login.clone() } else { crate::Credentials::Anonymous };
        let granted = match server.ask(self.realm_transport(), &login, &scopes, false).await {
            Ok(granted) => granted,
            Err(error) => {
                return self.fail(
                    "token-claims",
                    format!("no token: {}", told(&error)),
                    "look at the token server's log; anonymous callers must be given a token, too, if only an empty one",
                );
            }
        };
        match UnverifiedToken::parse(granted.token.expose()) {
            Ok(token) => {
                self.claims(&token, server.service.as_deref());
                self.key(granted.token.expose(), &token);
                self.access(&token, &scopes);
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
                return self.fail(id, error.to_string(), "no registry reads such a token: mend the token server");
            }
        };
        let wanted = self.patient.sides.service.clone().or_else(|| service.map(str::to_owned));
        if let Some(service) = wanted.filter(|service| !claims.audience.contains(service)) {
            return self.fail(
                id,
                format!("token intended for another audience: aud is {:?}, the registry is {service:?}", claims.audience),
                "auth.token.service of the registry and the service that the token server writes must be the same, to the letter",
            );
        }
        if let Some(issuer) = self.patient.sides.issuer.clone().filter(|issuer| *issuer != claims.issuer) {
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
        let now = registry.map_or(now, |&(_, there, here)| there + now.duration_since(here).unwrap_or_default());
        let (now, leeway) = (unix_seconds(now), ::token::LEEWAY.as_secs());
        let clock = "set the clocks of registry and token server by NTP";
        let at = |seconds| rfc3339(seconds);
        if claims.not_before > now + leeway {
            let evidence =
                format!("not to be used before {}, and the registry's clock says {}", at(claims.not_before), at(now));
            return self.fail(id, evidence, clock);
        }
        if claims.expires_at + leeway < now {
            let evidence =
                format!("not to be used after {}, and the registry's clock says {}", at(claims.expires_at), at(now));
            return self.fail(id, evidence, clock);
        }
        let lifetime = claims.expires_at.saturating_sub(claims.issued_at);
        let evidence = format!("iss {:?}, aud {:?}, good for {lifetime} s", claims.issuer, claims.audience);
        if lifetime < 60 {
            return self.warn(
                id,
                evidence,
                "a token that lives under a minute ends in the middle of a push: token.expiration: 900",
            );
        }
        self.ok(id, evidence);
    }

    /// The key that signed it, against the bundle and the JWKS that the registry was given.
    fn key(&mut self, text: &str, token: &UnverifiedToken) {
        let id = "token-key";
        let header = token.header();
        let named = match (&header.x5c, &header.jwk, &header.key_id) {
            (Some(chain), ..) => format!("x5c of {} certificates", chain.len()),
            (None, Some(_), _) => "jwk".to_owned(),
            (None, None, Some(kid)) => format!("kid {kid}"),
            (None, None, None) => "nothing".to_owned(),
        };
        let sides = &self.patient.sides;
        if sides.bundle.is_empty() && sides.jwks.is_none() {
            let why = format!("the token names its key by {named}; --rootcertbundle FILE or --jwks FILE compares it");
            return self.not_tested(id, why);
        }
        // Issuer, service and times are another probe's.
        let trust = Trust { bundle: &sides.bundle, jwks: sides.jwks.as_ref(), issuer: None, service: None };
        let now = token.claims().map_or(0, |claims| claims.issued_at);
        let now = std::time::UNIX_EPOCH + std::time::Duration::from_secs(now);
        let foretold = Registry::ALL.map(|registry| (registry, verdict(registry, text, trust, now)));
        let accepts: Vec<_> =
            foretold.iter().filter(|(_, v)| *v == Foretold::Accepted).map(|(r, _)| r.to_string()).collect();
        let refuses: Vec<_> = foretold
            .iter()
            .filter_map(|(registry, verdict)| match verdict {
                Foretold::Refused(refusal) | Foretold::DoesNotStart(refusal) => Some((*registry, refusal.clone())),
                Foretold::Accepted | Foretold::NotApplicable | Foretold::Undecided(_) => None,
            })
            .collect();
        let evidence = format!("the token names its key by {named}; {}", self.known_keys());
        match (accepts.as_slice(), refuses.as_slice()) {
            (_, []) => self.ok(id, evidence),
            ([], _) => self.untrusted(&evidence, &refuses),
            (accepts, refuses) => {
                let which = refuses.iter().map(|(registry, _)| registry.to_string()).collect::<Vec<_>>().join(" and ");
                self.differs(
                    format!("{evidence}; registry {} accepts it, {which} does not", accepts.join(" and ")),
                    refuses,
                );
            }
        }
    }

    fn untrusted(&mut self, evidence: &str, refuses: &[(Registry, Refusal)]) {
        let said: Vec<_> =
            refuses.iter().map(|(registry, refusal)| format!("{registry}: {}", refusal.logged)).collect();
        let advice = refuses.iter().find_map(|(_, refusal)| refusal.advice.clone());
        let remedy = advice.unwrap_or_else(|| {
            "put the token server's certificate into rootcertbundle (or its keys into jwks) and restart the registry".to_owned()
        });
        self.fail("token-key", format!("{evidence}; the registry will say: {}", said.join("; ")), remedy);
    }

    /// Versions disagree: whether that matters shows when the registry is asked.
    fn differs(&mut self, evidence: String, refuses: &[(Registry, Refusal)]) {
        let advice = refuses.iter().find_map(|(_, refusal)| refusal.advice.clone()).unwrap_or_default();
        self.found("token-key", super::Verdict::Ok, evidence, Some(format!("for those that do not: {advice}")));
    }

    /// Each key of bundle and JWKS by every name it has.
    fn known_keys(&self) -> String {
        let sides = &self.patient.sides;
        let of_bundle = sides.bundle.iter().filter_map(|certificate| certificate.public_key().ok()).map(|key| {
            let ids = key.ids();
            format!("the bundle has {} (libtrust), {} (thumbprint)", ids.libtrust, ids.registry_3_1)
        });
        let of_jwks = sides.jwks.iter().flat_map(|set| &set.keys).map(|key| {
            format!(
                "the JWKS has {}",
                key.key_id.clone().unwrap_or_else(|| format!("{} unnamed", key.key.thumbprint()))
            )
        });
        of_bundle.chain(of_jwks).collect::<Vec<_>>().join(", ")
    }

    fn access(&mut self, token: &UnverifiedToken, scopes: &Scopes) {
        let id = "token-access";
        let asked = scopes.texts().join(" ");
        if asked.is_empty() {
            return self.not_tested(id, "name a repository to see what its token grants: HOST/NAME");
        }
        let granted = token.claims().map(|claims| claims.access).unwrap_or_default();
        let lacking = scopes.lacking(&granted);
        let shown: Vec<_> =
            granted.iter().map(|a| format!("{}:{}:{}", a.resource_type, a.name, a.actions.join(","))).collect();
        let evidence =
            format!("asked for {asked}; granted {}", if shown.is_empty() { "nothing".into() } else { shown.join(" ") });
        if lacking.is_empty() {
            return self.ok(id, evidence);
        }
        let who = if self.login.is_anonymous() { "anonymous callers" } else { "this user" };
        self.fail(
            id,
            format!("{evidence}; needed and missing: {}", lacking.join(" ")),
            format!("let {who} do it: an entry in the token server's acl with these actions (a push needs pull, too)"),
        );
    }

    async fn accepted(&mut self, token: &str) {
        let id = "token-accepted";
        let papers = authorization("Bearer", token);
        let Some((status, challenge)) = self.opens(papers.as_ref()).await else { return };
        if status.is_success() {
            return self.ok(id, "the registry opens /v2/ to it");
        }
        let explained = ["token-claims", "token-key", "clocks"].into_iter().find(|id| self.has_failed(id));
        let hint = self.findings.iter().find(|finding| finding.id == "token-key").and_then(|f| f.remedy.clone());
        let remedy = match (explained, hint) {
            (Some(probe), _) => format!("see {probe}"),
            (None, Some(hint)) => hint,
            (None, None) => {
                "the registry's log says why (token signed by untrusted key, another audience, untrusted issuer); \
                             --rootcertbundle FILE and --config FILE compare both sides"
                    .to_owned()
            }
        };
        self.fail(id, format!("the registry answers {status} to its own token server's token: {challenge}"), remedy);
    }
}
