//! The logins that are stored, and whether the token server believes the one that counts.

use reqwest::StatusCode;

use super::{ProbeRun, told};
use crate::session::Scopes;
use crate::transport::HttpRequest;
use crate::{Credentials, Error, RegistrySession, StoredCredentials};

impl ProbeRun<'_> {
    /// `stored-logins`.
    pub(super) async fn stored_logins(&mut self) {
        if let Some(login) = &self.patient.login {
            self.login = login.clone();
            return self.not_tested("stored-logins", "a login was given");
        }
        let path = self
            .patient
            .repository
            .as_ref()
            .map_or("", |name| name.as_str());
        let all = self.patient.places.find_all(&self.patient.host, path).await;
        let found: Vec<&StoredCredentials> =
            all.iter().filter_map(|found| found.as_ref().ok()).collect();
        let broken = all.iter().find_map(|found| found.as_ref().err());
        let told_of = |found: &&StoredCredentials| {
            let user = found
                .credentials
                .user()
                .map_or_else(String::new, |user| format!(" of {user:?}"));
            format!("{}{user} in {}", found.credentials.kind(), found.place)
        };
        let list: Vec<_> = found.iter().map(told_of).collect();
        if let Some(first) = found.first() {
            self.login = first.credentials.clone();
        }
        match (broken, found.as_slice()) {
            (Some(error), _) => self.fail(
                "stored-logins",
                told(error),
                "repair the file, or install the credential helper that it names, or take its name out of credsStore and \
                 credHelpers",
            ),
            (None, []) => self.ok("stored-logins", format!("none for {}", self.host())),
            (None, [_]) => self.ok("stored-logins", list.join("; ")),
            (None, [first, rest @ ..]) if rest.iter().any(|other| !is_same(first, other)) => self.warn(
                "stored-logins",
                format!("several, of which the first counts here and another may count elsewhere: {}", list.join("; ")),
                format!("log out everywhere and in again: docker logout {0}; podman logout {0}", self.host()),
            ),
            (None, _) => self.ok("stored-logins", list.join("; ")),
        }
    }

    /// `login`.
    pub(super) async fn log_in(&mut self) {
        if self.login.is_anonymous() {
            return self.not_tested("login", "nobody is logged in; --user NAME tries a login");
        }
        if self.base.is_none() || (self.server.is_none() && self.has_failed("registry-challenge")) {
            return self.not_tested("login", "there is nowhere to log in");
        }
        if let Some(why) = self.withheld() {
            return self.not_tested("login", why);
        }
        match self.server.clone() {
            Some(server) => {
                let scopes = Scopes::default();
                let outcome = server
                    .ask(&self.transport, &self.login, &scopes, false)
                    .await;
                self.judged(outcome.map(|_| format!("{} believes it", server.realm)));
            }
            None => self.log_in_basic().await,
        }
    }

    async fn log_in_basic(&mut self) {
        let session = RegistrySession::begin(
            self.transport.clone(),
            self.patient.host.clone(),
            self.login.clone(),
        )
        .await;
        let outcome = match session {
            Ok(session) => session
                .log_in()
                .await
                .map(|_| "the registry believes it".to_owned()),
            Err(error) => Err(error),
        };
        self.judged(outcome);
    }

    fn judged(&mut self, outcome: Result<String, Error>) {
        let user = self
            .login
            .user()
            .map_or_else(String::new, |user| format!(" of {user:?}"));
        let kind = self.login.kind();
        let stored = self.patient.login.is_none();
        match outcome {
            Ok(evidence) => self.ok("login", format!("{kind}{user}: {evidence}")),
            Err(error @ Error::LoginFailed { .. }) => {
                let remedy = match stored {
                    true => format!(
                        "the stored login is old or wrong: wharfinger logout {0}, docker logout {0}, and log in again",
                        self.host()
                    ),
                    false => "the user's name or the password is wrong: ask whoever keeps the token server's users"
                        .to_owned(),
                };
                self.login = Credentials::Anonymous;
                self.fail("login", format!("{kind}{user}: {}", told(&error)), remedy);
            }
            Err(error) => {
                let remedy = error
                    .hint()
                    .unwrap_or_else(|| "look at the token server's log".to_owned());
                self.fail("login", told(&error), remedy);
            }
        }
    }

    /// Whether the registry opens `/v2/` to a token.
    pub(super) async fn opens(
        &self,
        papers: Option<&reqwest::header::HeaderValue>,
    ) -> Option<(StatusCode, String)> {
        let base = self.base.clone()?;
        let answer = self
            .looking()
            .send(&HttpRequest::get(base).authorization(papers))
            .await
            .ok()?;
        let status = answer.status();
        Some((
            status,
            answer
                .header("www-authenticate")
                .unwrap_or_default()
                .to_owned(),
        ))
    }
}

fn is_same(one: &StoredCredentials, other: &StoredCredentials) -> bool {
    match (&one.credentials, &other.credentials) {
        (
            Credentials::Password { user, password },
            Credentials::Password {
                user: u,
                password: p,
            },
        ) => user == u && password.expose() == p.expose(),
        (Credentials::RefreshToken { token, .. }, Credentials::RefreshToken { token: t, .. }) => {
            token.expose() == t.expose()
        }
        _ => false,
    }
}
