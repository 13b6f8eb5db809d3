//! Redis, alone and as a cluster.

use std::fs;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::{Daemon, Output, ReservedAddress, Signal, port, program, run, wait};

/// How long a cluster may take to agree on its nodes.
const AGREED: Duration = Duration::from_secs(60);

/// How a server is started.
#[derive(Clone, Debug, Default)]
pub struct RedisConfig {
    /// Clients must know this password.
    pub password: Option<String>,
    /// Certificate and key, as PEM: the server speaks TLS only.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// Its socket in the file system is `redis.sock` in its directory.
    pub has_socket: bool,
}

/// Whether a server stands alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Alone,
    ClusterNode,
}

/// A running server. It keeps what it was told, even if it is killed.
#[derive(Debug)]
pub struct Redis {
    daemon: Daemon,
    address: ReservedAddress,
    config: RedisConfig,
    role: Role,
    directory: TempDir,
}

/// Three masters and a replica of the first one.
#[derive(Debug)]
pub struct RedisCluster {
    nodes: Vec<Redis>,
}

impl Redis {
    /// Starts an empty server.
    ///
    /// # Panics
    /// If redis-server is not installed or does not start.
    #[must_use]
    pub fn start(config: &RedisConfig) -> Self {
        Self::start_as(Role::Alone, config)
    }

    fn start_as(role: Role, config: &RedisConfig) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = directory.path().join("log");
        let (daemon, address) =
            Daemon::start_on_port(&log, |address| command(role, config, address, &directory));
        let mut server = Self {
            daemon,
            address,
            config: config.clone(),
            role,
            directory,
        };
        server.wait_until_ready();
        server
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its socket in the file system.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.directory.path().join("redis.sock")
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// What it answers to a command, as `redis-cli` prints it.
    ///
    /// # Panics
    /// If the server cannot be reached, or answers with an error.
    pub fn command<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> String {
        let output = self.try_command(arguments);
        output.succeeded().to_owned()
    }

    /// Ends it at once, in the middle of what it does.
    pub fn kill(&mut self) {
        self.daemon.signal(Signal::Kill);
        self.daemon.wait();
    }

    /// Starts it again on the same port, after [`kill`](Self::kill).
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        let mut command = command(
            self.role,
            &self.config,
            self.address.address(),
            &self.directory,
        );
        self.daemon = Daemon::start(&mut command, &self.directory.path().join("log"));
        self.wait_until_ready();
    }

    fn try_command<S: AsRef<std::ffi::OsStr>>(&self, arguments: &[S]) -> Output {
        let mut client = Command::new(program("redis-cli"));
        client.args(["-e", "-p", &self.port().to_string()]);
        if let Some(password) = &self.config.password {
            client.env("REDISCLI_AUTH", password);
        }
        if self.config.tls.is_some() {
            client.args(["--tls", "--insecure"]);
        }
        run(client.args(arguments))
    }

    fn wait_until_ready(&mut self) {
        let port = self.port();
        let ready = self
            .daemon
            .until(|daemon| port::is_listened_on_by(port, daemon.id()).then_some(()));
        assert!(ready.is_some(), "redis does not listen:\n{}", self.log());
        // It listens before it has read its file.
        let ready = wait::until(AGREED, || {
            self.try_command(&["PING"]).status.success().then_some(())
        });
        assert!(ready.is_some(), "redis does not answer:\n{}", self.log());
    }
}

impl RedisCluster {
    /// Starts an empty cluster.
    ///
    /// # Panics
    /// If redis-server is not installed, or the nodes do not agree.
    #[must_use]
    pub fn start() -> Self {
        let node = |_| Redis::start_as(Role::ClusterNode, &RedisConfig::default());
        let nodes: Vec<_> = (0..4).map(node).collect();
        let cluster = Self { nodes };
        let [first, others @ ..] = &cluster.nodes[..] else {
            unreachable!("there are four")
        };
        for (node, (from, to)) in
            cluster
                .nodes
                .iter()
                .zip([(0, 5460), (5461, 10922), (10923, 16383)])
        {
            node.command(&[
                "CLUSTER",
                "ADDSLOTSRANGE",
                &from.to_string(),
                &to.to_string(),
            ]);
        }
        for node in others {
            let (port, bus) = (node.port().to_string(), bus_port(node).to_string());
            first.command(&["CLUSTER", "MEET", "127.0.0.1", &port, &bus]);
        }
        cluster.until("every node knows the others", |cluster| {
            let mut nodes = cluster.nodes.iter();
            nodes.all(|node| {
                let info = node.command(&["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:4")
            })
        });
        let master = first.command(&["CLUSTER", "MYID"]);
        let replica = &cluster.nodes[3];
        replica.command(&["CLUSTER", "REPLICATE", &master]);
        cluster.until("the replica is one", |cluster| {
            let replication = cluster.nodes[3].command(&["INFO", "replication"]);
            replication.contains("master_link_status:up")
        });
        cluster
    }

    /// The ports of its masters, and of the replica.
    #[must_use]
    pub fn ports(&self) -> Vec<u16> {
        self.nodes.iter().map(Redis::port).collect()
    }

    /// The node with this place in [`ports`](Self::ports).
    #[must_use]
    pub fn node(&self, place: usize) -> &Redis {
        &self.nodes[place]
    }

    /// Removes all keys.
    pub fn clear(&self) {
        for node in &self.nodes[..3] {
            node.command(&["FLUSHALL"]);
        }
    }

    /// Moves the slot of `key` from the first master to the second, with the keys in it.
    ///
    /// # Panics
    /// If the first master does not have it.
    pub fn move_slot(&self, key: &str) {
        let (from, to) = (&self.nodes[0], &self.nodes[1]);
        let slot = from.command(&["CLUSTER", "KEYSLOT", key]);
        let [source, target] = [from, to].map(|node| node.command(&["CLUSTER", "MYID"]));
        to.command(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source]);
        from.command(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target]);
        let keys = from.command(&["CLUSTER", "GETKEYSINSLOT", &slot, "1000"]);
        for key in keys.lines().filter(|key| !key.is_empty()) {
            let port = to.port().to_string();
            from.command(&["MIGRATE", "127.0.0.1", &port, key, "0", "10000"]);
        }
        for node in [to, from] {
            node.command(&["CLUSTER", "SETSLOT", &slot, "NODE", &target]);
        }
    }

    /// Kills the first master, and waits until its replica has taken its place.
    pub fn kill_first_master(&mut self) {
        // What was acknowledged must be at the replica, or it is lost.
        self.nodes[0].command(&["WAIT", "1", "60000"]);
        self.nodes[0].kill();
        self.until("the replica is a master", |cluster| {
            let replica = &cluster.nodes[3];
            let role = replica.command(&["INFO", "replication"]);
            let state = replica.command(&["CLUSTER", "INFO"]);
            role.contains("role:master") && state.contains("cluster_state:ok")
        });
    }

    fn until(&self, what: &str, mut is_so: impl FnMut(&Self) -> bool) {
        let reached = wait::until(AGREED, || is_so(self).then_some(()));
        let logs: Vec<_> = self.nodes.iter().map(Redis::log).collect();
        assert!(reached.is_some(), "never true: {what}\n{}", logs.join("\n"));
    }
}

fn command(
    role: Role,
    config: &RedisConfig,
    address: SocketAddrV4,
    directory: &TempDir,
) -> Command {
    let directory = directory.path();
    let port = address.port().to_string();
    let mut command = Command::new(program("redis-server"));
    command
        .args(["--bind", "127.0.0.1", "--dir"])
        .arg(directory);
    command.args(["--save", "", "--appendonly", "yes"]);
    match &config.tls {
        None => command.args(["--port", &port]),
        Some((certificate, key)) => command
            .args(["--port", "0", "--tls-port", &port])
            .arg("--tls-cert-file")
            .arg(certificate)
            .arg("--tls-key-file")
            .arg(key)
            .arg("--tls-ca-cert-file")
            .arg(certificate)
            .args(["--tls-auth-clients", "no"]),
    };
    if let Some(password) = &config.password {
        command.args(["--requirepass", password]);
    }
    if config.has_socket {
        command
            .arg("--unixsocket")
            .arg(directory.join("redis.sock"));
    }
    if role == Role::ClusterNode {
        // The usual port, 10,000 above the other one, may not exist. A node that starts again keeps it.
        let file = directory.join("bus-port");
        let bus =
            fs::read_to_string(&file).unwrap_or_else(|_| ReservedAddress::new().port().to_string());
        fs::write(&file, &bus).expect("a file for the port");
        command.args(["--cluster-enabled", "yes", "--cluster-port", &bus]);
        command.args(["--cluster-node-timeout", "1000"]);
    } else {
        // Each test that shares a server takes a database of its own.
        command.args(["--databases", "1000"]);
    }
    command
}

fn bus_port(node: &Redis) -> u16 {
    let file = node.directory.path().join("bus-port");
    let text = fs::read_to_string(file).expect("the file with the port");
    text.parse().expect("a port")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_what_it_was_told() {
        let mut redis = Redis::start(&RedisConfig::default());
        redis.command(&["SET", "a", "1"]);
        redis.kill();
        redis.start_again();
        assert_eq!(redis.command(&["GET", "a"]), "1");
    }
}
