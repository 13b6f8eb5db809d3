//! `/trust/checks`: what the section `trust` makes of a workload's token.

use schemars::JsonSchema;
use serde::Deserialize;
use workload_identity::TrustCheckReport;

use crate::body::SecretText;
use crate::call::{ApiCall, InBody};
use crate::problem::ApiProblem;
use crate::reply::Shown;
use crate::scope::TrustRead;

/// A token that is to be checked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TrustCheck {
    /// The token, as a job or a pod gets it from its platform. It is neither kept nor logged.
    token: SecretText,
}

/// The keys of the issuer are those that logins know, and they are fetched as for a login.
pub(crate) async fn check(
    call: ApiCall<TrustRead, InBody<TrustCheck>>,
) -> Result<Shown<TrustCheckReport>, ApiProblem> {
    let trust = call.state.stores.trust.as_ref().ok_or_else(|| {
        ApiProblem::not_found(
            "this server trusts no issuer: its configuration has no section trust",
        )
    })?;
    let TrustCheck { token } = &call.input.0;
    let report = trust.report(token.0.expose().trim()).await;
    Ok(Shown {
        value: report.into(),
        tag: None,
    })
}
