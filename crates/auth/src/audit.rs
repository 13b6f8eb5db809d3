//! The events of a request: which account asked for what, what was granted, and why. They hold no
//! secret: passwords and tokens are not among the fields.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use common::RequestContext;
use event::{Actor, Event, EventKind, Observer, Observers, TokenDecision};
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue};
use policy::Labels;
use token::Scope;

use crate::authorize::Decision;
use crate::issue::push_scope;
use crate::response::ErrorResponse;
use crate::sessions::Revocation;

/// How much of an account's labels is shown, in bytes.
const LONGEST_LABELS: usize = 1024;

/// What is known of a request when the response is ready.
#[derive(Debug, Default)]
pub(crate) struct DecisionRecord<'a> {
    request_id: &'a str,
    ip: Option<IpAddr>,
    user_agent: Cow<'a, str>,
    pub(crate) account: String,
    pub(crate) service: String,
    pub(crate) client_id: String,
    /// How the client proved its account: `anonymous`, `password`, `refresh_token`, …
    pub(crate) grant: &'static str,
    /// The backend that accepted or rejected the login; empty if no backend did.
    pub(crate) backend: Cow<'static, str>,
    /// The backends that were asked before it and do not know the account.
    pub(crate) asked_before: Vec<&'static str>,
    /// What the proof says of its origin; empty if it says no more than the account.
    pub(crate) origin: String,
    /// The account's labels, as they are shown.
    labels: String,
    /// The personal token or robot's token that proved the account, by its id.
    pub(crate) opaque_token: String,
    /// The session whose refresh token was used or made.
    pub(crate) session: String,
    /// Whether this request opened the session.
    pub(crate) has_new_session: bool,
    /// Why a refresh token was rejected. The response does not say it.
    pub(crate) reason: String,
    pub(crate) decisions: Vec<(Scope, Decision)>,
}

impl<'a> DecisionRecord<'a> {
    pub(crate) fn new(context: &'a RequestContext, headers: &'a HeaderMap) -> Self {
        let user_agent = headers.get(USER_AGENT).map(HeaderValue::as_bytes);
        Self {
            request_id: &context.request_id,
            ip: context.shown_address(),
            user_agent: String::from_utf8_lossy(user_agent.unwrap_or_default()),
            ..Self::default()
        }
    }

    /// Notes the labels of the account: `team=red,blue vip=`. Backends may give very many, so what
    /// is longer than [`LONGEST_LABELS`] is cut off.
    pub(crate) fn set_labels(&mut self, labels: &Labels) {
        for (name, values) in labels {
            if self.labels.len() > LONGEST_LABELS {
                break;
            }
            let space = if self.labels.is_empty() { "" } else { " " };
            self.labels.extend([space, name, "="]);
            for (index, value) in values.iter().enumerate() {
                self.labels
                    .extend([if index > 0 { "," } else { "" }, value]);
            }
        }
        if self.labels.len() > LONGEST_LABELS {
            let end = self.labels.floor_char_boundary(LONGEST_LABELS);
            self.labels.truncate(end);
            self.labels.push('…');
        }
    }

    /// The client's address; empty if it is not known.
    pub(crate) fn address(&self) -> String {
        self.ip.map(|ip| ip.to_string()).unwrap_or_default()
    }

    /// Tells `observers` what was decided.
    pub(crate) fn tell(
        &self,
        now: SystemTime,
        took: Duration,
        error: Option<&ErrorResponse>,
        observers: &Observers,
    ) {
        if observers.is_empty() {
            return;
        }
        let observe = |kind| self.observe(now, &self.account, kind, observers);
        let requested = self.scopes(|(scope, _)| &scope.actions);
        let granted = self.scopes(|(_, decision)| &decision.granted);
        let rules = self.rules();
        let decision = TokenDecision {
            service: &self.service,
            client_id: &self.client_id,
            grant: self.grant,
            backend: &self.backend,
            asked_before: &self.asked_before.join(" "),
            labels: &self.labels,
            origin: &self.origin,
            session: &self.session,
            requested: &requested,
            granted: &granted,
            rules: &rules,
            duration: took,
        };
        let is_login = !matches!(self.grant, "" | "anonymous" | "refresh_token");
        let Some(error) = error else {
            if is_login {
                let backend = self.backend.as_ref();
                observe(EventKind::LoginAccepted { backend });
            }
            if self.has_new_session {
                observe(EventKind::SessionBegun {
                    session: &self.session,
                    service: &self.service,
                });
            }
            return observe(EventKind::TokenIssued(decision));
        };
        let (status, response) = (error.status().as_u16(), error.to_string());
        let reason = match self.reason.as_str() {
            "" => &response,
            reason => reason,
        };
        if is_login && error.refuses_login() {
            observe(EventKind::LoginRefused { reason });
        }
        observe(EventKind::TokenRefused {
            decision,
            status,
            response: &response,
            reason,
        });
    }

    /// Tells `observers` that a client revoked its refresh token.
    pub(crate) fn tell_of_revocation(
        &self,
        now: SystemTime,
        revoked: &Revocation,
        observers: &Observers,
    ) {
        let ended = EventKind::SessionEnded {
            session: &revoked.id,
            reason: "revoked",
        };
        self.observe(now, &revoked.account, ended, observers);
    }

    fn observe(&self, time: SystemTime, account: &str, kind: EventKind<'_>, observers: &Observers) {
        let actor = Actor {
            account,
            personal_token: &self.opaque_token,
            address: self.ip,
            user_agent: &self.user_agent,
            request_id: self.request_id,
            ..Actor::default()
        };
        observers.observe(&Event { time, actor, kind });
    }

    /// The scopes of the decisions, each with the actions that `actions` picks.
    fn scopes(&self, actions: impl Fn(&(Scope, Decision)) -> &[String]) -> String {
        let mut text = String::with_capacity(64 * self.decisions.len());
        for decision in &self.decisions {
            let (scope, _) = decision;
            push_scope(
                &mut text,
                &scope.resource_type,
                &scope.name,
                actions(decision),
            );
        }
        text
    }

    fn rules(&self) -> String {
        let rules = self.decisions.iter();
        let rules: Vec<&str> = rules.map(|(_, decision)| decision.by.as_str()).collect();
        rules.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(labels: &[(&str, &[&str])]) -> String {
        let mut record = DecisionRecord::default();
        let labels = labels.iter().map(|(name, values)| {
            let values = values.iter().map(ToString::to_string).collect();
            ((*name).to_owned(), values)
        });
        record.set_labels(&labels.collect());
        record.labels
    }

    #[test]
    fn labels_are_shown_in_one_text_and_cut_off() {
        assert_eq!(shown(&[]), "");
        let two: [(&str, &[&str]); 2] = [("team", &["red", "blue"]), ("vip", &[])];
        assert_eq!(shown(&two), "team=red,blue vip=");
        let long = "ü".repeat(LONGEST_LABELS);
        let cut = shown(&[("a", &[&long]), ("b", &["x"])]);
        assert!(
            cut.len() < LONGEST_LABELS + 4 && cut.ends_with("ü…"),
            "{cut}"
        );
    }
}
