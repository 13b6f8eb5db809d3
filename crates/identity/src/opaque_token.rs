//! Tokens that this server issued and recognises by their form: personal tokens, robots' tokens.
//!
//! Such a token comes as a password or as a Bearer token. It stands for an account of a backend, or
//! for a robot, and opens less than the account does. The crate that stores the tokens implements
//! [`OpaqueTokens`]; the [`AuthenticatorChain`](crate::AuthenticatorChain) asks it before any backend
//! and looks up the token's owner among the backends.

use std::net::IpAddr;
use std::time::SystemTime;

use common::{BoxFuture, IpNetwork, Secret};
use policy::ScopeCeiling;

use crate::{BackendError, CredentialFingerprint};

/// How the account names of robots begin. No other account may have such a name.
pub const ROBOT_PREFIX: &str = "robot+";

/// The user name that stands for "the password is a token" (docker/cli, containers/image).
pub const TOKEN_USER: &str = "<token>";

/// The tokens of this installation.
pub trait OpaqueTokens: Send + Sync {
    /// The section in the configuration, for logs and sessions.
    fn name(&self) -> &'static str;

    /// Whether `secret` has the form of such a token, valid or not. No backend may see it then, and
    /// no open account may accept it.
    fn recognizes(&self, secret: &Secret) -> bool;

    /// Whether only a token may be this account: it is the name of a robot, or could be one's.
    fn reserves(&self, account: &str) -> bool;

    /// The token whose text is `secret`, or why it is not valid now. Its owner is not looked up, and
    /// the client's address is not checked.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn find<'a>(&'a self, secret: &'a Secret) -> BoxFuture<'a, FoundToken>;

    /// The same, for the token that a session keeps the fingerprint of.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn find_by_fingerprint<'a>(
        &'a self,
        fingerprint: &'a CredentialFingerprint,
    ) -> BoxFuture<'a, FoundToken>;

    /// The same, for the token that an access token names by its id: as a login with its newest secret
    /// has it.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn find_by_id<'a>(&'a self, id: &'a str) -> BoxFuture<'a, FoundToken>;

    /// The robot of this account name, if there is one and one of its tokens is valid.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn find_robot<'a>(
        &'a self,
        account: &'a str,
    ) -> BoxFuture<'a, Result<Option<OpaqueToken>, BackendError>>;

    /// Notes that the token of this fingerprint was used. It does not wait for that to be stored.
    fn note_use(&self, fingerprint: &CredentialFingerprint, token_use: TokenUse);
}

/// A token that is valid, or why it is not.
pub type FoundToken = Result<Result<OpaqueToken, OpaqueTokenFault>, BackendError>;

/// A valid token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpaqueToken {
    /// What lists and logs call it.
    pub id: String,
    /// Whose it is.
    pub holder: TokenHolder,
    /// Stands for its text.
    pub fingerprint: CredentialFingerprint,
    /// The most that it opens.
    pub ceiling: ScopeCeiling,
    /// Where it may be used from; empty for everywhere.
    pub networks: Vec<IpNetwork>,
}

/// Whose a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenHolder {
    /// A person's.
    Person(TokenOwner),
    /// A robot's.
    Robot {
        /// The robot's account name.
        account: String,
        /// The person that owns the robot; `None` for a robot of the system.
        owner: Option<TokenOwner>,
    },
}

impl TokenHolder {
    /// The account in whose name access tokens are made.
    #[must_use]
    pub fn account(&self) -> &str {
        match self {
            Self::Person(TokenOwner { account, .. }) | Self::Robot { account, .. } => account,
        }
    }
}

/// A person that owns tokens or robots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenOwner {
    /// The account's name.
    pub account: String,
    /// The backend that has the account, by its section in the configuration. Another backend's
    /// account of that name is another person.
    pub backend: String,
}

/// Why a token is rejected. The client has shown a token of the right form, so it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpaqueTokenFault {
    /// No token has this text: it was mistyped or cut off, or removed long ago.
    #[error("no such token: it was mistyped, or is gone")]
    Unknown,
    /// It was revoked, or replaced by another one.
    #[error("the token was revoked: ask for a new one")]
    Revoked,
    /// Its end has come.
    #[error("the token has expired: ask for a new one")]
    Expired,
    /// Its robot is disabled.
    #[error("the robot is disabled")]
    Disabled,
    /// It may be used from other networks only.
    #[error("the token is not valid from this address")]
    WrongNetwork,
    /// The request names another account.
    #[error("the token belongs to another account than the user name says")]
    OtherAccount,
    /// The account of its owner is gone.
    #[error("the account of the token's owner was removed or disabled")]
    OwnerGone,
    /// The backend of the owner's account cannot say whether it is still there.
    #[error("the account of the token's owner cannot be checked without its password")]
    OwnerUnverifiable,
}

/// One use of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenUse {
    /// When.
    pub time: SystemTime,
    /// The client's address, if it is known.
    pub address: Option<IpAddr>,
    /// The first repository that the token was used for; `None` for a login.
    pub repository: Option<String>,
}

impl OpaqueToken {
    /// The account in whose name access tokens are made.
    #[must_use]
    pub fn account(&self) -> &str {
        self.holder.account()
    }

    /// Whether it may be used from `address`.
    #[must_use]
    pub fn is_allowed_from(&self, address: Option<IpAddr>) -> bool {
        self.networks.is_empty()
            || address.is_some_and(|address| {
                self.networks
                    .iter()
                    .any(|network| network.contains(address))
            })
    }
}
