//! The list of deliveries, as the operator of a configuration manages it.

use std::time::SystemTime;

use common::nearest;
use database::{Administrator, Error};

use crate::{DeliveryEntry, DeliveryFilter, DeliveryStore, EndpointNames, RetriedDeliveries};

/// The notifications in a database, and the endpoints of the configuration by which they are managed.
#[derive(Clone, Debug)]
pub struct DeliveryList {
    store: DeliveryStore,
    endpoints: EndpointNames,
}

/// Why notifications are neither listed nor sent again. Commands and the API say it in the same words.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryListError {
    /// No endpoint has this name, and no notification is listed for it.
    #[error(
        "no endpoint has the name {name:?}: {endpoints}{}{}",
        listed(.removed), meant(.name, .endpoints, .removed)
    )]
    UnknownEndpoint {
        /// The name.
        name: String,
        /// Those that there are.
        endpoints: EndpointNames,
        /// Others for which notifications are listed.
        removed: Vec<String>,
    },
    /// It was removed from the configuration, so what is queued for it would wait for ever.
    #[error("the endpoint {name:?} is not configured, so nothing can be sent to it: {endpoints}")]
    RemovedEndpoint {
        /// The name.
        name: String,
        /// Those that there are.
        endpoints: EndpointNames,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] Error),
}

impl DeliveryList {
    /// The notifications in `store`, whose server has these endpoints.
    #[must_use]
    pub fn new(store: DeliveryStore, endpoints: EndpointNames) -> Self {
        Self { store, endpoints }
    }

    /// The last notifications that `filter` selects: see [`DeliveryStore::list`].
    ///
    /// # Errors
    /// [`DeliveryListError`].
    pub async fn list(
        &self,
        filter: DeliveryFilter,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<DeliveryEntry>, DeliveryListError> {
        self.require_known(&filter).await?;
        Ok(self.store.list(filter, before, limit).await?)
    }

    /// Queues the notifications that `filter` selects and that are done once more, in the name of `by`. They
    /// are sent in the order of their numbers, before what was queued after them. Those for endpoints that
    /// are not configured are left as they are.
    ///
    /// # Errors
    /// [`DeliveryListError`].
    pub async fn retry(
        &self,
        by: &Administrator,
        filter: DeliveryFilter,
        now: SystemTime,
    ) -> Result<RetriedDeliveries, DeliveryListError> {
        self.require_known(&filter).await?;
        let endpoints = self.endpoints.clone();
        if let (Some(name), EndpointNames::Configured(_)) = (&filter.endpoint, &endpoints)
            && !endpoints.have(name)
        {
            return Err(DeliveryListError::RemovedEndpoint {
                name: name.clone(),
                endpoints,
            });
        }
        Ok(self.store.retry(by, filter, endpoints, now).await?)
    }

    /// Refuses the name of an endpoint that is not configured and that no notification was ever for.
    async fn require_known(&self, filter: &DeliveryFilter) -> Result<(), DeliveryListError> {
        let Some(name) = &filter.endpoint else {
            return Ok(());
        };
        if self.endpoints.have(name) {
            return Ok(());
        }
        let of_endpoint = DeliveryFilter {
            endpoint: Some(name.clone()),
            ..DeliveryFilter::default()
        };
        if !self.store.list(of_endpoint, None, 1).await?.is_empty() {
            return Ok(());
        }
        let listed = self.store.listed_endpoints().await?.into_iter();
        Err(DeliveryListError::UnknownEndpoint {
            name: name.clone(),
            endpoints: self.endpoints.clone(),
            removed: listed.filter(|name| !self.endpoints.have(name)).collect(),
        })
    }
}

/// `; did you mean "listener"?` if a name is alike.
fn meant(name: &str, endpoints: &EndpointNames, removed: &[String]) -> String {
    let all = endpoints.names().iter().chain(removed).map(String::as_str);
    match nearest(name, all) {
        Some(known) => format!("; did you mean {known:?}?"),
        None => String::new(),
    }
}

fn listed(removed: &[String]) -> String {
    match removed.is_empty() {
        true => String::new(),
        false => format!(
            "; there are also notifications for {}, not configured any more",
            removed.join(", ")
        ),
    }
}
