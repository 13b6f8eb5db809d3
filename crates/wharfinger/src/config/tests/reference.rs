//! The sections of docker_auth's annotated example: each loads by itself, and all load together.
//!
//! Their keys and values are those of that example; paths are files of the fixture. What this version
//! refuses is there, too, with the words.

use std::fmt::Write;

use super::fixture::Fixture;

/// A section of the example.
struct ExampleSection {
    name: &'static str,
    text: &'static str,
    /// What is said if it is refused.
    refusal: Option<&'static str>,
}

const fn loads(name: &'static str, text: &'static str) -> ExampleSection {
    ExampleSection {
        name,
        text,
        refusal: None,
    }
}

const fn refused(name: &'static str, text: &'static str, refusal: &'static str) -> ExampleSection {
    ExampleSection {
        name,
        text,
        refusal: Some(refusal),
    }
}

const SECTIONS: &[ExampleSection] = &[
    loads(
        "server",
        r#"  addr: ":5001"
  net: "tcp"
  path_prefix: ""
  certificate: "{{dir}}/ec.pem"
  key: "{{dir}}/ec.key"
"#,
    ),
    loads(
        "token",
        r#"  issuer: "Acme auth server"
  expiration: 900
"#,
    ),
    loads(
        "users",
        r#"  "admin":
    password: "$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC"
  "test":
    password: "$2y$05$WuwBasGDAgr.QCbGIjKJaep4dhxeai9gNZdmBnQXqpKly57oNutya"
  "": {}
"#,
    ),
    loads(
        "google_auth",
        r#"  domain: "example.com"
  client_id: "1223123456-somethingsomething.apps.googleusercontent.com"
  client_secret_file: "{{dir}}/secret"
  level_token_db:
    path: "{{dir}}/google_tokens.ldb"
  http_timeout: "10s"
"#,
    ),
    loads(
        "github_auth",
        r#"  organization: "acme"
  client_id: "1223123456"
  client_secret_file: "{{dir}}/secret"
  level_token_db:
    path: "{{dir}}/github_tokens.ldb"
  http_timeout: "10s"
  revalidate_after: "1h"
  github_web_uri: "https://github.acme.com"
  github_api_uri: "https://github.acme.com/api/v3"
  registry_url: localhost:5000
"#,
    ),
    loads(
        "oidc_auth",
        r#"  issuer: "https://my_issuer_url"
  redirect_url: "https://my_redirect_uri/oidc_auth"
  client_id: "be4ut1fu1-cl13n7-1d"
  client_secret: "be4ut1fu1-cl13n7-s3cr37"
  level_token_db:
    path: "{{dir}}/tokens.ldb"
  http_timeout: "10s"
  registry_url: "url_of_my_beautiful_docker_registry"
  user_claim: email
  label_claims:
    - groups
  scopes:
    - openid
    - email
"#,
    ),
    loads(
        "gitlab_auth",
        r#"  client_id: "1223123456"
  client_secret_file: "{{dir}}/secret"
  level_token_db:
    path: "{{dir}}/gitlab_tokens.ldb"
  http_timeout: "10s"
  revalidate_after: "1h"
  gitlab_web_uri: "https://gitlab.com"
  gitlab_api_uri: "https://gitlab.com/api/v4"
  registry_url: localhost:5000
  grant_type: "authorization_code"
  redirect_uri: "https://localhost:5001/gitlab_auth"
"#,
    ),
    loads(
        "ldap_auth",
        r#"  addr: ldap.example.com:636
  tls: always
  insecure_tls_skip_verify: false
  ca_certificate:
  bind_dn:
  bind_password_file:
  base: o=example.com
  filter: (&(uid=${account})(objectClass=person))
  labels:
    title:
      attribute: title
    groups:
      attribute: memberOf
      parse_cn: true
      lower_case: true
"#,
    ),
    loads(
        "mongo_auth",
        r#"  dial_info:
    addrs: ["localhost"]
    timeout: "10s"
    database: "docker_auth"
    username: ""
    password_file: ""
    enable_tls: false
  collection: "users"
"#,
    ),
    loads(
        "xorm_auth",
        r#"  database_type: "mysql"
  conn_string: "username:password@/database_name?charset=utf8"
"#,
    ),
    loads(
        "ext_auth",
        r#"  command: "{{dir}}/program"
  args: ["--flag", "--more", "--flags"]
"#,
    ),
    refused(
        "plugin_authn",
        r#"  plugin_path: ""
"#,
        "plugin_authn: a plugin written in Go cannot be loaded",
    ),
    loads(
        "acl",
        r#"  - match: {ip: "127.0.0.0/8"}
    actions: ["*"]
    comment: "Allow everything from localhost (IPv4)"
  - match: {ip: "::1"}
    actions: ["*"]
  - match: {ip: "172.17.0.1"}
    actions: ["*"]
  - match: {account: "admin"}
    actions: ["*"]
  - match: {account: "test", name: "test-*"}
    actions: ["*"]
    comment: "User \"test\" has full access to test-* images but nothing else. (1)"
  - match: {account: "test"}
    actions: []
  - match: {account: "/.+/", name: "${account}/*"}
    actions: ["*"]
  - match: {account: "/.+/", type: "registry", name: "catalog"}
    actions: ["*"]
  - match: {account: "/.+/"}
    actions: ["pull"]
  - match: {account: "", name: "hello-world"}
    actions: ["pull"]
  - match: {account: "/^(.+)@test.com$/", name: "${account:1}/*"}
    actions: []
  - match: {labels: {"group": "VIP"}}
    actions: ["push"]
  - match: {labels: {"group": "/trainee|dev/"}}
    actions: ["push", "pull"]
  - match: {name: "${labels:group}-shared/*"}
    actions: ["push", "pull"]
  - match: {name: "${labels:project}/*"}
    actions: ["push", "pull"]
  - match: {name: "${labels:project}-{labels:tier}/*"}
    actions: ["push", "pull"]
  - match: {labels: {"title": "Developer"}}
    actions: ["*"]
  - match: {labels: {"groups": "Admin"}}
    actions: ["push"]
"#,
    ),
    loads(
        "acl_mongo",
        r#"  dial_info:
    addrs: ["localhost"]
    timeout: "10s"
    database: "docker_auth"
    username: ""
    password_file: ""
    enable_tls: false
  collection: "acl"
  cache_ttl: "1m"
"#,
    ),
    loads(
        "acl_xorm",
        r#"  database_type: "mysql"
  conn_string: "username:password@/database_name?charset=utf8"
  cache_ttl: "1m"
"#,
    ),
    loads(
        "casbin_authz",
        r#"  model_path: "{{dir}}/model.conf"
  policy_path: "{{dir}}/policy.csv"
"#,
    ),
    loads(
        "ext_authz",
        r#"  command: "{{dir}}/program"
  args: ["--flag", "--more", "--flags"]
"#,
    ),
    refused(
        "plugin_authz",
        r#"  plugin_path: ""
"#,
        "plugin_authz: a plugin written in Go cannot be loaded",
    ),
];

/// The stores that the example names in two sections at once, beside the LevelDB. Of them, docker_auth
/// uses the bucket.
const STORES: &str = r#"  gcs_token_db:
    bucket: "tokenBucket"
    client_secret_file: "{{dir}}/gcs.json"
  redis_token_db:
    redis_options:
      addr: localhost:6379
    redis_cluster_options:
      addrs: ["localhost:7000"]
"#;

/// What the example has in `server` besides, which docker_auth takes instead of `certificate`.
const LETSENCRYPT: &str = r#"server:
  addr: ":5001"
  letsencrypt:
    email: webmaster@example.org
    cache_dir: /data/sslcache
@token
@users
@acl
"#;

/// Sections without which a file is not complete. In the example, tokens are signed with the key of
/// `server`.
const NEEDED: [&str; 4] = ["server", "token", "users", "acl"];

#[test]
fn each_section_of_the_example_loads_by_itself_and_all_together() {
    let fixture = Fixture::new();
    let mut all = String::new();
    for ExampleSection {
        name,
        text,
        refusal,
    } in SECTIONS
    {
        let section = format!("{name}:\n{text}");
        let mut alone = section.clone();
        for needed in NEEDED.iter().filter(|needed| *needed != name) {
            match (*name, *needed) {
                ("token", "server") => write!(alone, "server:\n{}", SECTIONS[0].text).unwrap(),
                _ => writeln!(alone, "@{needed}").unwrap(),
            }
        }
        match (fixture.load(&alone), refusal) {
            (Ok(_), None) => all += &section,
            (Err(wrong), Some(refusal)) => {
                let wrong = wrong.to_string();
                assert!(wrong.contains(refusal), "{wrong}");
                assert_eq!(wrong.matches("error: ").count(), 1, "{wrong}");
            }
            (Ok(_), Some(_)) => panic!("it loads now: {alone}"),
            (Err(wrong), None) => panic!("{alone}\n{wrong}"),
        }
    }
    if let Err(wrong) = fixture.load(&all) {
        panic!("{wrong}");
    }
}

/// Both sections have the same bucket, in which a user of one would open as a user of the other.
#[test]
fn the_example_s_stores_load_in_each_section_and_are_not_shared() {
    let fixture = Fixture::new();
    let with_stores = |name: &str| {
        let section = SECTIONS
            .iter()
            .find(|section| section.name == name)
            .unwrap();
        format!("{name}:\n{}{STORES}", section.text)
    };
    let rest = "@server\n@token\n@users\n@acl\n";
    let (github, gitlab) = (with_stores("github_auth"), with_stores("gitlab_auth"));
    for section in [&github, &gitlab] {
        let found = fixture.findings(&format!("{section}{rest}"));
        assert!(!found.contains("error: "), "{found}");
        let counts = "redis_token_db: no effect: gcs_token_db counts, as in docker_auth";
        assert!(found.contains(counts), "{found}");
    }
    let shared = fixture.findings(&format!("{github}{gitlab}{rest}"));
    let told = "gitlab_auth: github_auth keeps its sign-ins in the same place";
    assert!(shared.contains(told), "{shared}");
    assert_eq!(shared.matches("error: ").count(), 1, "{shared}");
}

#[test]
fn the_example_s_certificates_from_elsewhere_need_a_host() {
    let fixture = Fixture::new();
    let found = fixture.findings(LETSENCRYPT);
    let missing = "error: server.letsencrypt.host is missing: ";
    assert!(found.contains(missing), "{found}");
    let with_host = "/data/sslcache\n    host: \"docker.example.org\"\n";
    let found = fixture.findings(&LETSENCRYPT.replace("/data/sslcache\n", with_host));
    assert!(!found.contains("error: "), "{found}");
}

/// All 18 rules, and the labels that the example's own sections give.
#[test]
fn the_example_s_rules_are_all_there() {
    let rules = SECTIONS.iter().find(|section| section.name == "acl");
    let rules = rules.unwrap().text;
    assert_eq!(rules.matches("- match: ").count(), 18);
    let fixture = Fixture::new();
    let loaded = fixture.load(&format!("@server\n@token\n@users\nacl:\n{rules}"));
    let printed = loaded.unwrap().effective.to_string();
    assert_eq!(printed.matches("match:").count(), 18, "{printed}");
}
