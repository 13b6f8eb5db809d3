//! Load: sixteen connections, each with one request under way.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::http::Connection;
use super::{CONNECTIONS, Process};

/// How long a case is warmed up before it is measured.
const WARM: Duration = Duration::from_millis(300);

/// What was done, and what it cost the server.
#[derive(Clone, Copy)]
pub(crate) struct Figure {
    operations: f64,
    bytes: f64,
    cpu: f64,
    wall: f64,
}

impl Figure {
    /// The same, if the server needed so many seconds of CPU time for it.
    pub(crate) fn at_a_cost_of(self, cpu: f64) -> Self {
        Self { cpu, ..self }
    }

    pub(crate) fn operations(self) -> f64 {
        self.operations
    }

    pub(crate) fn operations_per_cpu_second(self) -> f64 {
        self.operations / self.cpu
    }

    /// In MB.
    pub(crate) fn megabytes_per_cpu_second(self) -> f64 {
        self.bytes / 1e6 / self.cpu
    }

    /// In MB.
    pub(crate) fn megabytes_per_second(self) -> f64 {
        self.bytes / 1e6 / self.wall
    }

    pub(crate) fn operations_per_second(self) -> f64 {
        self.operations / self.wall
    }

    /// In millionths of a second.
    pub(crate) fn cpu_per_operation(self) -> f64 {
        1e6 * self.cpu / self.operations
    }
}

/// [`load`] after a warm-up.
pub(crate) fn warm_load(
    server: &Process,
    time: Duration,
    work: impl Fn(&mut Connection, u64) -> u64 + Sync,
) -> Figure {
    load(server, WARM, &work);
    load(server, time, &work)
}

/// Has every connection `work` again and again until `time` is over; what is under way then is
/// finished. `work` gets a number that no other gets, and returns how many bytes of content were
/// transferred.
pub(crate) fn load(
    server: &Process,
    time: Duration,
    work: impl Fn(&mut Connection, u64) -> u64 + Sync,
) -> Figure {
    load_over(
        server,
        CONNECTIONS,
        |done, began| done == 0 || began.elapsed() < time,
        work,
    )
}

/// Has each of so many connections `work` as long as `is_more` of what it has done and of the
/// beginning.
pub(crate) fn load_over(
    server: &Process,
    connections: usize,
    is_more: impl Fn(u64, Instant) -> bool + Sync,
    work: impl Fn(&mut Connection, u64) -> u64 + Sync,
) -> Figure {
    load_several(&[server], connections, is_more, work)
}

/// [`load_over`] connections to several servers in turn. The cost is that of all of them.
pub(crate) fn load_several(
    servers: &[&Process],
    connections: usize,
    is_more: impl Fn(u64, Instant) -> bool + Sync,
    work: impl Fn(&mut Connection, u64) -> u64 + Sync,
) -> Figure {
    let cpu_seconds = || {
        servers
            .iter()
            .map(|server| server.cpu_seconds())
            .sum::<f64>()
    };
    let (operations, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
    let (cpu, began) = (cpu_seconds(), Instant::now());
    std::thread::scope(|scope| {
        for server in servers.iter().cycle().take(connections) {
            scope.spawn(|| {
                let mut connection = Connection::open(&server.address);
                let (mut done, mut moved) = (0, 0);
                while is_more(done, began) {
                    moved += work(&mut connection, next());
                    done += 1;
                }
                operations.fetch_add(done, Ordering::Relaxed);
                bytes.fetch_add(moved, Ordering::Relaxed);
            });
        }
    });
    Figure {
        operations: operations.into_inner() as f64,
        bytes: bytes.into_inner() as f64,
        cpu: cpu_seconds() - cpu,
        wall: began.elapsed().as_secs_f64(),
    }
}

/// A number that was never given before.
pub(crate) fn next() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
