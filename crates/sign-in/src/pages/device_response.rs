//! What the page of device logins responds, and the cookie that it keeps in the browser.

use auth::device::{DeviceLoginError, PendingDeviceLogin, UserCode};
use common::{Secret, escape_line};
use http::header::SET_COOKIE;
use http::{HeaderValue, StatusCode};

use super::SignInPage;
use super::device::DevicePage;
use super::device_html::{
    DeviceCodePage, DeviceConfirmPage, DeviceMessagePage, DeviceSignInPage, facts,
};
use super::form::cookie;
use super::html::{self, STYLE, SignInLink, SignInResponse};

/// How long a browser keeps its secret, in seconds: as long as any code may live.
const COOKIE_LIFE: u64 = 3600;

impl<'a> DevicePage<'a> {
    pub(super) fn code_page(&self, status: StatusCode, code: &str, alert: &str) -> SignInResponse {
        let (browser, is_new) = match self.browser() {
            Some(browser) => (browser, false),
            None => match self.logins.browser_secret() {
                Ok(browser) => (browser, true),
                Err(error) => return self.error(&error),
            },
        };
        let page = DeviceCodePage {
            style: STYLE,
            address: &self.address,
            form_token: &self.settings.key.device_form_token(&browser),
            code,
            alert,
        };
        let mut response = html::page(status, &page);
        if is_new {
            self.set_cookie(&mut response, &browser);
        }
        response
    }

    pub(super) fn sign_in_page(
        &self,
        status: StatusCode,
        code: &UserCode,
        browser: &Secret,
        username: &str,
        alert: &str,
    ) -> SignInResponse {
        let way = |page: &'a SignInPage| {
            let section = page.accounts.section();
            let path = format!("{}/{section}", self.settings.path_prefix);
            SignInLink {
                title: &page.title,
                address: format!(
                    "{}?start=1&device={}",
                    self.context.origin.path(&path),
                    code.letters()
                ),
            }
        };
        let page = DeviceSignInPage {
            style: STYLE,
            address: &self.address,
            form_token: &self.settings.key.device_form_token(browser),
            code: &code.to_string(),
            username,
            alert,
            ways: self.settings.pages.iter().map(way).collect(),
        };
        html::page(status, &page)
    }

    pub(super) fn confirm_page(
        &self,
        code: &UserCode,
        login: &PendingDeviceLogin,
        browser: &Secret,
    ) -> SignInResponse {
        let account = login.account.as_deref().unwrap_or_default();
        let page = DeviceConfirmPage {
            style: STYLE,
            address: &self.address,
            form_token: &self.settings.key.device_form_token(browser),
            code: &code.to_string(),
            account: &escape_line(account),
            service: &escape_line(&login.device.service),
            facts: facts(login),
        };
        html::page(StatusCode::OK, &page)
    }

    pub(super) fn message(&self, status: StatusCode, title: &str, message: &str) -> SignInResponse {
        let page = DeviceMessagePage {
            style: STYLE,
            address: &self.address,
            title,
            message,
            is_error: !status.is_success(),
        };
        html::page(status, &page)
    }

    /// What a person is told of an error. The log has the cause.
    pub(super) fn error(&self, error: &DeviceLoginError) -> SignInResponse {
        let request_id = &self.context.request_id;
        let cause = error as &dyn std::error::Error;
        tracing::error!(
            request_id,
            error = cause,
            "the page of device logins failed"
        );
        let message = format!(
            "This server failed. Try again later. Its operator finds the cause in its log under the \
             request {request_id}."
        );
        self.failed(StatusCode::SERVICE_UNAVAILABLE, &message)
    }

    /// The secret of the browser, if it has one.
    pub(super) fn browser(&self) -> Option<Secret> {
        let value = cookie(self.headers, self.cookie_name())?;
        (!value.is_empty()).then(|| Secret::from(value))
    }

    /// The prefix binds the cookie to this host and to https (RFC 6265bis §4.1.3.2). On plain http a
    /// browser would not keep such a cookie.
    fn cookie_name(&self) -> &'static str {
        match self.is_https() {
            true => "__Host-device",
            false => "device",
        }
    }

    fn is_https(&self) -> bool {
        self.context.origin.scheme == "https"
    }

    /// Sets the browser's secret; an empty one removes the cookie.
    pub(super) fn set_cookie(&self, response: &mut SignInResponse, secret: &Secret) {
        let life = if secret.is_empty() { 0 } else { COOKIE_LIFE };
        let secure = if self.is_https() { " Secure;" } else { "" };
        let text = format!(
            "{}={}; Path=/;{secure} HttpOnly; SameSite=Strict; Max-Age={life}",
            self.cookie_name(),
            secret.expose()
        );
        // Names and values are of base64's letters.
        if let Ok(value) = HeaderValue::from_str(&text) {
            response.headers_mut().append(SET_COOKIE, value);
        }
    }
}
