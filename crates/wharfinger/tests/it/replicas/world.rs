//! Replicas with what they share.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use peers::{FaultProxy, Nginx, Output, Postgres, Server, VersityGateway, run};

use super::wire;

pub(super) const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// Replicas of one server, with their database and their bucket, which is behind a proxy. The replicas end
/// first.
pub(super) struct Replicas {
    pub(super) servers: Vec<Server>,
    pub(super) proxy: FaultProxy,
    pub(super) gateway: VersityGateway,
    pub(super) postgres: Postgres,
}

/// Tells other threads that it is over, also if the test fails: a scope waits for all of its threads.
pub(super) struct SetOnDrop<'a>(pub(super) &'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A number that a variable sets, or the usual one.
pub(super) fn number(variable: &str, usual: u64) -> u64 {
    let set = std::env::var(variable).ok();
    set.map_or(usual, |set| set.parse().unwrap())
}

/// How long a test waits for what must come. It ends a test that would never end.
const PATIENCE: Duration = Duration::from_secs(180);

/// How often a command is repeated.
const BUSY: usize = 10;

/// How a replica reaches what all share.
pub(super) struct Ways<'a> {
    /// The ports of the database's hosts.
    pub(super) database: &'a [u16],
    /// `HOST:PORT` of the store.
    pub(super) store: &'a str,
}

/// Access for everyone, and a collection that removes content soon.
pub(super) const OPEN: &str = "  auth: {none: true}\n  gc: {schedule: never, grace: 1s}\n";

impl Replicas {
    /// So many replicas. `sections` are the configuration's, beside the database; `registry` are the keys of
    /// that section, beside the storage.
    pub(super) fn start(count: usize, sections: &str, registry: &str) -> Self {
        let mut replicas = Self::without_servers();
        let config = replicas.config(sections, registry);
        for _ in 0..count {
            replicas.add(&config);
        }
        replicas
    }

    /// What replicas share.
    pub(super) fn without_servers() -> Self {
        let postgres = Postgres::start();
        postgres.run("postgres", "CREATE ROLE wharfinger LOGIN PASSWORD 'sesame'");
        postgres.run("postgres", "CREATE DATABASE wharfinger OWNER wharfinger");
        let gateway = VersityGateway::start();
        let proxy = FaultProxy::start(gateway.host_port());
        Self {
            postgres,
            gateway,
            proxy,
            servers: Vec::new(),
        }
    }

    /// One more replica.
    pub(super) fn add(&mut self, config: &str) {
        self.add_program(Path::new(PROGRAM), config);
    }

    /// One more replica, of another version.
    pub(super) fn add_program(&mut self, program: &Path, config: &str) {
        self.servers.push(Server::start(program, config));
    }

    /// Waits until all replicas have opened what they share. Until then, they answer 503.
    pub(super) fn wait_until_ready(&self) {
        for server in &self.servers {
            let is_ready = || {
                let answer = wire::send(&server.host_port(), "GET", "/readyz", wire::BYTES, b"");
                answer.is_ok_and(|answer| answer.status == 200)
            };
            self.wait_until(is_ready);
        }
    }

    /// Waits for what must come, however busy the machine is.
    #[expect(
        clippy::disallowed_methods,
        reason = "limits how long another program may take"
    )]
    pub(super) fn wait_until(&self, is_so: impl Fn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(Instant::now() < end, "it never came\n{}", self.logs());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The configuration that all of them have.
    pub(super) fn config(&self, sections: &str, registry: &str) -> String {
        let ways = Ways {
            database: &[self.postgres.port()],
            store: self.proxy.host_port(),
        };
        self.config_by(&ways, sections, registry)
    }

    /// The configuration of a replica that reaches the database and the bucket by its own ways.
    pub(super) fn config_by(&self, ways: &Ways<'_>, sections: &str, registry: &str) -> String {
        let hosts = ways.database.iter().map(|port| format!("127.0.0.1:{port}"));
        format!(
            "server: {{addr: '@addr@'}}\n\
             database: {{url: 'postgres://wharfinger:sesame@{hosts}/wharfinger?sslmode=disable'}}\n\
             {sections}\
             registry:\n{registry}  storage:\n    s3:\n      bucket: {bucket}\n      \
             rootdirectory: /registry\n      region: {region}\n      regionendpoint: {endpoint}\n      \
             secure: false\n      accesskey: {access}\n      secretkey: {secret}\n      chunksize: 5MiB\n",
            hosts = hosts.collect::<Vec<_>>().join(","),
            bucket = self.gateway.bucket().name,
            region = self.gateway.bucket().region,
            endpoint = ways.store,
            access = self.gateway.bucket().access_key,
            secret = self.gateway.bucket().secret_key,
        )
    }

    /// nginx, which sends each request to the next replica.
    pub(super) fn balancer(&self) -> Nginx {
        let mut upstream = "upstream replicas {\n".to_owned();
        for server in &self.servers {
            // A replica that failed is tried again at once: the tests have no time for nginx's ten seconds.
            let _ = writeln!(upstream, "server {} max_fails=0;", server.host_port());
        }
        upstream.push('}');
        Nginx::start_with(&upstream, include_str!("nginx.conf"))
    }

    /// A command beside the servers.
    pub(super) fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(PROGRAM);
        run(command.args(arguments).arg(self.servers[0].config()))
    }

    /// A command that must succeed. On a busy machine, the database may not answer it in time.
    pub(super) fn command_succeeds(&self, arguments: &[&str]) {
        let mut output = self.command(arguments);
        for _ in 0..BUSY {
            if output.status.success() {
                break;
            }
            output = self.command(arguments);
        }
        output.succeeded();
    }

    pub(super) fn logs(&self) -> String {
        let mut logs = String::new();
        for (number, server) in self.servers.iter().enumerate() {
            let _ = writeln!(logs, "== replica {number} ==\n{}", server.log());
        }
        logs
    }
}
