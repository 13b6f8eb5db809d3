//! `mongodb+srv://`: the servers are looked up in DNS.

use std::fs;

use peers::{TestCertificate, TestKeyKind, in_network, program};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// In a network with a name server of its own, and MongoDB's port free.
#[test]
fn servers_are_looked_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    let _ = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("resolv.conf", "nameserver 127.0.0.1\n");
    write("dns.py", include_str!("mongo_srv.py"));
    write(
        "auth.yml",
        &format!(
            "server: {{addr: '127.0.0.1:0'}}\n\
             token: {{issuer: i, expiration: 900, certificate: {path}/token.pem, key: {path}/token.key}}\n\
             mongo_auth:\n  \
             dial_info: {{uri: 'mongodb+srv://cluster.example.test/auth?tls=false', failfast: true}}\n  \
             collection: users\nacl: []\n"
        ),
    );
    let script = format!(
        "cd {path}\n\
         {} --bind resolv.conf /etc/resolv.conf\n\
         {} dns.py &\n\
         mkdir data\n\
         {} --handler=sqlite --telemetry=disable --debug-addr=- --sqlite-url=file:{path}/data/ >log 2>&1 &\n\
         until {PROGRAM} check --connect auth.yml >found 2>&1; do sleep 0.1; done\n\
         cat found",
        program("mount").display(),
        program("python3").display(),
        program("ferretdb").display(),
    );
    let output = in_network(&[], &script);
    let found = output.succeeded();
    assert!(
        found.contains("mongo_auth: connected; the collection is empty"),
        "{found}"
    );
}
