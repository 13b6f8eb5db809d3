//! `/account`: the caller.

use schemars::JsonSchema;
use serde::Serialize;

use crate::call::ApiCall;
use crate::problem::ApiProblem;
use crate::reply::Shown;
use crate::scope::OwnRead;

/// Who the caller is.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Account")]
pub(crate) struct CallerView {
    /// The name of the account.
    account: String,
    /// What its token grants here: `wharfinger:users:read,write`.
    scopes: Vec<String>,
    /// The host of the registry beside this server, for `docker login`; `null` if it is not known.
    registry: Option<String>,
}

pub(crate) async fn show(call: ApiCall<OwnRead>) -> Result<Shown<CallerView>, ApiProblem> {
    Ok(Shown {
        value: CallerView {
            account: call.caller.account().to_owned(),
            scopes: call.caller.scopes(),
            registry: call.state.registry.clone(),
        },
        tag: None,
    })
}
