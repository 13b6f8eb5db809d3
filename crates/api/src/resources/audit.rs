//! `/audit`: the administration log.

use database::{AdministrationFilter, AdministrationRecord, logged_changes};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::call::{ApiCall, InQuery};
use crate::pages::{Cursor, PageLimit};
use crate::problem::ApiProblem;
use crate::reply::Page;
use crate::scope::AuditRead;

/// Which changes are listed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditParameters {
    /// Only changes of this user or account.
    #[serde(default)]
    actor: Option<String>,
    /// Only changes of this object: an account, or `rule NUMBER`.
    #[serde(default)]
    object: Option<String>,
    /// The `next` of the page before. Without it, the page with the latest change.
    #[serde(default)]
    after: Cursor,
    /// How many items at most.
    #[serde(default)]
    limit: PageLimit,
}

/// The latest change first.
pub(crate) async fn list(
    call: ApiCall<AuditRead, InQuery<AuditParameters>>,
) -> Result<Page<AdministrationRecord>, ApiProblem> {
    let AuditParameters {
        actor,
        object,
        after,
        limit,
    } = &call.input.0;
    let before = after.position(|key| key.parse().ok())?;
    let filter = AdministrationFilter {
        actor: actor.clone(),
        object: object.clone(),
        before,
    };
    let (database, most) = (&call.state.stores.database, limit.get());
    let read = database.read(move |connection| logged_changes(connection, &filter, most));
    let entries = read.await?;
    let last = limit.last_if_full(&entries);
    let last = last.map(|entry| entry.id.to_string());
    let items = entries.into_iter().map(AdministrationRecord::from);
    Ok(call.page(items.collect(), last.as_deref()))
}
