//! The sections of docker_auth's annotated example: each loads by itself, and all load together.
//!
//! Their keys and values are those of that example; paths are files of the fixture. A section that
//! is supported gets an entry here.

use std::fmt::Write;

use super::fixture::Fixture;

const SECTIONS: [(&str, &str); 8] = [
    (
        "server",
        r#"  addr: ":5001"
  net: "tcp"
  path_prefix: ""
  certificate: "{{dir}}/ec.pem"
  key: "{{dir}}/ec.key"
"#,
    ),
    (
        "token",
        r#"  issuer: "Acme auth server"
  expiration: 900
  certificate: "{{dir}}/ec.pem"
  key: "{{dir}}/ec.key"
"#,
    ),
    (
        "users",
        r#"  "admin":
    password: "$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC"
  "test":
    password: "$2y$05$WuwBasGDAgr.QCbGIjKJaep4dhxeai9gNZdmBnQXqpKly57oNutya"
  "": {}
"#,
    ),
    (
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
    (
        "ext_auth",
        r#"  command: "{{dir}}/program"
  args: ["--flag", "--more", "--flags"]
"#,
    ),
    (
        "acl",
        r#"  - match: {ip: "127.0.0.0/8"}
    actions: ["*"]
  - match: {ip: "::1"}
    actions: ["*"]
  - match: {account: "test", name: "test-*"}
    actions: ["*"]
  - match: {account: "test"}
    actions: []
  - match: {account: "/.+/", name: "${account}/*"}
    actions: ["*"]
  - match: {account: "/.+/", type: "registry", name: "catalog"}
    actions: ["*"]
  - match: {account: "", name: "hello-world"}
    actions: ["pull"]
  - match: {account: "/^(.+)@test.com$/", name: "${account:1}/*"}
    actions: []
  - match: {labels: {"group": "/trainee|dev/"}}
    actions: ["push", "pull"]
  - match: {name: "${labels:group}-shared/*"}
    actions: ["push", "pull"]
  - match: {name: "${labels:project}-{labels:tier}/*"}
    actions: ["push", "pull"]
"#,
    ),
    (
        "casbin_authz",
        r#"  model_path: "{{dir}}/model.conf"
  policy_path: "{{dir}}/policy.csv"
"#,
    ),
    (
        "ext_authz",
        r#"  command: "{{dir}}/program"
  args: ["--flag", "--more", "--flags"]
"#,
    ),
];

/// Sections without which a file is not complete.
const NEEDED: [&str; 4] = ["server", "token", "users", "acl"];

#[test]
fn each_section_of_the_example_loads_by_itself_and_all_together() {
    let fixture = Fixture::new();
    let mut all = String::new();
    for (name, text) in SECTIONS {
        let section = format!("{name}:\n{text}");
        let mut alone = section.clone();
        for needed in NEEDED.iter().filter(|needed| **needed != name) {
            writeln!(alone, "@{needed}").unwrap();
        }
        if let Err(wrong) = fixture.load(&alone) {
            panic!("{alone}\n{wrong}");
        }
        all += &section;
    }
    if let Err(wrong) = fixture.load(&all) {
        panic!("{wrong}");
    }
}
