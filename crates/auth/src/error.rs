//! Why a request for a token fails: by the client's fault, or by the server's.

use std::error::Error;

use identity::RETRY_AFTER;
use identity::{BackendError, BackendFault};

use crate::authorize::AuthorizeError;
use crate::device::DeviceLoginError;
use crate::issue::TokenIssueError;
use crate::response::ErrorResponse;
use crate::sessions::SessionsError;

/// An [`ErrorResponse`], or a failure of the server.
pub(crate) enum TokenRequestError {
    /// The response says what is wrong.
    Response(ErrorResponse),
    /// The server failed. The client gets the request's id, and the log gets the cause.
    Internal(Box<dyn Error + Send + Sync>),
    /// Something that the server needs cannot be reached. The client may try again, and the log gets
    /// the cause.
    Unavailable(Box<dyn Error + Send + Sync>),
}

impl From<ErrorResponse> for TokenRequestError {
    fn from(response: ErrorResponse) -> Self {
        Self::Response(response)
    }
}

impl From<AuthorizeError> for TokenRequestError {
    fn from(error: AuthorizeError) -> Self {
        match error {
            AuthorizeError::Busy { .. } => Self::Response(ErrorResponse::Busy(RETRY_AFTER)),
            AuthorizeError::Policy { .. } => Self::Internal(error.into()),
            AuthorizeError::Unavailable { .. } => Self::Unavailable(error.into()),
        }
    }
}

impl From<TokenIssueError> for TokenRequestError {
    fn from(error: TokenIssueError) -> Self {
        match error {
            TokenIssueError::Id(_) | TokenIssueError::Sign(_) => Self::Internal(error.into()),
        }
    }
}

impl From<SessionsError> for TokenRequestError {
    fn from(error: SessionsError) -> Self {
        match error {
            SessionsError::Database(ref cause) if cause.may_pass() => {
                Self::Unavailable(error.into())
            }
            SessionsError::Database(_) | SessionsError::Entropy(_) | SessionsError::Anonymous => {
                Self::Internal(error.into())
            }
        }
    }
}

impl From<DeviceLoginError> for TokenRequestError {
    fn from(error: DeviceLoginError) -> Self {
        match error {
            DeviceLoginError::Database(ref cause) if cause.may_pass() => {
                Self::Unavailable(error.into())
            }
            DeviceLoginError::NoSession => Self::Unavailable(error.into()),
            DeviceLoginError::Backend(error) => error.into(),
            DeviceLoginError::Database(_)
            | DeviceLoginError::Entropy(_)
            | DeviceLoginError::NoFreeCode => Self::Internal(error.into()),
        }
    }
}

impl From<BackendError> for TokenRequestError {
    fn from(error: BackendError) -> Self {
        match error.fault {
            BackendFault::Broken => Self::Internal(error.into()),
            BackendFault::Unavailable => Self::Unavailable(error.into()),
        }
    }
}
