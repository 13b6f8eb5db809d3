//! Replicas behind nginx, with accounts.

use std::path::Path;

use peers::{Nginx, Server, TestCertificate, TestKeyKind, http};
use tempfile::TempDir;

use super::world::{PROGRAM, Replicas};

/// bcrypt of `badmin`.
const ADMIN_HASH: &str = "$2y$05$KvtTTOOpGpQ6DjOUaNqmluOMkZQMFGEfmbG0xbayf0gCMr3uj9QTa";

/// Three replicas, and nginx, which sends each request to the next one. The user `admin` may do everything.
pub(super) struct Cluster {
    pub(super) replicas: Replicas,
    pub(super) nginx: Nginx,
    _keys: TempDir,
}

impl Cluster {
    /// `server` are further keys of that section, each with a comma before it; `storage` are keys of the storage
    /// beside the bucket.
    pub(super) fn start(server: &str, storage: &str) -> Self {
        let keys = tempfile::tempdir().unwrap();
        let mut replicas = Replicas::start(0, "", "");
        let config = replicas
            .config(&accounts(keys.path()), "  gc: {schedule: never}\n")
            .replace("'@addr@'", &format!("'@addr@'{server}"))
            .replace("  storage:\n", &format!("  storage:\n{storage}"));
        for _ in 0..3 {
            let server = Server::start(Path::new(PROGRAM), &config);
            replicas.servers.push(server);
        }
        let cluster = Self {
            nginx: replicas.balancer(),
            replicas,
            _keys: keys,
        };
        for number in 0..3 {
            cluster.wait_until_ready(number);
        }
        cluster
    }

    /// Waits until a replica can be used. It does not listen before.
    pub(super) fn wait_until_ready(&self, number: usize) {
        let ready = self.replicas.servers[number].url("/readyz");
        let is_ready = || http::try_request(&[&ready]).is_some_and(|answer| answer.status == 200);
        self.replicas.wait_until(is_ready);
    }

    /// `HOST:PORT` of nginx.
    pub(super) fn host(&self) -> String {
        self.nginx.host_port()
    }

    /// What a failure needs to be understood.
    pub(super) fn logs(&self) -> String {
        format!("{}== nginx ==\n{}", self.replicas.logs(), self.nginx.log())
    }
}

fn accounts(keys: &Path) -> String {
    let pair = TestCertificate::new(TestKeyKind::P256, keys, "token");
    format!(
        "token: {{issuer: i, expiration: 900, certificate: {}, key: {}}}\n\
         users: {{admin: {{password: '{ADMIN_HASH}'}}}}\n\
         acl: [{{match: {{account: admin}}, actions: ['*']}}]\n",
        pair.certificate.display(),
        pair.key.display(),
    )
}
