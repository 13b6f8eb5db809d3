//! What may be said of a connection string that cannot be used: a password may be anywhere in it.

use mongodb::error::{Error, ErrorKind};

/// The driver's message is shown only if it holds nothing that is secret. What follows the first `@`
/// is no password, unless there is another `@` or one among the options.
pub(crate) fn message_without_secrets(uri: &str, error: &Error) -> Option<String> {
    let message = message_of(error);
    let authority = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    let login = authority.split_once('@').map(|(login, _)| login);
    let is_plain = authority.matches('@').count() <= 1
        && !login.is_some_and(|login| login.contains(['?', '/']));
    let has_colon_without_login = login.is_none() && authority.contains(':');
    let secrets = login.into_iter().flat_map(|login| login.split(':'));
    let options = authority
        .split_once('?')
        .map_or("", |(_, options)| options)
        .split('&')
        .filter_map(|option| option.split_once('='))
        .filter(|(key, _)| !is_harmless(key))
        .map(|(_, value)| value);
    let reveals = secrets
        .chain(options)
        .any(|secret| !secret.is_empty() && message.contains(secret));
    let is_safe = is_plain && !has_colon_without_login && !reveals;
    is_safe.then_some(message)
}

/// Options whose values may be repeated.
fn is_harmless(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    !key.contains("password") && !key.contains("properties")
}

/// What the driver says, without its introduction.
pub(crate) fn message_of(error: &Error) -> String {
    match &*error.kind {
        ErrorKind::InvalidArgument { message, .. } => message.clone(),
        other => other.to_string(),
    }
}
