//! `wharfinger notifications retry`.

use api::RetriedNotificationsView;
use clap::Args;
use client::ApiRoute;
use common::{Clock, SystemClock, escape_line};
use notifications::{DeliveryFilter, DeliveryState, LeftDeliveries};
use serde_json::json;

use super::{deliveries, refused};
use crate::commands::administrator::administrator;
use crate::commands::managed_database::ManagedDatabase;
use crate::commands::managed_server::{ManagedServer, ManagedServerArguments};
use crate::failure::Failure;

/// Send notifications again: those that were set aside, or those with these numbers
///
/// The running server sends them within a second, before those that wait and have higher numbers. One
/// that was delivered is only sent again if its number is given. Those for endpoints that are not
/// configured are left, and counted.
#[derive(Debug, Args)]
pub(super) struct Retry {
    #[command(flatten)]
    server: ManagedServerArguments,
    /// The numbers that `wharfinger notifications list` shows.
    #[arg(value_name = "ID")]
    ids: Vec<i64>,
    /// Only those for this endpoint.
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,
}

impl Retry {
    pub(super) async fn run(self) -> Result<String, Failure> {
        let has_numbers = !self.ids.is_empty();
        let for_endpoint = self.endpoint.as_deref().map(escape_line);
        let for_endpoint = for_endpoint.map(|name| format!(" for {name}"));
        let for_endpoint = for_endpoint.unwrap_or_default();
        let RetriedNotificationsView {
            retried,
            left,
            waiting,
            unknown,
        } = self.retried().await?;
        let others: Vec<String> = [
            left_text(&left),
            numbers(&waiting).map(|numbers| format!("waiting already: {numbers}")),
            numbers(&unknown)
                .map(|numbers| format!("there is no notification{for_endpoint}: {numbers}")),
        ]
        .into_iter()
        .flatten()
        .collect();
        let count = match retried {
            0 if has_numbers => {
                let message = format!("no notification is sent again: {}", others.join("; "));
                let hint = "`wharfinger notifications list` shows their numbers and endpoints";
                return Err(Failure::negative(message).hint(hint));
            }
            0 if !others.is_empty() => "no notification is sent again\n".to_owned(),
            0 => "no notification was set aside, so none is sent again\n".to_owned(),
            1 => "1 notification is sent again\n".to_owned(),
            count => format!("{count} notifications are sent again\n"),
        };
        let others = others.iter().map(|other| format!("{other}\n"));
        Ok(count + &others.collect::<String>())
    }

    async fn retried(self) -> Result<RetriedNotificationsView, Failure> {
        match self.server.managed().await? {
            ManagedServer::Configured(file) => {
                let ManagedDatabase { config, database } = ManagedDatabase::open(file)?;
                let filter = DeliveryFilter {
                    endpoint: self.endpoint,
                    state: self.ids.is_empty().then_some(DeliveryState::Failed),
                    ids: self.ids,
                };
                let by = administrator();
                let deliveries = deliveries(&config, database);
                let retried = deliveries.retry(&by, filter, SystemClock.now());
                let retried = retried.await.map_err(|error| refused(&error))?;
                Ok(retried.into())
            }
            ManagedServer::Remote(api) => {
                let route =
                    ApiRoute::new(&["notifications", "retries"], &[("notifications", "write")]);
                let chosen = json!({"endpoint": self.endpoint, "ids": self.ids});
                Ok(api.ask(route, &chosen).await?)
            }
        }
    }
}

/// `number 7`, `numbers 7, 8`; `None` if there are none.
fn numbers(ids: &[i64]) -> Option<String> {
    let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
    match ids.len() {
        0 => None,
        1 => Some(format!("number {}", ids[0])),
        _ => Some(format!("numbers {}", ids.join(", "))),
    }
}

/// What was left: `3 notifications were left, because their endpoints are not configured: old (2), older (1)`.
fn left_text(left: &[LeftDeliveries]) -> Option<String> {
    let endpoints: Vec<String> = left
        .iter()
        .map(|left| format!("{} ({})", escape_line(&left.endpoint), left.count))
        .collect();
    let because = match left.iter().map(|left| left.count).sum::<u64>() {
        0 => return None,
        1 => "1 notification was left, because its endpoint is not configured".to_owned(),
        count => {
            format!("{count} notifications were left, because their endpoints are not configured")
        }
    };
    Some(format!("{because}: {}", endpoints.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_is_named() {
        let left = |left: &[(&str, u64)]| {
            let left = left.iter().map(|(endpoint, count)| LeftDeliveries {
                endpoint: (*endpoint).to_owned(),
                count: *count,
            });
            left_text(&left.collect::<Vec<_>>())
        };
        assert_eq!(left(&[]), None);
        assert_eq!(
            left(&[("old", 1)]).unwrap(),
            "1 notification was left, because its endpoint is not configured: old (1)"
        );
        assert_eq!(
            left(&[("a\nb", 2), ("old", 1)]).unwrap(),
            "3 notifications were left, because their endpoints are not configured: a\\nb (2), old (1)"
        );
    }
}
