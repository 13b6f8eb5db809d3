//! A robot or a personal token as it is stored and listed.

use std::time::SystemTime;

use common::{IpNetwork, unix_seconds};
use data_encoding::HEXLOWER;
use database::ObjectVersion;
use identity::{CredentialFingerprint, OpaqueToken, OpaqueTokenFault, ROBOT_PREFIX, TokenHolder};
use policy::ScopeCeiling;
use serde_json::json;

use crate::{TokenName, TokenNameError};

/// Which of the two a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A person's.
    Personal,
    /// A robot's.
    Robot,
}

/// A robot or a personal token, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonalToken {
    /// What lists and logs call it.
    pub id: String,
    /// Its name; a robot's without `robot+`.
    pub name: TokenName,
    /// Whose it is.
    pub holder: TokenHolder,
    /// The most that it may do.
    pub ceiling: ScopeCeiling,
    /// Where it may be used from; empty for everywhere.
    pub networks: Vec<IpNetwork>,
    /// When it was created.
    pub created_at: SystemTime,
    /// Who created it: a user of the server's system, or an account.
    pub created_by: String,
    /// When it was disabled, if it is.
    pub disabled_at: Option<SystemTime>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<SystemTime>,
    /// Its secrets, the latest first.
    pub secrets: Vec<TokenSecret>,
}

/// What is known of a secret. The secret itself is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSecret {
    /// The SHA-256 of its text.
    pub fingerprint: CredentialFingerprint,
    /// When it was made.
    pub created_at: SystemTime,
    /// When it is over.
    pub expires_at: SystemTime,
    /// Its last use, to the minute.
    pub last_use: Option<LastUse>,
}

/// The last use of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastUse {
    /// When.
    pub time: SystemTime,
    /// The client's address; empty if it was not known.
    pub address: String,
    /// The last repository that it was used for; empty if there was none.
    pub repository: String,
}

/// Which robots and personal tokens are meant: those that fit all of what is given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenFilter {
    /// Only robots, or only personal tokens.
    pub kind: Option<TokenKind>,
    /// The token with this id.
    pub id: Option<String>,
    /// What this person owns.
    pub owner: Option<String>,
    /// What has this name.
    pub name: Option<TokenName>,
}

/// A place in the order of lists, in which a page begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenPosition {
    /// Personal tokens come before robots.
    pub kind: TokenKind,
    /// The owner; empty for the system, whose robots are the first.
    pub owner: String,
    /// The name.
    pub name: TokenName,
}

impl TokenFilter {
    /// The robot of this name.
    #[must_use]
    pub fn robot(name: TokenName) -> Self {
        Self {
            kind: Some(TokenKind::Robot),
            name: Some(name),
            ..Self::default()
        }
    }

    /// The token that `text` names: a robot by its account (`robot+ci`), or any token by its id.
    ///
    /// # Errors
    /// When no robot can have that name.
    pub fn named_by(text: &str) -> Result<Self, TokenNameError> {
        Ok(match text.strip_prefix(ROBOT_PREFIX) {
            Some(name) => Self::robot(name.parse()?),
            None => Self {
                id: Some(text.to_owned()),
                ..Self::default()
            },
        })
    }
}

impl TokenKind {
    /// What a secret begins with.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Personal => "whp_",
            Self::Robot => "whb_",
        }
    }

    /// The word of the table and of the log.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Personal => "personal",
            Self::Robot => "robot",
        }
    }
}

impl PersonalToken {
    /// Whether it is a robot's.
    #[must_use]
    pub fn kind(&self) -> TokenKind {
        match self.holder {
            TokenHolder::Person(_) => TokenKind::Personal,
            TokenHolder::Robot { .. } => TokenKind::Robot,
        }
    }

    /// The account in whose name access tokens are made.
    #[must_use]
    pub fn account(&self) -> &str {
        self.holder.account()
    }

    /// The person that owns it; `None` if the system does.
    #[must_use]
    pub fn owner(&self) -> Option<&str> {
        match &self.holder {
            TokenHolder::Person(owner) => Some(&owner.account),
            TokenHolder::Robot { owner, .. } => owner.as_ref().map(|owner| owner.account.as_str()),
        }
    }

    /// Its place in the order of lists.
    #[must_use]
    pub fn position(&self) -> TokenPosition {
        TokenPosition {
            kind: self.kind(),
            owner: self.owner().unwrap_or_default().to_owned(),
            name: self.name.clone(),
        }
    }

    /// Its version, which every change alters: a rotation, disabling, a revocation. A use of it is no
    /// change.
    #[must_use]
    pub fn version(&self) -> ObjectVersion {
        let time = |time: Option<SystemTime>| time.map_or(0, unix_seconds);
        let state = json!({
            "ceiling": self.ceiling.entries(),
            "networks": self.networks.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "disabled_at": time(self.disabled_at),
            "revoked_at": time(self.revoked_at),
        });
        let mut parts = vec![self.id.clone(), self.log_name(), state.to_string()];
        for secret in &self.secrets {
            parts.push(HEXLOWER.encode(secret.fingerprint.as_bytes()));
            parts.push(unix_seconds(secret.expires_at).to_string());
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        ObjectVersion::of(&parts)
    }

    /// What the administration log calls it: `robot+ci`, `ann/laptop`.
    #[must_use]
    pub fn log_name(&self) -> String {
        match self.kind() {
            TokenKind::Robot => self.account().to_owned(),
            TokenKind::Personal => format!("{}/{}", self.account(), self.name),
        }
    }

    /// Why none of its secrets is accepted at `now`, if none is.
    #[must_use]
    pub fn fault(&self, now: SystemTime) -> Option<OpaqueTokenFault> {
        if self.revoked_at.is_some() {
            return Some(OpaqueTokenFault::Revoked);
        }
        if self.disabled_at.is_some() {
            return Some(OpaqueTokenFault::Disabled);
        }
        let has_ended = self.secrets.iter().all(|secret| secret.expires_at <= now);
        has_ended.then_some(OpaqueTokenFault::Expired)
    }

    /// The token as a login has it, if this secret of it is valid at `now`.
    ///
    /// # Errors
    /// Why it is not.
    pub fn opaque(
        &self,
        fingerprint: &CredentialFingerprint,
        now: SystemTime,
    ) -> Result<OpaqueToken, OpaqueTokenFault> {
        let mut secrets = self.secrets.iter();
        let secret = secrets.find(|secret| secret.fingerprint == *fingerprint);
        let secret = secret.ok_or(OpaqueTokenFault::Unknown)?;
        match self.fault(now) {
            Some(fault) => Err(fault),
            None if secret.expires_at <= now => Err(OpaqueTokenFault::Expired),
            None => Ok(OpaqueToken {
                id: self.id.clone(),
                holder: self.holder.clone(),
                fingerprint: *fingerprint,
                ceiling: self.ceiling.clone(),
                networks: self.networks.clone(),
            }),
        }
    }

    /// The token as a login with its newest secret has it.
    ///
    /// # Errors
    /// Why such a login is rejected at `now`.
    pub fn newest(&self, now: SystemTime) -> Result<OpaqueToken, OpaqueTokenFault> {
        let newest = self.secrets.first().ok_or(OpaqueTokenFault::Expired)?;
        self.opaque(&newest.fingerprint, now)
    }

    /// The last use of any of its secrets.
    #[must_use]
    pub fn last_use(&self) -> Option<&LastUse> {
        let uses = self
            .secrets
            .iter()
            .filter_map(|secret| secret.last_use.as_ref());
        uses.max_by_key(|last| last.time)
    }
}
