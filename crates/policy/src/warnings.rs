//! What is legal in rules and hardly meant.

use crate::entry::{Entry, Options};
use crate::error::Warning;

/// All of it, in the order of the rules.
pub(crate) fn warnings(_entries: &[Entry], _options: Options) -> Vec<Warning> {
    Vec::new()
}
