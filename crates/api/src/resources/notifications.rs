//! `/notifications`: what became of notifications, and sending them again.

use notifications::{
    DeliveryEntry, DeliveryFilter, DeliveryListError, DeliveryState, LeftDeliveries,
    RetriedDeliveries,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::call::{ApiCall, InBody, InQuery};
use crate::pages::{Cursor, PageLimit};
use crate::problem::ApiProblem;
use crate::reply::{Page, Shown};
use crate::scope::{NotificationsRead, NotificationsWrite};

/// How many notifications a request may name.
const MOST_IDS: usize = 1000;

/// Which notifications are listed.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NotificationParameters {
    /// Only those for this endpoint.
    #[serde(default)]
    endpoint: Option<String>,
    /// Only those in this state. A failed one was set aside, and is not tried any more.
    #[serde(default)]
    state: Option<DeliveryState>,
    /// The `next` of the page before. Without it, the page with the latest notification.
    #[serde(default)]
    after: Cursor,
    /// How many items at most.
    #[serde(default)]
    limit: PageLimit,
}

/// Which notifications are sent again. Without members, all that were set aside for endpoints that are
/// configured.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NotificationRetry {
    /// Only those for this endpoint.
    #[serde(default)]
    endpoint: Option<String>,
    /// Those with these numbers, also if they were delivered. At most 1000.
    #[serde(default)]
    ids: Vec<i64>,
}

/// How many notifications are sent again.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "RetriedNotifications")]
pub struct RetriedNotificationsView {
    /// Those that did not wait before.
    pub retried: usize,
    /// Those that were left, because their endpoints are not configured.
    #[serde(default)]
    pub left: Vec<LeftDeliveries>,
    /// The numbers that wait already.
    #[serde(default)]
    pub waiting: Vec<i64>,
    /// The numbers that no notification has, or none for the endpoint.
    #[serde(default)]
    pub unknown: Vec<i64>,
}

impl From<RetriedDeliveries> for RetriedNotificationsView {
    fn from(retried: RetriedDeliveries) -> Self {
        let RetriedDeliveries {
            retried,
            left,
            waiting,
            unknown,
        } = retried;
        Self {
            retried,
            left,
            waiting,
            unknown,
        }
    }
}

/// The latest notification first.
pub(crate) async fn list(
    call: ApiCall<NotificationsRead, InQuery<NotificationParameters>>,
) -> Result<Page<DeliveryEntry>, ApiProblem> {
    let NotificationParameters {
        endpoint,
        state,
        after,
        limit,
    } = &call.input.0;
    let before = after.position(|key| key.parse().ok())?;
    let filter = DeliveryFilter {
        endpoint: endpoint.clone(),
        state: *state,
        ids: Vec::new(),
    };
    let deliveries = &call.state.stores.notifications;
    let entries = deliveries.list(filter, before, limit.get()).await;
    let in_query = |detail: String| ApiProblem::invalid_parameter("endpoint", detail);
    let entries = entries.map_err(|error| refused(error, in_query))?;
    let last = limit.last_if_full(&entries);
    let last = last.map(|entry| entry.id.to_string());
    Ok(call.page(entries, last.as_deref()))
}

pub(crate) async fn retry(
    call: ApiCall<NotificationsWrite, InBody<NotificationRetry>>,
) -> Result<Shown<RetriedNotificationsView>, ApiProblem> {
    let NotificationRetry { endpoint, ids } = &call.input.0;
    if ids.len() > MOST_IDS {
        let detail = format!("more than {MOST_IDS} numbers");
        return Err(ApiProblem::invalid_value("/ids", detail));
    }
    let filter = DeliveryFilter {
        endpoint: endpoint.clone(),
        state: ids.is_empty().then_some(DeliveryState::Failed),
        ids: ids.clone(),
    };
    let (by, now) = (call.caller.administrator(), call.state.clock.now());
    let retried = call
        .state
        .stores
        .notifications
        .retry(&by, filter, now)
        .await;
    let in_body = |detail: String| ApiProblem::invalid_value("/endpoint", detail);
    let retried = retried.map_err(|error| refused(error, in_body))?;
    Ok(Shown {
        value: retried.into(),
        tag: None,
    })
}

/// `at_endpoint` says where the request names the endpoint.
fn refused(error: DeliveryListError, at_endpoint: impl FnOnce(String) -> ApiProblem) -> ApiProblem {
    match error {
        DeliveryListError::UnknownEndpoint { .. } | DeliveryListError::RemovedEndpoint { .. } => {
            at_endpoint(error.to_string())
        }
        DeliveryListError::Database(error) => error.into(),
    }
}
