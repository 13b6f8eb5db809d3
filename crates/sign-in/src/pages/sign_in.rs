//! One page: from the first link to the password, and what its forms do.

use auth::device::UserCode;
use common::{RequestContext, Secret, rfc3339, unix_seconds};
use event::{Actor, Event, EventKind, Observer, Observers};
use http::header::{SET_COOKIE, USER_AGENT};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::device::{DevicePage, PASSWORD_NAME};
use super::form::{PageForm, cookie, is_cross_site};
use super::html::{
    self, AccountPage, ErrorPage, ListedPassword, STYLE, ShownPassword, SignInResponse, StartPage,
    shell_word,
};
use super::session::{self, PageSession};
use super::{PageKey, SignInPage};
use crate::accounts::SignInError;
use crate::attempt::SignInAttempt;
use crate::passwords::{MAX_NAME, NewPassword};
use crate::provider::{ExpectedUser, ProviderError, SignInRefusal, TokenGrant};
use crate::store::TokenStoreError;

/// How long a browser may take at the provider, in seconds.
const ATTEMPT_LIFE: u64 = 600;

/// A request of one page.
pub(super) struct SignInRequest<'a> {
    pub(super) page: &'a SignInPage,
    /// The page of device logins, if they are on.
    pub(super) device: Option<&'a DevicePage<'a>>,
    pub(super) key: &'a PageKey,
    pub(super) observers: &'a Observers,
    pub(super) context: &'a RequestContext,
    pub(super) headers: &'a HeaderMap,
    /// The page's path, as the browser sees it.
    pub(super) address: &'a str,
    /// The page's URL, as the browser sees it.
    pub(super) url: &'a str,
}

/// What a query asks for.
#[derive(Debug, Default)]
pub(super) enum PageQuery {
    /// The page itself.
    #[default]
    Show,
    /// To begin a sign-in; with a code, to decide about the login of a device.
    Start { device: Option<UserCode> },
    /// To finish one.
    Code { code: Secret, state: String },
    /// The provider says that there is none (RFC 6749 §4.1.2.1).
    Error(String),
}

/// Which cookie.
#[derive(Clone, Copy)]
enum CookieKind {
    /// Of a sign-in in progress. The provider's redirect brings it back, so it is `Lax`.
    Attempt,
    /// Of a browser that has signed in. Only our own forms and links send it.
    Session,
}

impl PageQuery {
    pub(super) fn parse(query: &str) -> Self {
        let (mut code, mut state, mut error, mut start) = (None, None, None, false);
        let mut device = None;
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "code" => code = Some(Secret::from(value.into_owned())),
                "state" => state = Some(value.into_owned()),
                "error" => error = Some(value.into_owned()),
                "start" => start = true,
                "device" => device = value.parse().ok(),
                _ => {}
            }
        }
        match (code, error) {
            (Some(code), _) => Self::Code {
                code,
                state: state.unwrap_or_default(),
            },
            (None, Some(error)) => Self::Error(error),
            (None, None) if start => Self::Start { device },
            (None, None) => Self::Show,
        }
    }
}

impl SignInRequest<'_> {
    pub(super) async fn get(&self, query: PageQuery) -> SignInResponse {
        match query {
            PageQuery::Show => match self.session() {
                Some(session) => self.account(&session, None).await,
                None => self.start_page(),
            },
            PageQuery::Start { device } => self.start(device.as_ref()).await,
            PageQuery::Code { code, state } => self.finish(&code, &state).await,
            PageQuery::Error(error) => self.provider_said(&error),
        }
    }

    /// Does what a form asks, if the form is of this browser's page.
    pub(super) async fn post(&self, form: &PageForm) -> SignInResponse {
        let Some(session) = self.session() else {
            return self.failed(
                StatusCode::FORBIDDEN,
                "You were signed out of this page. Sign in again to change your passwords.",
            );
        };
        if !session.has_form_token(self.key, &form.form_token) || is_cross_site(self.headers) {
            return self.failed(
                StatusCode::FORBIDDEN,
                "This form was not sent by your page. Open the page again.",
            );
        }
        match form.action.as_str() {
            "create" => self.create(&session, &form.name).await,
            "revoke" => self.revoke(&session, &form.id).await,
            "sign_out" => self.back(Some(self.set_cookie(CookieKind::Session, "", 0))),
            _ => self.failed(
                StatusCode::BAD_REQUEST,
                "The form asks for nothing that is known.",
            ),
        }
    }

    pub(super) fn failed(&self, status: StatusCode, message: &str) -> SignInResponse {
        let page = ErrorPage {
            style: STYLE,
            title: &self.page.title,
            message,
            address: self.address,
        };
        html::page(status, &page)
    }

    fn start_page(&self) -> SignInResponse {
        let page = StartPage {
            style: STYLE,
            title: &self.page.title,
            address: self.address,
        };
        html::page(StatusCode::OK, &page)
    }

    /// Sends the browser to the provider. What it comes back for is in the cookie.
    async fn start(&self, device: Option<&UserCode>) -> SignInResponse {
        let parts = self.page.accounts.parts();
        let attempt = match SignInAttempt::begin(parts.section, parts.entropy.as_ref()) {
            Ok(attempt) => attempt,
            Err(error) => return self.error(&error.into()),
        };
        let parameters = attempt.parameters(self.url.to_owned());
        let to = match parts.provider.authorization_url(&parameters).await {
            Ok(to) => to,
            Err(error) => return self.error(&error.into()),
        };
        let Some(mut response) = html::redirect(&to) else {
            let what = "the provider's address cannot stand in a header";
            return self.error(&ProviderError::broken(what).into());
        };
        let mut value = attempt.cookie();
        if let Some(code) = device {
            value.extend([".", code.letters()]);
        }
        let cookie = self.set_cookie(CookieKind::Attempt, &value, ATTEMPT_LIFE);
        response.headers_mut().append(SET_COOKIE, cookie);
        response
    }

    /// Finishes a sign-in with the code that the provider gave the browser.
    async fn finish(&self, code: &Secret, state: &str) -> SignInResponse {
        let section = self.page.accounts.section();
        let name = self.cookie_name(CookieKind::Attempt);
        let kept = cookie(self.headers, &name);
        let kept = kept.map(|value| value.split_once('.').unwrap_or((value, "")));
        let (kept, device) = kept.unzip();
        let attempt = kept.and_then(|value| SignInAttempt::of_cookie(section, value));
        // Without this, another site could sign the browser in as another user (RFC 6749 §10.12).
        let Some(attempt) = attempt.filter(|attempt| attempt.has_state(state)) else {
            return self.failed(
                StatusCode::BAD_REQUEST,
                "This sign-in was not begun in this browser, or more than ten minutes ago. Your \
                 browser must keep this page's cookie, which it does over https only.",
            );
        };
        let device: Option<UserCode> = device.and_then(|code| code.parse().ok());
        let device = self.device.zip(device);
        let signed_in = self.signed_in(code, &attempt, device.is_some()).await;
        let mut response = match (signed_in, device) {
            (Ok((session, password)), Some((page, code))) => {
                let accounts = &self.page.accounts;
                page.signed_in_by_provider(&code, accounts, &session.account, &password)
                    .await
            }
            (Ok((session, password)), None) => {
                let mut response = self.account(&session, Some(&password)).await;
                let value = session.cookie(self.key);
                let life = session::LIFE.as_secs();
                let cookie = self.set_cookie(CookieKind::Session, &value, life);
                response.headers_mut().append(SET_COOKIE, cookie);
                response
            }
            (Err(error), _) => self.error(&error),
        };
        // A code is good once, and so is its cookie.
        let forget = self.set_cookie(CookieKind::Attempt, "", 0);
        response.headers_mut().append(SET_COOKIE, forget);
        response
    }

    async fn signed_in(
        &self,
        code: &Secret,
        attempt: &SignInAttempt,
        is_for_device: bool,
    ) -> Result<(PageSession, NewPassword), SignInError> {
        let parts = self.page.accounts.parts();
        let (verifier, nonce) = (attempt.verifier(), attempt.nonce());
        let grant = TokenGrant::AuthorizationCode {
            code,
            verifier: &verifier,
            page: self.url,
        };
        let tokens = parts.provider.request_tokens(grant).await?;
        let expected = ExpectedUser::SignIn { nonce: &nonce };
        let user = parts.provider.identify(&tokens, expected).await?;
        let now = parts.clock.now();
        let day = rfc3339(unix_seconds(now));
        let what = match is_for_device {
            true => PASSWORD_NAME,
            false => "sign-in",
        };
        let name = format!("{what} of {}", day.split('T').next().unwrap_or(&day));
        let accounts = &self.page.accounts;
        let password = accounts.sign_in(&tokens, &user, &name).await?;
        self.log(
            &user.name,
            &password.id,
            "a user signed in and got a password",
        );
        if !is_for_device {
            let backend = parts.section;
            self.tell(&user.name, EventKind::LoginAccepted { backend });
        }
        let entropy = parts.entropy.as_ref();
        let session = PageSession::new(parts.section, &user.name, now, entropy)?;
        Ok((session, password))
    }

    /// The page of a user, with a new password if there is one.
    async fn account(
        &self,
        session: &PageSession,
        new_password: Option<&NewPassword>,
    ) -> SignInResponse {
        let stored = match self.page.accounts.find(&session.account).await {
            Ok(Some(stored)) => stored,
            Ok(None) => return self.start_page(),
            Err(error) => return self.error(&error),
        };
        let listed = stored.passwords().into_iter().rev();
        let listed = listed.map(|password| ListedPassword {
            id: password.id,
            name: password.name,
            created: match password.created_at {
                0 => String::new(),
                at => rfc3339(at).replace('T', " ").replace('Z', " UTC"),
            },
        });
        let page = AccountPage {
            style: STYLE,
            title: &self.page.title,
            address: self.address,
            account: &stored.name,
            form_token: &session.form_token(self.key),
            new_password: new_password.map(|new| self.shown(&stored.name, new)),
            passwords: listed.collect(),
            max_name: MAX_NAME,
        };
        html::page(StatusCode::OK, &page)
    }

    async fn create(&self, session: &PageSession, name: &str) -> SignInResponse {
        let name: String = name
            .trim()
            .chars()
            .filter(|c| !c.is_control())
            .take(MAX_NAME)
            .collect();
        if name.is_empty() {
            return self.failed(StatusCode::BAD_REQUEST, "Write a name for the password.");
        }
        match self
            .page
            .accounts
            .add_password(&session.account, &name)
            .await
        {
            Ok(Some(password)) => {
                self.log(&session.account, &password.id, "a user made a password");
                self.account(session, Some(&password)).await
            }
            Ok(None) => self.start_page(),
            Err(error) => self.error(&error),
        }
    }

    async fn revoke(&self, session: &PageSession, id: &str) -> SignInResponse {
        match self
            .page
            .accounts
            .revoke_password(&session.account, id)
            .await
        {
            Ok(was_there) => {
                if was_there {
                    self.log(&session.account, id, "a user revoked a password");
                }
                self.back(None)
            }
            Err(error) => self.error(&error),
        }
    }

    /// Shows the page anew, by a GET, so that a reload sends no form again.
    fn back(&self, cookie: Option<HeaderValue>) -> SignInResponse {
        let mut response = html::redirect(self.address).unwrap_or_else(|| self.start_page());
        response
            .headers_mut()
            .extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
        response
    }

    /// The commands read the password from their standard input: no list of processes shows it.
    fn shown(&self, account: &str, new: &NewPassword) -> ShownPassword {
        let host = self.context.origin.host.as_deref();
        let registry = self.page.registry.as_deref().or(host);
        let registry = shell_word(registry.unwrap_or("docker.example.com"));
        let (account, password) = (shell_word(account), new.password.expose());
        let command = |program: &'static str| {
            let login = format!("{program} login -u {account} --password-stdin {registry}");
            (program, format!("echo {password} | {login}"))
        };
        ShownPassword {
            password: password.to_owned(),
            commands: ["docker", "podman", "nerdctl"].map(command).into(),
        }
    }

    /// What the provider sent the browser back with instead of a code.
    fn provider_said(&self, error: &str) -> SignInResponse {
        match error {
            "access_denied" => self.failed(
                StatusCode::FORBIDDEN,
                "You did not allow this server to know who you are, or the provider did not.",
            ),
            "temporarily_unavailable" | "server_error" => self.failed(
                StatusCode::SERVICE_UNAVAILABLE,
                "The provider cannot sign you in now. Try again later.",
            ),
            _ => self.failed(
                StatusCode::BAD_REQUEST,
                "The provider did not sign you in. Try again, and ask the operator of this \
                 registry if that does not help.",
            ),
        }
    }

    /// What a user is told of an error. The log has the cause.
    fn error(&self, error: &SignInError) -> SignInResponse {
        let request_id = &self.context.request_id;
        let backend = self.page.accounts.section();
        let cause = error as &dyn std::error::Error;
        match error {
            SignInError::Provider(ProviderError::Refused(refusal)) => {
                tracing::info!(backend, request_id, reason = %refusal, "a sign-in was refused");
                let account = match refusal {
                    SignInRefusal::NotAMember { name, .. }
                    | SignInRefusal::OtherDomain { name, .. } => name,
                    _ => "",
                };
                let reason = &refusal.to_string();
                self.tell(account, EventKind::LoginRefused { reason });
                let status = match refusal {
                    SignInRefusal::Code | SignInRefusal::IdToken(_) => StatusCode::BAD_REQUEST,
                    _ => StatusCode::FORBIDDEN,
                };
                self.failed(status, &sentence(refusal))
            }
            SignInError::Provider(ProviderError::Unavailable { .. }) => {
                tracing::error!(backend, request_id, error = cause, "a sign-in failed");
                self.failed(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "The provider cannot be reached, or does not answer as it should. Try again \
                     later.",
                )
            }
            SignInError::Store(TokenStoreError::Unavailable(_)) | SignInError::Contention(_) => {
                tracing::error!(backend, request_id, error = cause, "a sign-in failed");
                self.failed(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "This server cannot store your sign-in now. Try again later.",
                )
            }
            _ => {
                tracing::error!(backend, request_id, error = cause, "a sign-in failed");
                let message = format!(
                    "This server failed. Its operator finds the cause in its log under the request \
                     {request_id}."
                );
                self.failed(StatusCode::INTERNAL_SERVER_ERROR, &message)
            }
        }
    }

    fn log(&self, account: &str, password: &str, what: &str) {
        let address = self.context.shown_address();
        let address = address.map_or_else(String::new, |address| address.to_string());
        tracing::info!(
            account,
            backend = self.page.accounts.section(),
            password,
            address,
            request_id = self.context.request_id,
            "{what}"
        );
    }

    fn tell(&self, account: &str, kind: EventKind<'_>) {
        let user_agent = self.headers.get(USER_AGENT);
        self.observers.observe(&Event {
            time: self.page.accounts.parts().clock.now(),
            actor: Actor {
                account,
                address: self.context.shown_address(),
                user_agent: user_agent.map_or("", |text| text.to_str().unwrap_or_default()),
                request_id: &self.context.request_id,
                ..Actor::default()
            },
            kind,
        });
    }

    fn session(&self) -> Option<PageSession> {
        let parts = self.page.accounts.parts();
        let value = cookie(self.headers, &self.cookie_name(CookieKind::Session))?;
        PageSession::of_cookie(value, parts.section, self.key, parts.clock.now())
    }

    /// The prefix binds the cookie to this host and to https (RFC 6265bis §4.1.3.2).
    fn cookie_name(&self, kind: CookieKind) -> String {
        let section = self.page.accounts.section();
        match kind {
            CookieKind::Attempt => format!("__Host-{section}-attempt"),
            CookieKind::Session => format!("__Host-{section}-session"),
        }
    }

    fn set_cookie(&self, kind: CookieKind, value: &str, seconds: u64) -> HeaderValue {
        let same_site = match kind {
            CookieKind::Attempt => "Lax",
            CookieKind::Session => "Strict",
        };
        let text = format!(
            "{}={value}; Path=/; Secure; HttpOnly; SameSite={same_site}; Max-Age={seconds}",
            self.cookie_name(kind)
        );
        // Names and values are of base64's letters.
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
    }
}

/// An error's words as a sentence.
fn sentence(refusal: &SignInRefusal) -> String {
    let text = refusal.to_string();
    let mut characters = text.chars();
    let first = characters.next().map(|c| c.to_uppercase().to_string());
    format!("{}{}.", first.unwrap_or_default(), characters.as_str())
}
