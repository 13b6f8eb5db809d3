//! `/audit/events`: what happened, when, and who caused it.

use audit::{AuditFilter, EntryDocument, known_kind};
use common::{parse_date, unix_seconds};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::call::{ApiCall, InQuery};
use crate::pages::{Cursor, PageLimit};
use crate::problem::ApiProblem;
use crate::reply::Page;
use crate::scope::AuditRead;

/// Which events are listed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditEventParameters {
    /// Only events of this account; empty for clients without a login.
    #[serde(default)]
    account: Option<String>,
    /// Only events about this repository. Each has the `rule` that granted the access, if it is known.
    #[serde(default)]
    repository: Option<String>,
    /// Only events about this tag of the repository, or about a manifest that it has pointed at.
    #[serde(default)]
    tag: Option<String>,
    /// Only events about this manifest or blob.
    #[serde(default)]
    digest: Option<String>,
    /// Only events of this kind: `manifest_pulled`.
    #[serde(default)]
    event: Option<String>,
    /// Only events since then (RFC 3339).
    #[serde(default)]
    since: Option<String>,
    /// Only events before then (RFC 3339).
    #[serde(default)]
    until: Option<String>,
    /// The `next` of the page before. Without it, the page with the latest event.
    #[serde(default)]
    after: Cursor,
    /// How many items at most.
    #[serde(default)]
    limit: PageLimit,
}

/// The latest event first.
pub(crate) async fn list(
    call: ApiCall<AuditRead, InQuery<AuditEventParameters>>,
) -> Result<Page<EntryDocument>, ApiProblem> {
    let AuditEventParameters {
        account,
        repository,
        tag,
        digest,
        event,
        since,
        until,
        after,
        limit,
    } = &call.input.0;
    if (tag.is_some() || digest.is_some()) && repository.is_none() {
        let detail = "a tag or a digest needs the parameter repository";
        return Err(ApiProblem::invalid_parameter("repository", detail));
    }
    let before = after.position(|key| key.parse().ok())?;
    if let Some(kind) = event {
        known_kind(kind)
            .map_err(|error| ApiProblem::invalid_parameter("event", error.to_string()))?;
    }
    let filter = AuditFilter {
        account: account.clone(),
        repository: repository.clone(),
        tag: tag.clone(),
        digest: digest.clone(),
        kind: event.clone(),
        since: milliseconds("since", since.as_deref())?,
        until: milliseconds("until", until.as_deref())?,
    };
    let page = call
        .state
        .stores
        .audit
        .page(filter, before, limit.get())
        .await?;
    let last = page.next.map(|cursor| cursor.to_string());
    Ok(call.page(page.entries, last.as_deref()))
}

fn milliseconds(name: &str, date: Option<&str>) -> Result<Option<i64>, ApiProblem> {
    let Some(date) = date else { return Ok(None) };
    let time = parse_date(date).map_err(|error| ApiProblem::invalid_parameter(name, error))?;
    Ok(Some(
        i64::try_from(unix_seconds(time))
            .unwrap_or(i64::MAX)
            .saturating_mul(1000),
    ))
}
