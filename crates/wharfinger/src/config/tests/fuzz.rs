//! Configurations of both dialects, tried with mutations.

use std::str::from_utf8;

use super::fixture::Fixture;

const OURS: &str = "\
server: {addr: 127.0.0.1:5001}
token: &t {issuer: a, expiration: 900, header: [kid, x5c]}
users: {\"ann\": {password: \"$2y$05$x\", labels: {group: [a, b]}}, \"\": {}}
acl:
  - match: {account: \"/^(.+)$/\", name: \"${account:1}/*\", ip: 10.0.0.0/8}
    actions: [\"*\"]
  - {match: {}, actions: [pull], comment: !!str x}
";

const DISTRIBUTION: &str = "\
version: 0.1
log: {level: info, fields: {a: b}}
storage:
  filesystem: {rootdirectory: /var/lib/registry}
  delete: {enabled: true}
  cache: {blobdescriptor: inmemory}
http:
  addr: :5000
  prefix: /registry/
  headers: {X-Content-Type-Options: [nosniff]}
auth:
  token: {realm: https://a/token, service: s, issuer: i, rootcertbundle: /x}
health: {storagedriver: {enabled: true, interval: 10s, threshold: 3}}
";

#[test]
fn fuzz_configuration() {
    let fixture = Fixture::new();
    fuzz::target("configuration", &[OURS, DISTRIBUTION, "a: b"], |bytes| {
        let Ok(text) = from_utf8(bytes) else {
            return false;
        };
        let found = fixture.findings(text);
        assert!(!found.contains("a defect of this program"), "{found}");
        // Few are whole; what is kept is what at least can be read as YAML.
        crate::config::yaml::read(text).0.is_some()
    });
}
