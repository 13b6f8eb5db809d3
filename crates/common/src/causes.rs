//! An error as one line of a log or of a report.

use std::error::Error;
use std::iter::successors;

/// The error, its cause, the cause of that, and so on, divided by colons.
///
/// ```
/// #[derive(Debug, thiserror::Error)]
/// #[error("the file cannot be read")]
/// struct Unreadable(#[source] std::io::Error);
///
/// let error = Unreadable(std::io::Error::other("the disk is gone"));
/// assert_eq!(common::with_causes(&error), "the file cannot be read: the disk is gone");
/// ```
#[must_use]
pub fn with_causes(error: &(dyn Error + '_)) -> String {
    let errors = successors(Some(error), |&error| error.source());
    let errors: Vec<String> = errors.map(ToString::to_string).collect();
    errors.join(": ")
}
