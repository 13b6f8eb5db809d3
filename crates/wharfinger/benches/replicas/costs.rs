//! What a load costs: the replicas, PostgreSQL, the store.

use std::time::{Duration, Instant};

use crate::common::http::Connection;
use crate::common::load::{Figure, load_several};
use crate::common::{CONNECTIONS, Process};
use crate::world::{Server, World};

/// How long a case is warmed up before it is measured.
const WARM: Duration = Duration::from_millis(300);

/// What was done, and what it cost.
#[derive(Clone, Copy)]
pub(crate) struct Costs {
    pub(crate) figure: Figure,
    /// CPU-seconds of PostgreSQL.
    database: f64,
    /// CPU-seconds of the store.
    store: f64,
}

impl Costs {
    /// Has sixteen connections to the servers, in turns, `work` for so long: see
    /// [`load`](crate::common::load::load).
    pub(crate) fn of(
        world: &World,
        servers: &[&Server],
        time: Duration,
        work: impl Fn(&mut Connection, u64) -> u64 + Sync,
    ) -> Self {
        let servers: Vec<&Process> = servers.iter().map(|server| &server.process).collect();
        let load = |time: Duration| {
            let is_more = move |done, began: Instant| done == 0 || began.elapsed() < time;
            load_several(&servers, CONNECTIONS, is_more, &work)
        };
        load(WARM);
        let (database, store) = world.cpu_seconds();
        let figure = load(time);
        let (database_after, store_after) = world.cpu_seconds();
        Self {
            figure,
            database: database_after - database,
            store: store_after - store,
        }
    }

    /// Operations per CPU-second of PostgreSQL; `None` if it had almost nothing to do.
    pub(crate) fn per_database_second(self) -> Option<f64> {
        (self.database >= 0.05).then(|| self.figure.operations() / self.database)
    }

    /// CPU-milliseconds of PostgreSQL for each operation.
    pub(crate) fn database_milliseconds(self) -> f64 {
        1e3 * self.database / self.figure.operations()
    }

    /// CPU-milliseconds of the store for each operation.
    pub(crate) fn store_milliseconds(self) -> f64 {
        1e3 * self.store / self.figure.operations()
    }
}
