//! What can go wrong with a database.

use std::error::Error;
use std::time::Duration;

use mongodb::error::ErrorKind;

/// Why an operation has no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MongoError {
    #[error("the database did not answer within {} seconds", .0.as_secs_f64())]
    TimedOut(Duration),
    #[error("the database cannot be reached")]
    Unreachable(#[source] Box<dyn Error + Send + Sync>),
    #[error("the database cannot answer now")]
    Busy(#[source] ErrorKind),
    #[error("the database does not accept the user name and password of this server")]
    LoginRefused(#[source] ErrorKind),
    #[error("the database refused the operation")]
    Refused(#[source] ErrorKind),
}

/// The codes of MongoDB's errors after which a driver tries a read again: a server that starts,
/// stops, or is no longer the primary.
const PASSING: [i32; 13] = [
    6, 7, 89, 91, 134, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436,
];

impl MongoError {
    /// Whether the same operation may succeed later without any change.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::TimedOut(_) | Self::Unreachable(_) | Self::Busy(_) => true,
            Self::LoginRefused(_) | Self::Refused(_) => false,
        }
    }
}

/// The driver's own text repeats its causes and the server's whole answer, so only the kind is kept.
impl From<mongodb::error::Error> for MongoError {
    fn from(error: mongodb::error::Error) -> Self {
        let kind = *error.kind;
        match &kind {
            ErrorKind::Authentication { .. } => Self::LoginRefused(kind),
            ErrorKind::ServerSelection { message, .. } => {
                Self::Unreachable(each_server(message).into())
            }
            ErrorKind::Io(_)
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::DnsResolve { .. } => Self::Unreachable(kind.into()),
            ErrorKind::Command(command) if PASSING.contains(&command.code) => Self::Busy(kind),
            _ => Self::Refused(kind),
        }
    }
}

/// Each server that the driver knows, and why it was not used: `127.0.0.1:27017: Connection refused`. The
/// driver's text has them in its description of the deployment.
fn each_server(message: &str) -> String {
    let servers: Vec<_> = message
        .split("{ Address: ")
        .skip(1)
        .filter_map(one_server)
        .collect();
    match servers.is_empty() {
        true => message.to_owned(),
        false => servers.join("; "),
    }
}

/// `HOST:PORT, Type: Unknown, Error: Kind: REASON, labels: {} }`.
fn one_server(text: &str) -> Option<String> {
    let (address, rest) = text.split_once(", Type: ")?;
    let Some((_, reason)) = rest.split_once(", Error: ") else {
        let kind = rest.split([',', ' ']).next()?;
        return Some(match kind {
            "Unknown" => format!("{address}: it does not answer"),
            kind => format!("{address}: its role in the deployment is {kind}"),
        });
    };
    let reason = reason.strip_prefix("Kind: ").unwrap_or(reason);
    let reason = reason
        .split(", labels: ")
        .next()?
        .trim_end_matches([' ', '}']);
    let reason = reason.strip_prefix("I/O error: ").unwrap_or(reason);
    Some(format!("{address}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_is_named_with_its_reason() {
        let refused = "Server selection timeout: No available servers. Topology: { Type: Unknown, Servers: \
                       [ { Address: a.example:27017, Type: Unknown, Error: Kind: I/O error: Connection \
                       refused (os error 111), labels: {\"SystemOverloadedError\"} }, { Address: \
                       b.example:27017, Type: Unknown } ] }";
        assert_eq!(
            each_server(refused),
            "a.example:27017: Connection refused (os error 111); b.example:27017: it does not answer"
        );
        let secondary = "None of the available servers suitable for criteria Primary. Topology: { Type: \
                         ReplicaSetNoPrimary, Servers: [ { Address: c.example:27017, Type: RsSecondary, \
                         Average RTT: 1ms } ] }";
        assert_eq!(
            each_server(secondary),
            "c.example:27017: its role in the deployment is RsSecondary"
        );
        assert_eq!(each_server("another text"), "another text");
    }
}
