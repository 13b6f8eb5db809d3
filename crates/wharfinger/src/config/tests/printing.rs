//! `check --print`: what is in effect, readable by people and by this program again.

use super::fixture::Fixture;

const FULL: &str = r#"server:
  addr: [":5001", "/run/w.sock"]
  certificate: "{{dir}}/ec.pem"
  key: "{{dir}}/ec.key"
  path_prefix: /auth
  real_ip_header: X-Forwarded-For
  real_ip_pos: -1
  trusted_proxies: [10.0.0.0/8, "::1"]
  hsts: true
  public_url: https://auth.example.com/
  log: {level: debug, format: json}
token:
  issuer: "I \"quoted\""
  expiration: 900
  keys: [{key: "{{dir}}/rsa.key", certificate: "{{dir}}/rsa.pem", not_after: 2030-01-01}, {key: "{{dir}}/ed.key"}]
  header: [kid, jwk]
  services: {"a: b": {header: x5c}}
users_htpasswd: "{{dir}}/htpasswd"
acl:
  - match: {account: "/^(.+)$/", name: "${account:1}/*", ip: 10.0.0.0/8, labels: {g: "a*"}}
    actions: [pull, push]
    comment: "a \\d 'b'\n"
  - match: {}
    actions: []
acl_quote_labels: on
ext_authz: {command: "{{dir}}/program", args: ["-c", exit 1], concurrency: 3}
refresh_tokens: {}
login: {parallel: 3, per_account: off}
"#;

#[test]
fn what_is_printed_means_the_same() {
    let fixture = Fixture::new();
    let printed = fixture.load(FULL).unwrap().effective.to_string();
    let again = fixture
        .load(&printed)
        .unwrap_or_else(|wrong| panic!("{wrong}\n{printed}"))
        .effective
        .to_string();
    assert_eq!(printed, again);
    let printed = printed.replace(&fixture.folder(), "DIR");
    insta::assert_snapshot!(printed);
}

const REGISTRY: &str = r#"server: {addr: ":5000"}
registry:
  addr: "127.0.0.1:5002"
  storage: {filesystem: {root: /srv/cargo}, delete: no, maintenance: {readonly: yes}}
  auth:
    token:
      - {realm: "https://a.example/token", service: hub, issuer: A, rootcertbundle: "{{dir}}/ec.pem"}
      - {realm: "https://b.example/token", service: hub, issuer: B, jwks: "https://b.example/keys"}
  catalog: {filter: no, max: 50}
  uploads: {expire: 2d}
  gc: {schedule: off, grace: 2h, untagged: 30d}
  retention: {schedule: off, undelete: 1d, untagged: remove, rules: [{repositories: '**', tags: 'pr-*', keep: {last_pushed: 3, tags: [a, b]}}]}
  limits: {manifest: 8MiB, blob: 10GiB, uploads_per_client: 5}
  headers: {X-One: a, X-Two: [b, "c \"d\""]}
  relative_urls: true
  quotas: [{prefix: team/app, bytes: 1536MiB}, {prefix: '*', tags: 100, warn_at: 75}]
"#;

#[test]
fn a_printed_registry_means_the_same() {
    let fixture = Fixture::new();
    let printed = fixture
        .load(REGISTRY)
        .unwrap_or_else(|wrong| panic!("{wrong}"))
        .effective
        .to_string();
    let again = fixture
        .load(&printed)
        .unwrap_or_else(|wrong| panic!("{wrong}\n{printed}"))
        .effective
        .to_string();
    assert_eq!(printed, again);
    let printed = printed.replace(&fixture.folder(), "DIR");
    let start = printed.find("registry:").unwrap();
    insta::assert_snapshot!(&printed[start..]);
}

const BUCKET: &str = r#"server: {addr: ":5000"}
database: {url: "sqlite:///w.db"}
registry:
  auth: {none: true}
  storage: {s3: {bucket: b}, redirect: {except: [10.0.0.0/8]}}
"#;

#[test]
fn a_printed_bucket_means_the_same_and_has_no_files() {
    let fixture = Fixture::new();
    let print = |text: &str| {
        let loaded = fixture.load(text);
        let loaded = loaded.unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
        loaded.effective.to_string()
    };
    let printed = print(BUCKET);
    assert_eq!(print(&printed), printed);
    assert!(!printed.contains("filesystem"), "{printed}");
    assert!(
        printed
            .contains("redirect:\n      enabled: true\n      from: 64KiB\n      lifetime: 20m\n"),
        "{printed}"
    );
    let files = print("server: {addr: \":5000\"}\nregistry: {auth: {none: true}}\n");
    assert!(!files.contains("redirect"), "{files}");
}

#[test]
fn passwords_are_not_printed() {
    let fixture = Fixture::new();
    let printed = fixture
        .load("@server\n@token\n@users\n@acl\n")
        .unwrap()
        .effective
        .to_string();
    assert!(
        printed.contains("users:\n  \"ann\":\n    password: (hidden)\n"),
        "{printed}"
    );
    assert!(!printed.contains("$2y$"));
}
