//! The page on which a person approves the login of a device (RFC 8628 §3.3).
//!
//! Three steps: the person enters or compares the code; signs in, with a password or by a provider;
//! sees which machine asks, and decides. The address may have the code, but never skips a step.
//!
//! The browser keeps a random secret in a cookie. Forms carry a keyed hash of it, so no other site can
//! send them. Who has signed in is stored with the login, under a hash of a new such secret: only this
//! browser can decide.

use auth::device::{
    DeviceDecision, DeviceLoginError, DeviceLogins, DeviceSignIn, FoundDeviceLogin,
    PendingDeviceLogin, UserCode,
};
use common::{RequestContext, Secret, seconds_rounded_up};
use http::header::{RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, StatusCode};
use identity::{Credentials, Proof, SourceAddress};

use super::form::{PageForm, is_cross_site};
use super::html::{self, SignInResponse};
use super::{SignInPage, SignInServerSettings};
use crate::SignInAccounts;
use crate::passwords::NewPassword;

/// A request of the page.
pub(super) struct DevicePage<'a> {
    pub(super) logins: &'a DeviceLogins,
    pub(super) settings: &'a SignInServerSettings,
    pub(super) context: &'a RequestContext,
    pub(super) headers: &'a HeaderMap,
    /// The page's path, as the browser sees it.
    pub(super) address: String,
}

impl<'a> DevicePage<'a> {
    /// The page, if device logins are on.
    pub(super) fn new(
        settings: &'a SignInServerSettings,
        context: &'a RequestContext,
        headers: &'a HeaderMap,
    ) -> Option<Self> {
        let path = format!("{}{}", settings.path_prefix, auth::device::PAGE);
        Some(Self {
            logins: settings.device_logins.as_deref()?,
            settings,
            context,
            headers,
            address: context.origin.path(&path),
        })
    }

    /// Asks for the code, or for the decision if the person has signed in. Nothing is looked up for a
    /// browser without a cookie.
    pub(super) async fn get(&self, query: &str) -> SignInResponse {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        let code = pairs.find(|(name, _)| name == "user_code");
        let code: Option<UserCode> = code.and_then(|(_, value)| value.parse().ok());
        if let (Some(code), Some(browser)) = (&code, self.browser()) {
            match self.logins.signed_in(code, &browser).await {
                Ok(Some(login)) => return self.confirm_page(code, &login, &browser),
                Ok(None) => {}
                Err(error) => return self.error(&error),
            }
        }
        let code = code.map(|code| code.to_string()).unwrap_or_default();
        self.code_page(StatusCode::OK, &code, "")
    }

    /// Does what a form asks, if the form is of this browser's page.
    pub(super) async fn post(&self, form: PageForm) -> SignInResponse {
        let is_own = |browser: &Secret| {
            self.settings
                .key
                .is_device_form_token(browser, &form.form_token)
        };
        let browser = self.browser().filter(is_own);
        let Some(browser) = browser.filter(|_| !is_cross_site(self.headers)) else {
            return self.failed(
                StatusCode::FORBIDDEN,
                "This form was not sent by your page, or the page is more than an hour old. Your \
                 browser must keep this page's cookie.",
            );
        };
        let Ok(code) = form.user_code.parse::<UserCode>() else {
            return self.code_page(
                StatusCode::BAD_REQUEST,
                "",
                "That is not a code: it has eight letters, such as WDJB-MJHT, and no vowels.",
            );
        };
        match form.action.as_str() {
            "code" => match self.require_pending(&code).await {
                Ok(()) => self.sign_in_page(StatusCode::OK, &code, &browser, "", ""),
                Err(response) => response,
            },
            "sign_in" => self.sign_in(&code, &browser, form).await,
            "approve" => self.decide(&code, &browser, DeviceDecision::Approve).await,
            "deny" => self.decide(&code, &browser, DeviceDecision::Deny).await,
            _ => self.failed(
                StatusCode::BAD_REQUEST,
                "The form asks for nothing that is known.",
            ),
        }
    }

    /// The way back from a provider: the person has a new password there, which logs in as any other
    /// does, and is the session's credential. No one sees it. A person who revokes it in the list of
    /// passwords ends the session.
    ///
    /// The page follows at once: a browser that comes from another site sends no strict cookie, not
    /// even after a redirect.
    pub(super) async fn signed_in_by_provider(
        &self,
        code: &UserCode,
        accounts: &SignInAccounts,
        account: &str,
        password: &NewPassword,
    ) -> SignInResponse {
        let proof = Proof::Password(Credentials {
            account: account.to_owned(),
            password: password.password.clone(),
        });
        let outcome = match self.require_pending(code).await {
            Ok(()) => self.signed_in(code, &proof).await,
            Err(response) => Err(response),
        };
        match outcome {
            Ok((browser, Ok(login))) => {
                let mut response = self.confirm_page(code, &login, &browser);
                self.set_cookie(&mut response, &browser);
                response
            }
            Ok((_, Err(refused))) => {
                self.forget_password(accounts, account, &password.id).await;
                self.failed(refused.status, &refused.message)
            }
            Err(response) => {
                self.forget_password(accounts, account, &password.id).await;
                response
            }
        }
    }

    /// A page that says what went wrong.
    pub(super) fn failed(&self, status: StatusCode, message: &str) -> SignInResponse {
        self.message(status, "The device is not logged in", message)
    }

    async fn sign_in(&self, code: &UserCode, browser: &Secret, form: PageForm) -> SignInResponse {
        if let Err(response) = self.require_pending(code).await {
            return response;
        }
        let username = form.username;
        if username.is_empty() {
            let alert = "Enter your user name.";
            return self.sign_in_page(StatusCode::BAD_REQUEST, code, browser, "", alert);
        }
        let proof = Proof::Password(Credentials {
            account: username.clone(),
            password: form.password,
        });
        match self.signed_in(code, &proof).await {
            // A GET follows, so that a reload sends no password again.
            Ok((browser, Ok(login))) => {
                let to = format!("{}?user_code={code}", self.address);
                let response = html::redirect(&to);
                let mut response =
                    response.unwrap_or_else(|| self.confirm_page(code, &login, &browser));
                self.set_cookie(&mut response, &browser);
                response
            }
            Ok((_, Err(refused))) => {
                let mut response =
                    self.sign_in_page(refused.status, code, browser, &username, &refused.message);
                if let Some(seconds) = refused.retry_after {
                    let headers = response.headers_mut();
                    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
                }
                response
            }
            Err(response) => response,
        }
    }

    /// Signs the person in, under a new secret of the browser.
    async fn signed_in(
        &self,
        code: &UserCode,
        proof: &Proof,
    ) -> Result<(Secret, Result<PendingDeviceLogin, SignInRefused>), SignInResponse> {
        let error = |error: DeviceLoginError| self.error(&error);
        let browser = self.logins.browser_secret().map_err(error)?;
        let user_agent = self.headers.get(USER_AGENT).map(HeaderValue::as_bytes);
        let user_agent = String::from_utf8_lossy(user_agent.unwrap_or_default());
        let signed_in = self
            .logins
            .sign_in(code, &browser, proof, self.context, &user_agent)
            .await
            .map_err(error)?;
        let refused = |status, message: &str| SignInRefused {
            status,
            message: message.to_owned(),
            retry_after: None,
        };
        let later = |wait, what: &str| {
            let seconds = seconds_rounded_up(wait);
            SignInRefused {
                status: StatusCode::TOO_MANY_REQUESTS,
                message: format!("{what} Try again in {seconds} seconds."),
                retry_after: Some(seconds),
            }
        };
        Ok((
            browser,
            match signed_in {
                DeviceSignIn::SignedIn(login) => Ok(login),
                DeviceSignIn::Rejected => Err(refused(
                    StatusCode::FORBIDDEN,
                    "The user name or the password is wrong.",
                )),
                DeviceSignIn::NoSession => Err(refused(
                    StatusCode::FORBIDDEN,
                    "This account cannot stay logged in on a device.",
                )),
                DeviceSignIn::Over => Err(refused(StatusCode::GONE, OVER)),
                DeviceSignIn::TooManyFailures(wait) => {
                    Err(later(wait, "There were too many failed logins."))
                }
                DeviceSignIn::Busy(wait) => Err(later(wait, "Too many people are signing in.")),
            },
        ))
    }

    async fn decide(
        &self,
        code: &UserCode,
        browser: &Secret,
        decision: DeviceDecision,
    ) -> SignInResponse {
        let decided = self.logins.decide(code, browser, decision, self.context);
        let decided = match decided.await {
            Ok(Some(decided)) => decided,
            Ok(None) => return self.failed(StatusCode::GONE, OVER),
            Err(error) => return self.error(&error),
        };
        self.context.set_account(&decided.account);
        let mut response = match decision {
            DeviceDecision::Approve => self.message(
                StatusCode::OK,
                "The device is logged in",
                "You can close this page, and go on at the device.",
            ),
            DeviceDecision::Deny => {
                let pages = self.settings.pages.iter();
                for page in pages.filter(|page| page.accounts.section() == decided.backend) {
                    self.forget_unused(page, &decided.account, &decided).await;
                }
                self.message(
                    StatusCode::OK,
                    "You denied the login",
                    "The device gets nothing. You can close this page.",
                )
            }
        };
        self.set_cookie(&mut response, &Secret::from(""));
        response
    }

    /// Revokes the password that a sign-in by a provider made for a login that was denied.
    async fn forget_unused(
        &self,
        page: &SignInPage,
        account: &str,
        decided: &auth::device::DecidedDeviceLogin,
    ) {
        let Ok(Some(stored)) = page.accounts.find(account).await else {
            return;
        };
        let mut passwords = stored.passwords().into_iter();
        let unused = passwords.find(|password| {
            password.name.starts_with(PASSWORD_NAME)
                && Some(password.fingerprint()) == decided.credential
        });
        if let Some(password) = unused {
            self.forget_password(&page.accounts, account, &password.id)
                .await;
        }
    }

    /// Revokes a password that no one has seen. If that fails, it stays in the person's list.
    async fn forget_password(&self, accounts: &SignInAccounts, account: &str, id: &str) {
        if let Err(error) = accounts.revoke_password(account, id).await {
            let request_id = &self.context.request_id;
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                account,
                request_id,
                error,
                "an unused password was not revoked"
            );
        }
    }

    /// Refuses a code of no login that waits. Wrong codes are counted.
    async fn require_pending(&self, code: &UserCode) -> Result<(), SignInResponse> {
        let address = SourceAddress::from(self.context);
        match self.logins.find(code, address).await {
            Ok(FoundDeviceLogin::Pending(_)) => Ok(()),
            Ok(FoundDeviceLogin::Unknown) => {
                Err(self.code_page(StatusCode::NOT_FOUND, &code.to_string(), OVER))
            }
            Ok(FoundDeviceLogin::TooManyWrongCodes(wait)) => {
                let seconds = seconds_rounded_up(wait);
                let alert =
                    format!("There were too many wrong codes. Try again in {seconds} seconds.");
                let mut response = self.code_page(StatusCode::TOO_MANY_REQUESTS, "", &alert);
                let headers = response.headers_mut();
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
                Err(response)
            }
            Err(error) => Err(self.error(&error)),
        }
    }
}

/// What a person is told whose code belongs to no login that waits.
const OVER: &str = "No device waits with this code. Compare it with the one on the device, which has \
                    to begin again if it waited for too long.";

/// How the names of passwords begin that a sign-in for a device made.
pub(super) const PASSWORD_NAME: &str = "device login";

/// Why a person was not signed in.
struct SignInRefused {
    status: StatusCode,
    message: String,
    retry_after: Option<u64>,
}
