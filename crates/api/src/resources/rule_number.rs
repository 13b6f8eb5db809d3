//! The number by which a path names a rule.

use crate::call::{ApiCall, CallInput};
use crate::problem::ApiProblem;
use crate::scope::RequiredScope;

/// The rule that the path names.
pub(super) fn rule_number<S: RequiredScope, I: CallInput>(
    call: &ApiCall<S, I>,
) -> Result<i64, ApiProblem> {
    let text = call.parameter("number");
    // One rule has one address: `+1` and `01` are none.
    let number = text.parse().ok();
    number
        .filter(|number: &i64| number.to_string() == text)
        .ok_or_else(|| {
            ApiProblem::not_found("there is no such rule: a rule is named by its number")
        })
}
