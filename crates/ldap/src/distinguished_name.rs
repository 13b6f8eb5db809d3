//! Distinguished names (RFC 4514): a template for the name of a bind, and the common name in one.

use std::fmt;

use ldap3::dn_escape;

const ACCOUNT: &str = "${account}";

/// Characters that separate the parts of a user principal name, a down-level logon name or a
/// distinguished name.
const SEPARATORS: &[char] = &['@', '\\', '/', ':', ',', '+', '=', '"', ';', '<', '>'];

/// The name that an account binds with when there is no reader: a distinguished name such as
/// `uid=${account},ou=people,dc=example,dc=com`, or a name that Active Directory takes
/// (`${account}@example.com`, `EXAMPLE\${account}`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindNameTemplate(String);

/// Why a text is not a name for binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must contain ${{account}}, or every account binds with the same name")]
pub struct BindNameError;

impl BindNameTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// When there is no `${account}` in it.
    pub fn parse(text: &str) -> Result<Self, BindNameError> {
        if text.contains(ACCOUNT) {
            Ok(Self(text.to_owned()))
        } else {
            Err(BindNameError)
        }
    }

    /// The name for an account. In a distinguished name the account is escaped (RFC 4514 §2.4), so
    /// it stays one value. Other names have no escapes: `None` if the account could be read as more
    /// than a part of one.
    pub(crate) fn expand(&self, account: &str) -> Option<String> {
        if self.0.contains('=') {
            return Some(self.0.replace(ACCOUNT, &dn_escape(account)));
        }
        let is_one_part = !account.contains(SEPARATORS) && account.trim() == account;
        is_one_part.then(|| self.0.replace(ACCOUNT, account))
    }
}

/// As it is written in the configuration.
impl fmt::Display for BindNameTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is not a distinguished name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotDistinguished;

/// The first value of the type CN in a distinguished name, read from its left. `None` if there is
/// none.
pub(crate) fn common_name(name: &str) -> Result<Option<String>, NotDistinguished> {
    let mut found = None;
    for part in parts(name) {
        let (kind, value) = part.split_once('=').ok_or(NotDistinguished)?;
        let kind = kind.trim();
        if kind.is_empty() {
            return Err(NotDistinguished);
        }
        let value = unescape(value)?;
        if found.is_none() && kind.eq_ignore_ascii_case("cn") {
            found = Some(value);
        }
    }
    Ok(found)
}

/// The attributes and values of a name, split at the separators that are not escaped. RFC 2253
/// allowed `;`, too.
fn parts(name: &str) -> Vec<&str> {
    let (mut parts, mut start, mut is_escaped) = (Vec::new(), 0, false);
    for (index, c) in name.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            ',' | '+' | ';' => {
                parts.push(&name[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&name[start..]);
    parts
}

/// A value without its escapes and the blanks around it (RFC 4514 §3).
fn unescape(value: &str) -> Result<String, NotDistinguished> {
    let mut bytes = Vec::new();
    // The length up to the last byte that is not a blank around the value.
    let mut length = 0;
    let mut rest = value.trim_start_matches(' ').bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            if byte != b' ' {
                length = bytes.len();
            }
            continue;
        }
        let first = rest.next().ok_or(NotDistinguished)?;
        match hex(first) {
            Some(high) => {
                let low = rest.next().and_then(hex).ok_or(NotDistinguished)?;
                bytes.push(high << 4 | low);
            }
            None => bytes.push(first),
        }
        length = bytes.len();
    }
    bytes.truncate(length);
    String::from_utf8(bytes).map_err(|_| NotDistinguished)
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_common_name_is_found() {
        for (name, expected) in [
            ("cn=admins,ou=groups,dc=example,dc=com", Some("admins")),
            ("CN = Domain Users ,DC=corp", Some("Domain Users")),
            ("uid=ann,cn=users,dc=ipa", Some("users")),
            ("uid=ann+CN=Ann Other,dc=x", Some("Ann Other")),
            ("ou=people,dc=example", None),
            (r"cn=Smith\, Ann,dc=x", Some("Smith, Ann")),
            (r"cn=a\2Cb\C3\A9\20,dc=x", Some("a,bé ")),
            (r"cn=\ a\\b\+\=\23\ ,dc=x", Some(r" a\b+=# ")),
            ("cn=é;dc=x", Some("é")),
            ("cn=,dc=x", Some("")),
        ] {
            assert_eq!(common_name(name), Ok(expected.map(str::to_owned)), "{name}");
        }
        for name in ["", "admins", "cn=a,", "=a", r"cn=a\", r"cn=\4", r"cn=\ff"] {
            assert_eq!(common_name(name), Err(NotDistinguished), "{name}");
        }
    }

    #[test]
    fn an_account_stays_one_value_of_a_name() {
        let template = BindNameTemplate::parse("uid=${account},ou=people,dc=x").unwrap();
        for (account, expected) in [
            ("ann", "uid=ann,ou=people,dc=x"),
            ("x,ou=admins", r"uid=x\2cou\3dadmins,ou=people,dc=x"),
            ("a+b", r"uid=a\2bb,ou=people,dc=x"),
            (" a#", r"uid=\20a#,ou=people,dc=x"),
            ("#a ", r"uid=\23a\20,ou=people,dc=x"),
            (r#"\"<>;"#, r"uid=\5c\22\3c\3e\3b,ou=people,dc=x"),
            ("é", "uid=é,ou=people,dc=x"),
            ("${account}", "uid=${account},ou=people,dc=x"),
        ] {
            assert_eq!(template.expand(account).as_deref(), Some(expected));
        }
    }

    #[test]
    fn a_name_without_escapes_takes_simple_accounts_only() {
        for (text, expected) in [
            ("${account}@example.com", "ann@example.com"),
            (r"EXAMPLE\${account}", r"EXAMPLE\ann"),
        ] {
            let template = BindNameTemplate::parse(text).unwrap();
            assert_eq!(template.expand("ann").as_deref(), Some(expected));
            for account in ["ann@other.com", r"OTHER\ann", "a=b", " ann", "a,b"] {
                assert_eq!(template.expand(account), None, "{account}");
            }
        }
        assert_eq!(BindNameTemplate::parse("cn=reader"), Err(BindNameError));
    }
}
