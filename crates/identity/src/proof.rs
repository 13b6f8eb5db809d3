//! What a client presents to prove its account.

use common::Secret;

/// A name and a password, as a client sent them. Both are empty when it sent none.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The account that the client claims; the empty name is the anonymous account.
    pub account: String,
    /// The password.
    pub password: Secret,
}

impl Credentials {
    /// What a request without credentials presents.
    #[must_use]
    pub fn anonymous() -> Self {
        Self {
            account: String::new(),
            password: Secret::from(""),
        }
    }

    /// Whether neither a name nor a password was sent.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.account.is_empty() && self.password.is_empty()
    }
}

/// What a client presents to log in.
///
/// A backend that cannot handle a kind of proof answers
/// [`NoMatch`](crate::AuthenticationOutcome::NoMatch). What this server issued itself and redeems
/// without a backend (refresh tokens, device codes) is a grant of the token endpoint and no proof.
#[derive(Clone, Debug)]
pub enum Proof {
    /// An account's name and password.
    Password(Credentials),
    /// An opaque token that names no account: a robot's secret, a personal access token.
    BearerToken(Secret),
    /// A token that another issuer signed, for workload identity (RFC 7523, RFC 8693).
    FederatedToken(Secret),
}

impl Proof {
    /// The account that the client claims; empty when the proof names none.
    #[must_use]
    pub fn account(&self) -> &str {
        match self {
            Self::Password(credentials) => &credentials.account,
            Self::BearerToken(_) | Self::FederatedToken(_) => "",
        }
    }

    /// The part that must stay secret.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        match self {
            Self::Password(credentials) => &credentials.password,
            Self::BearerToken(token) | Self::FederatedToken(token) => token,
        }
    }

    /// Whether the client presented nothing at all.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        matches!(self, Self::Password(credentials) if credentials.is_anonymous())
    }

    /// The name and password, if that is the kind of proof.
    #[must_use]
    pub fn password(&self) -> Option<&Credentials> {
        match self {
            Self::Password(credentials) => Some(credentials),
            Self::BearerToken(_) | Self::FederatedToken(_) => None,
        }
    }

    /// Tells the kinds apart where proofs are hashed.
    pub(crate) fn kind(&self) -> &'static [u8] {
        match self {
            Self::Password(_) => b"password",
            Self::BearerToken(_) => b"bearer",
            Self::FederatedToken(_) => b"federated",
        }
    }
}

/// The longest name that a directory or a database is asked for, in bytes.
const MAX_LOOKUP_NAME: usize = 1024;

/// Whether a directory or a database may be asked for `name`. Some take a NUL for its end.
#[must_use]
pub fn can_be_looked_up(name: &str) -> bool {
    name.len() <= MAX_LOOKUP_NAME && !name.contains('\0')
}

impl From<Credentials> for Proof {
    fn from(credentials: Credentials) -> Self {
        Self::Password(credentials)
    }
}

/// Whether no log, terminal or program could read `account` as another name: it holds no control
/// character. A tab is allowed, as in `docker_auth`.
///
/// ```
/// assert!(identity::is_unambiguous_name("ann") && identity::is_unambiguous_name("a\tb"));
/// assert!(!identity::is_unambiguous_name("ann\n") && !identity::is_unambiguous_name("ann\0"));
/// ```
#[must_use]
pub fn is_unambiguous_name(account: &str) -> bool {
    !account.contains(|c: char| c.is_control() && c != '\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_no_database_has_is_not_looked_up() {
        assert!(can_be_looked_up("") && can_be_looked_up(&"n".repeat(1024)));
        assert!(!can_be_looked_up(&"n".repeat(1025)) && !can_be_looked_up("a\0"));
    }

    #[test]
    fn anonymous_means_neither_name_nor_secret() {
        assert!(Proof::from(Credentials::anonymous()).is_anonymous());
        for (account, password) in [("a", ""), ("", "p"), ("a", "p")] {
            let credentials = Credentials {
                account: account.into(),
                password: password.into(),
            };
            assert!(!credentials.is_anonymous() && !Proof::from(credentials).is_anonymous());
        }
        assert!(!Proof::BearerToken("".into()).is_anonymous());
    }

    #[test]
    fn a_proof_prints_no_secret() {
        let credentials = Credentials {
            account: "ann".into(),
            password: "hunter2".into(),
        };
        assert_eq!(
            format!("{credentials:?}"),
            r#"Credentials { account: "ann", password: Secret(…) }"#
        );
        assert_eq!(
            format!("{:?}", Proof::BearerToken("hunter2".into())),
            "BearerToken(Secret(…))"
        );
    }
}
