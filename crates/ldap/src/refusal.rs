//! Why a directory refused the password of an account, in words for the log.

use std::fmt;

use common::escape_line;
use ldap3::LdapResult;
use ldap3::controls::RawControl;

/// The control by which a server says what its password policy has against a bind
/// (draft-behera-ldap-password-policy §6.1).
const PASSWORD_POLICY: &str = "1.3.6.1.4.1.42.2.27.8.5.1";

/// How much of a server's text is logged, in characters.
const MOST_TEXT: usize = 200;

/// A bind that the directory refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BindRefusal {
    code: u32,
    text: String,
    reason: Option<&'static str>,
}

/// The request for that control. A server that does not know it ignores it.
pub(crate) fn password_policy_request() -> RawControl {
    RawControl {
        ctype: PASSWORD_POLICY.to_owned(),
        crit: false,
        val: None,
    }
}

/// Whether a bind with this result code was refused because of its name or password.
pub(crate) fn is_refusal(code: u32) -> bool {
    // constraintViolation, inappropriateAuthentication, invalidCredentials,
    // insufficientAccessRights, unwillingToPerform (RFC 4511 §4.1.9).
    matches!(code, 19 | 48 | 49 | 50 | 53)
}

impl BindRefusal {
    /// The refusal that `result` is. `None` if it says nothing of the account or its password, but
    /// that the server cannot decide.
    pub(crate) fn of(result: &LdapResult) -> Option<Self> {
        if !is_refusal(result.rc) {
            return None;
        }
        let mut controls = result.ctrls.iter().map(|control| &control.1);
        let policy = controls.find(|control| control.ctype == PASSWORD_POLICY);
        let policy = policy.and_then(|control| policy_error(control.val.as_deref()?));
        let reason = policy.and_then(policy_reason);
        Some(Self {
            code: result.rc,
            reason: reason.or_else(|| active_directory_reason(&result.text)),
            text: result.text.chars().take(MOST_TEXT).collect(),
        })
    }

    /// Writes a line to the log. A wrong password matters for debugging only, because the server
    /// logs every rejected login.
    pub(crate) fn log(&self, account: &str) {
        let account = escape_line(account);
        if self.is_wrong_password() {
            tracing::debug!(%account, "ldap_auth: {self}");
        } else {
            tracing::info!(%account, "ldap_auth: {self}");
        }
    }

    /// Whether nothing is known but that the password is wrong.
    fn is_wrong_password(&self) -> bool {
        self.code == 49 && self.reason.is_none()
    }
}

/// `the account is locked (code 49, "… data 775, v4563")`
impl fmt::Display for BindRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = self.reason.unwrap_or(match self.code {
            19 => "the account breaks a rule of the directory, such as a lock",
            48 => "the account has no password, or may not log in with one",
            49 => "the password is wrong",
            50 => "the account may not log in",
            _ => "the directory is unwilling to log the account in",
        });
        write!(f, "{reason} (code {}, {:?})", self.code, self.text)
    }
}

/// The error in a response of the password policy: `SEQUENCE { warning [0] …, error [1] ENUMERATED }`,
/// both optional.
fn policy_error(value: &[u8]) -> Option<u8> {
    let [0x30, length, rest @ ..] = value else {
        return None;
    };
    let mut rest = rest.get(..usize::from(*length))?;
    while let [tag, length, after @ ..] = rest {
        let content = after.get(..usize::from(*length))?;
        if let (0x81, [error]) = (*tag, content) {
            return Some(*error);
        }
        rest = &after[content.len()..];
    }
    None
}

fn policy_reason(error: u8) -> Option<&'static str> {
    Some(match error {
        0 => "the password has expired",
        1 => "the account is locked",
        2 => "the password must be changed first",
        _ => return None,
    })
}

/// The reason that Active Directory writes into its text as `data HEX`. `52e` stands for a wrong
/// password and `525` for an unknown account.
fn active_directory_reason(text: &str) -> Option<&'static str> {
    let (_, rest) = text.split_once("data ")?;
    let end = rest.find(|c: char| !c.is_ascii_hexdigit());
    Some(match &rest[..end.unwrap_or(rest.len())] {
        "530" => "the account may not log in at this time",
        "531" => "the account may not log in from this machine",
        "532" => "the password has expired",
        "533" => "the account is disabled",
        "568" => "the account is in too many groups",
        "701" => "the account has expired",
        "773" => "the password must be changed first",
        "775" => "the account is locked",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use ldap3::controls::Control;

    use super::*;

    fn result(rc: u32, text: &str, policy: Option<&[u8]>) -> LdapResult {
        let control = policy.map(|value| {
            let control = RawControl {
                val: Some(value.to_vec()),
                ..password_policy_request()
            };
            Control(None, control)
        });
        LdapResult {
            rc,
            matched: String::new(),
            text: text.to_owned(),
            refs: Vec::new(),
            ctrls: control.into_iter().collect(),
        }
    }

    /// The text as Active Directory sends it.
    fn active_directory(data: &str) -> String {
        format!(
            "80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data {data}, v2580\0"
        )
    }

    #[test]
    fn reasons_are_told() {
        for (code, text, policy, expected) in [
            (
                49,
                String::new(),
                None,
                r#"the password is wrong (code 49, "")"#,
            ),
            (
                19,
                String::new(),
                None,
                "the account breaks a rule of the directory",
            ),
            (48, String::new(), None, "the account has no password"),
            (
                50,
                String::new(),
                None,
                "the account may not log in (code 50",
            ),
            (
                53,
                "x\ny".to_owned(),
                None,
                r#"unwilling to log the account in (code 53, "x\ny")"#,
            ),
            (
                49,
                active_directory("775"),
                None,
                "the account is locked (code 49, \"80090308: ",
            ),
            (49, active_directory("533"), None, "the account is disabled"),
            (49, active_directory("52e"), None, "the password is wrong"),
            (
                49,
                String::new(),
                Some(&b"\x30\x03\x81\x01\x01"[..]),
                "the account is locked",
            ),
            (
                49,
                String::new(),
                Some(&b"\x30\x08\xa0\x03\x80\x01\x05\x81\x01\x00"[..]),
                "the password has expired",
            ),
            (
                49,
                String::new(),
                Some(&b"\x30\x00"[..]),
                "the password is wrong",
            ),
            (
                49,
                String::new(),
                Some(&b"\x30\x7f\x81"[..]),
                "the password is wrong",
            ),
        ] {
            let refusal = BindRefusal::of(&result(code, &text, policy)).unwrap();
            assert!(refusal.to_string().contains(expected), "{refusal}");
            let is_wrong = expected.starts_with("the password is wrong");
            assert_eq!(refusal.is_wrong_password(), is_wrong, "{refusal}");
        }
        for code in [0, 1, 2, 3, 8, 10, 32, 34, 51, 52, 80] {
            assert_eq!(BindRefusal::of(&result(code, "", None)), None);
        }
        let long = BindRefusal::of(&result(49, &"x".repeat(10_000), None)).unwrap();
        assert!(long.to_string().len() < 300);
    }
}
