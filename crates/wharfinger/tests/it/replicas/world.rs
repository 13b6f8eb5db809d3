//! Replicas with what they share.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;

use peers::{FaultProxy, Nginx, Output, Postgres, Server, VersityGateway, run};

pub(super) const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// Replicas of one server, with their database and their bucket, which is behind a proxy.
pub(super) struct Replicas {
    pub(super) postgres: Postgres,
    pub(super) gateway: VersityGateway,
    pub(super) proxy: FaultProxy,
    pub(super) servers: Vec<Server>,
}

/// Access for everyone, and a collection that removes content soon.
pub(super) const OPEN: &str = "  auth: {none: true}\n  gc: {schedule: never, grace: 1s}\n";

impl Replicas {
    /// So many replicas. `sections` are the configuration's, beside the database; `registry` are the keys of
    /// that section, beside the storage.
    pub(super) fn start(count: usize, sections: &str, registry: &str) -> Self {
        let postgres = Postgres::start();
        postgres.run("postgres", "CREATE ROLE wharfinger LOGIN PASSWORD 'sesame'");
        postgres.run("postgres", "CREATE DATABASE wharfinger OWNER wharfinger");
        let gateway = VersityGateway::start();
        let proxy = FaultProxy::start(gateway.host_port());
        let mut replicas = Self {
            postgres,
            gateway,
            proxy,
            servers: Vec::new(),
        };
        let config = replicas.config(sections, registry);
        for _ in 0..count {
            let server = Server::start(Path::new(PROGRAM), &config);
            replicas.servers.push(server);
        }
        replicas
    }

    /// The configuration that all of them have.
    pub(super) fn config(&self, sections: &str, registry: &str) -> String {
        format!(
            "server: {{addr: '@addr@'}}\n\
             database: {{url: 'postgres://wharfinger:sesame@127.0.0.1:{port}/wharfinger?sslmode=disable'}}\n\
             {sections}\
             registry:\n{registry}  storage:\n    s3:\n      bucket: {bucket}\n      \
             rootdirectory: /registry\n      region: {region}\n      regionendpoint: {endpoint}\n      \
             secure: false\n      accesskey: {access}\n      secretkey: {secret}\n      chunksize: 5MiB\n",
            port = self.postgres.port(),
            bucket = self.gateway.bucket(),
            region = self.gateway.region(),
            endpoint = self.proxy.host_port(),
            access = self.gateway.access_key(),
            secret = self.gateway.secret_key(),
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

    pub(super) fn logs(&self) -> String {
        let mut logs = String::new();
        for (number, server) in self.servers.iter().enumerate() {
            let _ = writeln!(logs, "== replica {number} ==\n{}", server.log());
        }
        logs
    }
}
