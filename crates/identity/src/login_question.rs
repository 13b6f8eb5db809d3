//! What a server or a program of ours is asked about a login, and what it may answer.
//!
//! `http_auth` and `ext_auth` with `mode: lines` use the same words, in JSON:
//!
//! - A login is `{"account": "ann", "password": "…", "address": "192.0.2.7"}`. There is no `address`
//!   if it is not known, or shared by many clients.
//! - A recheck is `{"account": "ann", "recheck": true}`: a session of this account asks for a token.
//!   It is asked only if the configuration says so.
//! - Who accepts may add `labels`, `account` and `credential`: [`AcceptedAnswer`].

use std::collections::BTreeMap;
use std::net::IpAddr;

use policy::Subject;
use serde::{Deserialize, Serialize};

use crate::verifier::PasswordVerifier;
use crate::{
    AuthenticationError, AuthenticationOutcome, BackendError, CredentialFingerprint, Credentials,
    CurrentCredentials, Identity, LoginSource, Proof, Recheck, is_unambiguous_name,
};

/// What is asked.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum LoginQuestion<'a> {
    /// A login.
    Login {
        account: &'a str,
        password: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        address: Option<IpAddr>,
    },
    /// Whether an account that logged in earlier is still there.
    Recheck { account: &'a str, recheck: bool },
}

/// What a server or a program says of an account.
pub(crate) enum LoginAnswer {
    Accepted(AcceptedAnswer),
    Rejected,
    NoMatch,
}

/// What an accepting answer may hold. Other members are ignored.
#[derive(Default, Deserialize)]
pub(crate) struct AcceptedAnswer {
    /// The account as it is spelt there, if the client may have typed it otherwise.
    account: Option<String>,
    labels: Option<BTreeMap<String, Vec<String>>>,
    /// Any text that changes when the account's password changes. Sessions end with it.
    credential: Option<String>,
}

/// The account in an answer cannot be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("its answer has an `account` that is empty, or has a control character")]
pub(crate) struct WrongAccount;

impl<'a> LoginQuestion<'a> {
    /// The question about `proof`; `None` if it has no name and password. An anonymous client is not
    /// asked about: `users` says whether it is let in.
    pub(crate) fn about(proof: &'a Proof, source: &LoginSource) -> Option<Self> {
        let Credentials { account, password } = proof.password()?;
        let address = source.address.of_client();
        (!account.is_empty()).then_some(Self::Login {
            account,
            password: password.expose(),
            address,
        })
    }

    /// The question about `account`, whose session asks for a token.
    pub(crate) fn recheck(account: &'a str) -> Self {
        Self::Recheck {
            account,
            recheck: true,
        }
    }

    /// A question that nothing must accept: an empty name and an empty password.
    pub(crate) fn probe() -> Self {
        Self::Login {
            account: "",
            password: "",
            address: None,
        }
    }

    /// What must be in no log.
    pub(crate) fn secret(&self) -> &'a str {
        match self {
            Self::Login { password, .. } => password,
            Self::Recheck { .. } => "",
        }
    }
}

impl LoginAnswer {
    /// The outcome for the backend of `section`. What is rejected, `verifier` makes as slow as every
    /// rejection.
    pub(crate) async fn outcome(
        self,
        section: &'static str,
        proof: &Proof,
        source: &LoginSource,
        verifier: &PasswordVerifier,
    ) -> Result<AuthenticationOutcome, AuthenticationError> {
        Ok(match self {
            Self::Accepted(accepted) => {
                let identity = accepted.identity(proof.account());
                AuthenticationOutcome::Accepted(
                    identity.map_err(|error| BackendError::broken(section, error))?,
                )
            }
            Self::Rejected => {
                AuthenticationOutcome::Rejected(verifier.reject(proof, source).await?)
            }
            Self::NoMatch => AuthenticationOutcome::NoMatch,
        })
    }

    /// What is known today of `account`, whose session is checked. An account that is rejected now
    /// is gone.
    pub(crate) fn recheck(self, account: &str) -> Recheck {
        match self {
            Self::Accepted(accepted) => accepted.recheck(account),
            Self::Rejected | Self::NoMatch => Recheck::NoMatch,
        }
    }
}

impl AcceptedAnswer {
    /// The identity that a login as `account` proved.
    fn identity(self, account: &str) -> Result<Identity, WrongAccount> {
        let account = match self.account {
            Some(spelt) if spelt.is_empty() || !is_unambiguous_name(&spelt) => {
                return Err(WrongAccount);
            }
            Some(spelt) => spelt,
            None => account.to_owned(),
        };
        let labels = self.labels.unwrap_or_default();
        let identity = Identity::new(Subject { account, labels });
        Ok(match self.credential {
            Some(credential) => identity.with_credential(CredentialFingerprint::of(&credential)),
            None => identity,
        })
    }

    fn recheck(self, account: &str) -> Recheck {
        let subject = Subject {
            account: account.to_owned(),
            labels: self.labels.unwrap_or_default(),
        };
        let credentials = match self.credential {
            Some(credential) => {
                CurrentCredentials::Known(vec![CredentialFingerprint::of(&credential)])
            }
            None => CurrentCredentials::Unknown,
        };
        Recheck::Present {
            subject,
            credentials,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(json: &str) -> AcceptedAnswer {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_question_has_an_address_only_if_it_is_the_client_s() {
        let proof = Proof::from(Credentials {
            account: "ann".into(),
            password: "p\"\n".into(),
        });
        let asked = |source: LoginSource| {
            serde_json::to_string(&LoginQuestion::about(&proof, &source).unwrap()).unwrap()
        };
        assert_eq!(
            asked(LoginSource::new("2001:db8::1:2".parse().ok(), "ann")),
            r#"{"account":"ann","password":"p\"\n","address":"2001:db8::1:2"}"#
        );
        let shared = crate::SourceAddress::shared("192.0.2.1".parse().ok());
        assert_eq!(
            asked(LoginSource::new(shared, "ann")),
            r#"{"account":"ann","password":"p\"\n"}"#
        );
    }

    #[test]
    fn nothing_is_asked_about_an_anonymous_client_or_another_kind_of_proof() {
        let source = LoginSource::new(None, "");
        for proof in [
            Proof::from(Credentials::anonymous()),
            Proof::from(Credentials {
                account: String::new(),
                password: "p".into(),
            }),
            Proof::BearerToken("p".into()),
            Proof::FederatedToken("p".into()),
        ] {
            assert!(LoginQuestion::about(&proof, &source).is_none());
        }
    }

    #[test]
    fn an_answer_may_spell_the_account_and_name_the_credential() {
        let identity = answer("{}").identity("ann").unwrap();
        assert_eq!(identity.subject.account, "ann");
        assert_eq!(identity.credential, None);
        let full = r#"{"account":"Ann","labels":{"team":["red"]},"credential":"7","more":[1]}"#;
        let identity = answer(full).identity("ann").unwrap();
        assert_eq!(identity.subject.account, "Ann");
        assert_eq!(identity.subject.labels["team"], ["red"]);
        assert_eq!(identity.credential, Some(CredentialFingerprint::of("7")));
        for wrong in [r#"{"account":""}"#, r#"{"account":"a\nb"}"#] {
            assert_eq!(answer(wrong).identity("ann"), Err(WrongAccount));
        }
        let null = r#"{"account":null,"labels":null,"credential":null}"#;
        assert!(answer(null).identity("ann").is_ok());
    }

    #[test]
    fn an_answer_of_another_form_is_an_error() {
        for json in [
            r#"{"labels":{"team":"red"}}"#,
            r#"{"labels":["red"]}"#,
            r#"{"labels":{"team":[1]}}"#,
            r#"{"labels":{},"labels":{}}"#,
            r#"{"account":7}"#,
            r#"{"credential":7}"#,
            "[]x",
            "",
        ] {
            assert!(
                serde_json::from_str::<AcceptedAnswer>(json).is_err(),
                "{json}"
            );
        }
    }
}
