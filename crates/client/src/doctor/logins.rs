//! The stored logins, and whether the one that counts is accepted.

use common::with_causes;
use reqwest::StatusCode;

use super::ProbeRun;
use crate::session::Scopes;
use crate::transport::ClientRequest;
use crate::{Error, LoginCredentials, RegistrySession, StoredCredentials};

impl ProbeRun<'_> {
    /// `stored-logins`.
    pub(super) async fn stored_logins(&mut self) {
        let id = "stored-logins";
        if let Some(login) = &self.target.login {
            self.login = login.clone();
            return self.not_tested(id, "a user was given with --user");
        }
        let repository = self.target.repository.as_ref();
        let path = repository.map_or("", |name| name.as_str());
        let store = &self.target.store;
        let (found, problems) = store.find_all(&self.target.host, path).await;
        if let Some(first) = found.first() {
            self.login = first.credentials.clone();
        }
        let described: Vec<_> = found.iter().map(described).collect();
        let described = described.join("; ");
        if let Some(error) = problems.first() {
            let remedy = error.hint().unwrap_or_else(|| {
                "make the file readable for you, or move it away and log in again".to_owned()
            });
            return self.fail(id, with_causes(error), remedy);
        }
        match found.as_slice() {
            [] => self.ok(id, format!("no login is stored for {}", self.host())),
            [first, rest @ ..] if rest.iter().any(|other| !is_same(first, other)) => self.warn(
                id,
                format!(
                    "several different logins are stored; this client uses the first, others may use \
                     another: {described}"
                ),
                format!(
                    "remove them with `wharfinger logout {0}`, then log in again with `wharfinger \
                     login {0}`",
                    self.host()
                ),
            ),
            _ => self.ok(id, described),
        }
    }

    /// `login`.
    pub(super) async fn log_in(&mut self) {
        let id = "login";
        if self.login.is_anonymous() {
            return self.not_tested(id, "no login is stored; --user NAME tries one");
        }
        if self.base.is_none() || (self.server.is_none() && self.has_failed("registry-challenge")) {
            return self.not_tested(id, "the registry does not ask for a login");
        }
        if let Some(why) = self.withheld() {
            return self.not_tested(id, why);
        }
        match self.server.clone() {
            Some(server) => {
                let scopes = Scopes::default();
                let outcome = server.ask(&self.transport, &self.login, &scopes, false);
                let outcome = outcome.await.map(|_| server.realm.to_string());
                self.judge_login(outcome);
            }
            None => {
                let outcome = self.log_in_basic().await;
                self.judge_login(outcome);
            }
        }
    }

    async fn log_in_basic(&self) -> Result<String, Error> {
        let session = RegistrySession::begin(
            self.transport.clone(),
            self.target.host.clone(),
            self.login.clone(),
        );
        session.await?.log_in().await?;
        Ok("the registry".to_owned())
    }

    /// Judges the outcome of a login. A success names the server that accepted it.
    fn judge_login(&mut self, outcome: Result<String, Error>) {
        let id = "login";
        let login = match self.login.user() {
            Some(user) => format!("login as {user} with {}", self.login.kind()),
            None => format!("login with {}", self.login.kind()),
        };
        match outcome {
            Ok(server) => self.ok(id, format!("{login} accepted by {server}")),
            Err(Error::LoginFailed { source, .. }) => {
                let remedy = match self.target.login {
                    None => format!(
                        "the stored login is out of date: log in again with `wharfinger login {0}` \
                         or `docker login {0}`",
                        self.host()
                    ),
                    Some(_) => {
                        "check the user name and the password, or have the administrator of \
                                the token server set a new password"
                            .to_owned()
                    }
                };
                self.login = LoginCredentials::Anonymous;
                self.fail(id, format!("{login} rejected: {source}"), remedy);
            }
            Err(error) => {
                let remedy = error
                    .hint()
                    .unwrap_or_else(|| "look at the token server's log".to_owned());
                self.fail(
                    id,
                    format!("{login} failed: {}", with_causes(&error)),
                    remedy,
                );
            }
        }
    }

    /// The registry's response to a request for `/v2/`: status and challenge.
    pub(super) async fn request_base(
        &self,
        authorization: Option<&reqwest::header::HeaderValue>,
    ) -> Option<(StatusCode, String)> {
        let request = ClientRequest::get(self.base.clone()?).authorization(authorization);
        let response = self.open_transport().send(&request).await.ok()?;
        let challenge = response.header("www-authenticate").unwrap_or_default();
        Some((response.status(), challenge.to_owned()))
    }
}

fn described(found: &StoredCredentials) -> String {
    let kind = found.credentials.kind();
    let user = found
        .credentials
        .user()
        .map_or_else(String::new, |user| format!(" of {user}"));
    format!("{kind}{user} in {}", found.location)
}

fn is_same(one: &StoredCredentials, other: &StoredCredentials) -> bool {
    match (&one.credentials, &other.credentials) {
        (
            LoginCredentials::Password { user, password },
            LoginCredentials::Password {
                user: other_user,
                password: other_password,
            },
        ) => user == other_user && password.expose() == other_password.expose(),
        (
            LoginCredentials::RefreshToken { token, .. },
            LoginCredentials::RefreshToken { token: other, .. },
        ) => token.expose() == other.expose(),
        _ => false,
    }
}
