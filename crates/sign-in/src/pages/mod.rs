//! The pages, at `docker_auth`'s paths.
//!
//! - `/` links each way to sign in; with one way, it leads there.
//! - `/github_auth` and its like show a link to begin. `?start` sends the browser to the provider, with
//!   a cookie that ties it to what comes back: `?code=…&state=…`. Then the page shows a new password.
//! - Forms on that page make and revoke passwords (`POST`).
//! - `/device` is where a person approves the login of a device (RFC 8628), also without a way to sign
//!   in by a provider.

mod device;
mod device_html;
mod device_response;
mod form;
mod html;
mod routes;
mod session;
mod sign_in;

use std::sync::Arc;

use auth::device::DeviceLogins;
use event::Observers;
use http::HeaderValue;

pub use self::html::SignInResponse;
pub use self::session::PageKey;

use crate::SignInAccounts;

/// One way to sign in.
pub struct SignInPage {
    /// The accounts. Their section is the page's path.
    pub accounts: SignInAccounts,
    /// What people call the provider.
    pub title: String,
    /// The registry in the commands; the host of the page if it is absent.
    pub registry: Option<String>,
}

/// What a [`SignInServer`] is made of.
pub struct SignInServerSettings {
    /// The ways to sign in. Without one, only device logins have a page.
    pub pages: Vec<SignInPage>,
    /// The device logins that people approve, if they are on.
    pub device_logins: Option<Arc<DeviceLogins>>,
    /// What stands before every path.
    pub path_prefix: String,
    /// The value of `Strict-Transport-Security`.
    pub hsts: Option<HeaderValue>,
    /// The key of the browsers' sessions.
    pub key: PageKey,
    /// What is told of each sign-in. The page of device logins tells its own.
    pub observers: Observers,
}

/// Serves the pages. [`respond`](Self::respond) is in `routes.rs`.
pub struct SignInServer {
    settings: SignInServerSettings,
}

impl SignInServer {
    /// A server of these pages.
    #[must_use]
    pub fn new(settings: SignInServerSettings) -> Self {
        Self { settings }
    }

    /// The paths that this server has, with the prefix: the index if there is a way to sign in, the
    /// page of each way, and that of device logins.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        let prefix = &self.settings.path_prefix;
        let pages = self.settings.pages.iter();
        let pages = pages.map(|page| format!("{prefix}/{}", page.accounts.section()));
        let index = (!self.settings.pages.is_empty()).then(|| format!("{prefix}/"));
        let device = self.settings.device_logins.as_ref();
        let device = device.map(|_| format!("{prefix}{}", auth::device::PAGE));
        index.into_iter().chain(pages).chain(device).collect()
    }
}
