//! The pages of device logins as HTML.

use std::time::Duration;

use askama::Template;
use auth::device::PendingDeviceLogin;
use common::escape_line;

use super::html::SignInLink;

/// The page on which a person enters a code.
#[derive(Template)]
#[template(path = "device_code.html")]
pub(super) struct DeviceCodePage<'a> {
    pub(super) style: &'a str,
    pub(super) address: &'a str,
    pub(super) form_token: &'a str,
    /// The code that the address has; empty if it has none.
    pub(super) code: &'a str,
    /// What went wrong; empty at first.
    pub(super) alert: &'a str,
}

/// The page on which the person signs in.
#[derive(Template)]
#[template(path = "device_sign_in.html")]
pub(super) struct DeviceSignInPage<'a> {
    pub(super) style: &'a str,
    pub(super) address: &'a str,
    pub(super) form_token: &'a str,
    pub(super) code: &'a str,
    pub(super) username: &'a str,
    /// What went wrong; empty at first.
    pub(super) alert: &'a str,
    /// The providers.
    pub(super) ways: Vec<SignInLink<'a>>,
}

/// The page on which the person decides.
#[derive(Template)]
#[template(path = "device_confirm.html")]
pub(super) struct DeviceConfirmPage<'a> {
    pub(super) style: &'a str,
    pub(super) address: &'a str,
    pub(super) form_token: &'a str,
    pub(super) code: &'a str,
    pub(super) account: &'a str,
    pub(super) service: &'a str,
    pub(super) facts: Vec<DeviceFact>,
}

/// Something that is known of a device.
pub(super) struct DeviceFact {
    pub(super) name: &'static str,
    pub(super) value: String,
}

/// A page with one message.
#[derive(Template)]
#[template(path = "device_message.html")]
pub(super) struct DeviceMessagePage<'a> {
    pub(super) style: &'a str,
    pub(super) address: &'a str,
    pub(super) title: &'a str,
    pub(super) message: &'a str,
    pub(super) is_error: bool,
}

/// Which machine asks, as far as it is known. The client wrote most of it, so it is cleaned.
pub(super) fn facts(login: &PendingDeviceLogin) -> Vec<DeviceFact> {
    let device = &login.device;
    let program = match device.user_agent.as_str() {
        "" => device.client_id.clone(),
        user_agent => format!("{} ({user_agent})", device.client_id),
    };
    let facts = [
        ("Device", device.device_name.as_str()),
        ("Program", &program),
        ("Address", &device.address),
        ("Asked", &ago(login.age)),
    ];
    facts
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| DeviceFact {
            name,
            value: escape_line(value).into_owned(),
        })
        .collect()
}

fn ago(age: Duration) -> String {
    match age.as_secs() / 60 {
        0 => "less than a minute ago".to_owned(),
        1 => "a minute ago".to_owned(),
        minutes => format!("{minutes} minutes ago"),
    }
}
