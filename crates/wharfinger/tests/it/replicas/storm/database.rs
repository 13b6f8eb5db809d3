//! PostgreSQL with a synchronous standby, and how each replica reaches the two.

use std::mem;

use peers::{Breakpoint, Postgres, PostgresProxy};

/// The hosts of the database. Each replica reaches each host through a proxy of its own, so the hosts of its
/// configuration stay the same.
pub(super) struct DatabaseHosts {
    standby: Postgres,
    /// The place of the primary in the list of hosts.
    primary: usize,
    /// The proxies of each replica, by the place of the host.
    proxies: Vec<[PostgresProxy; 2]>,
}

/// A step of a replica, by its statement.
#[derive(Clone, Copy)]
pub(super) enum Step {
    /// The database has not seen the statement.
    Before(&'static str),
    /// It was committed, and the replica does not know.
    After(&'static str),
}

impl DatabaseHosts {
    /// Adds a standby that confirms each commit. So many replicas reach the hosts.
    pub(super) fn start(primary: &Postgres, replicas: usize) -> Self {
        let standby = primary.start_standby();
        primary.commit_synchronously();
        let ports = [primary.port(), standby.port()];
        let proxies = (0..replicas).map(|_| ports.map(PostgresProxy::start));
        Self {
            proxies: proxies.collect(),
            standby,
            primary: 0,
        }
    }

    /// The ports of the hosts for a replica.
    pub(super) fn ports(&self, replica: usize) -> [u16; 2] {
        [0, 1].map(|host| self.proxies[replica][host].port())
    }

    /// Kills the primary, promotes the standby, and gives it a new standby. `promoted` is called when the
    /// new primary accepts changes.
    pub(super) fn fail_over(&mut self, primary: &mut Postgres, promoted: impl FnOnce()) {
        primary.kill();
        self.standby.promote();
        promoted();
        mem::swap(primary, &mut self.standby);
        self.standby = primary.start_standby();
        for proxies in &self.proxies {
            proxies[self.primary].redirect(self.standby.port());
        }
        self.primary = 1 - self.primary;
        primary.commit_synchronously();
    }

    /// Holds a replica's next message of this step.
    pub(super) fn hold(&self, replica: usize, step: Step) -> Breakpoint {
        let proxy = &self.proxies[replica][self.primary];
        match step {
            Step::Before(statement) => proxy.hold_statement(statement),
            Step::After(statement) => proxy.hold_answer(statement),
        }
    }

    /// Holds nothing of a replica that has not come yet.
    pub(super) fn hold_nothing(&self, replica: usize) {
        for proxy in &self.proxies[replica] {
            proxy.hold_nothing();
        }
    }
}
