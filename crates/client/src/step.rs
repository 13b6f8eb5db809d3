//! The six steps of token authentication (Distribution, "Token Authentication Specification").

use std::fmt;

/// What a request is for, as one of the six steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The client asks the registry without a token (1) and gets a response or a challenge (2).
    Unauthenticated,
    /// The client asks for a token (3) and gets one (4).
    Token,
    /// The client asks the registry with a token or a password (5) and is served (6).
    Authorized,
    /// The client fetches from another host, to which the registry redirects.
    Redirected,
}

impl Step {
    /// The numbers of request and response among the six steps.
    #[must_use]
    pub fn numbers(self) -> Option<(u8, u8)> {
        match self {
            Self::Unauthenticated => Some((1, 2)),
            Self::Token => Some((3, 4)),
            Self::Authorized => Some((5, 6)),
            Self::Redirected => None,
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unauthenticated => "request to the server",
            Self::Token => "token request",
            Self::Authorized => "authorized request to the server",
            Self::Redirected => "redirected request",
        })
    }
}
