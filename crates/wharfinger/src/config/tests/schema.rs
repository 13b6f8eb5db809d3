//! The JSON Schema: it takes the manual's examples and the files of the tests, and refuses what is
//! no configuration.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::fixture::Fixture;
use crate::config::schema;
use crate::config::yaml::{self, Node, Plain};

/// Every key that can stand beside the others.
const EVERYTHING: &str = include_str!("everything.yml");

/// The keys that cannot, a file each.
const APART: [&str; 12] = [
    "@token\n@users\n@acl\nserver: {addr: \":1\", letsencrypt: {email: a@example.com, host: [a.example], cache_dir: /no/such/cache, directory: \"https://ca.example/dir\", challenge: http-01, http_addr: \":80\", eab: {key_id: k, hmac_key: AQID}, ca_certificate: \"{{dir}}/ec.pem\"}}\n",
    "@server\nregistry: {storage: {inmemory: true}, auth: {none: true}}\n",
    "server: {addr: \":1\", hsts: true, net: tcp}\nregistry: {auth: {htpasswd: {realm: R, path: \"{{dir}}/htpasswd\"}}}\n",
    "server: {addr: \":1\"}\nregistry: {auth: {none: true}}\n",
    "@server\nregistry: {auth: {none: true}, storage: {redirect: {enabled: true, from: 1MiB, lifetime: 10m, endpoint: \"https://images.example\", except: [10.0.0.0/8]}, s3: {bucket: b, rootdirectory: r, region: us-east-1, secure: true, regionendpoint: \"https://s3.example\", forcepathstyle: true, accesskey: a, secretkey: s, sessiontoken: t, encrypt: true, keyid: k, storageclass: STANDARD, checksum: crc64nvme, chunksize: 16MiB, useragent: u, ca_certificate: \"{{dir}}/ec.pem\", skipverify: true}}}\n",
    "@server\n@token\n@acl\noidc_auth: {issuer: \"https://a.example\", redirect_url: \"https://b.example/oidc_auth\", client_id: c, client_secret_file: \"{{dir}}/issuer\", labels_claims: [groups]}\n",
    "@server\n@users\n@acl\ntoken: {issuer: I, expiration: 60, key: \"{{dir}}/ec.key\", disable_legacy_key_id: yes}\n",
    "@server\n@users\nacl: [{match: {}, actions: [], comment: x}]\ntoken: {issuer_file: \"{{dir}}/issuer\", expiration: 1h, key: \"{{dir}}/ec.key\", header: [kid]}\nregistry: {auth: {token: [{realm: \"https://a.example/t\", service: s, issuer: J, jwks: \"https://a.example/k\"}]}, headers: {A: b, C: [d, e]}}\n",
    "@server\n@token\nsql_auth: {database_type: postgres, conn_string: 'host=db sslmode=verify-full', query: 'SELECT ${account}', timeout: 5s, connections: 8}\nacl_sql: {database_type: mariadb, conn_string: '@/auth', query: 'SELECT 1', timeout: 5s, connections: 8, cache_ttl: 60, max_stale: 2h}\n",
    "@server\n@token\n@acl\ngoogle_auth: {client_id: c, client_secret: s, token_db: database, redirect_url: \"https://a.example/google_auth\"}\ngithub_auth: {client_id: c, client_secret: s, token_db: database}\noidc_auth: {client_id: c, client_secret: s, token_db: database, issuer: \"https://a.example\", redirect_url: \"https://b.example/oidc_auth\"}\ngitlab_auth: {client_id: c, client_secret: s, token_db: database, redirect_uri: \"https://a.example/gitlab_auth\"}\n",
    "@server\n@token\n@users\n@acl\ndatabase: {url: \"postgres://w@db.example/w\", password_file: \"{{dir}}/secret\", connections: 4, look: 20ms}\n",
    "@server\n@token\nmongo_auth: {dial_info: {uri: 'mongodb://localhost/auth'}, collection: users}\nacl_mongo: {dial_info: {addrs: [localhost], direct: true, timeout: 0, failfast: true, database: auth, source: admin, service: '', mechanism: PLAIN, username: u, password: p, password_file: '', enable_tls: yes, replica_set: r, ca_certificate: \"{{dir}}/ec.pem\"}, collection: acl}\n",
];

#[test]
fn example_files_are_valid_and_have_every_key() {
    let fixture = Fixture::new();
    let schema = schema::json::of_configuration();
    let mut keys = BTreeSet::new();
    for text in std::iter::once(EVERYTHING).chain(APART) {
        let file = fixture.filled(text);
        if let Err(wrong) = fixture.load(text) {
            panic!("{text}\n{wrong}");
        }
        let tree = yaml::read(&file).0.unwrap();
        let value = json_of(&tree);
        let errors = errors(&schema, &value, "");
        assert!(errors.is_empty(), "{text}\n{errors:#?}");
        paths(&value, "", &mut keys);
    }
    let mut missing = Vec::new();
    schema::walk(&schema::of_configuration(), &mut |path, key| {
        // Names that the operator chooses stand between the parts of a path.
        let is_there = keys.iter().any(|known| covers(path, known));
        if !is_there && !key.later && !path.contains(".services.") {
            missing.push(path.to_owned());
        }
    });
    assert_eq!(missing, [""; 0], "keys that no example file has");
}

#[test]
fn what_is_no_configuration_is_invalid() {
    let schema = schema::json::of_configuration();
    for (text, at) in [
        ("server: {addr: \":1\"}\n", ""),
        ("server: {adr: \":1\"}\nregistry: {}\n", "/server"),
        (
            "server: {addr: \":1\", limits: 5}\nregistry: {}\n",
            "/server/limits",
        ),
        (
            "server: {addr: \":1\", limits: {connections: 0}}\nregistry: {}\n",
            "/server/limits/connections",
        ),
        (
            "server: {addr: \":1\", log: {level: loud}}\nregistry: {}\n",
            "/server/log/level",
        ),
        (
            "server: {addr: \":1\", limits: {idle_timeout: soon}}\nregistry: {}\n",
            "/server/limits/idle_timeout",
        ),
        ("server: {addr: \":1\"}\ntoken: {expiration: 9}\n", "/token"),
        (
            "server: {addr: \":1\"}\nregistry: {}\nacl: [{match: {acount: a}, actions: []}]\n",
            "/acl/0/match",
        ),
    ] {
        let value = json_of(&yaml::read(text).0.unwrap());
        let errors = errors(&schema, &value, "");
        assert!(
            errors.iter().any(|error| error.starts_with(at)),
            "{text}{errors:#?}"
        );
        assert!(!errors.is_empty(), "{text}");
    }
}

/// Whether the path of a key is `known`, in which names and items stand between its parts.
fn covers(path: &str, known: &str) -> bool {
    let mut parts = known.split('.');
    path.split('.').all(|part| parts.any(|other| other == part)) && parts.next().is_none()
}

/// The path of each value in `value`.
fn paths(value: &Value, above: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(entries) => {
            for (key, value) in entries {
                let path = if above.is_empty() {
                    key.clone()
                } else {
                    format!("{above}.{key}")
                };
                into.insert(path.clone());
                paths(value, &path, into);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| paths(item, above, into)),
        _ => {}
    }
}

/// YAML as an editor's parser reads it.
fn json_of(node: &Node) -> Value {
    match &node.value {
        yaml::Value::Null => Value::Null,
        yaml::Value::Scalar(scalar) => match scalar.plain() {
            Some(Plain::Bool(flag)) => flag.into(),
            Some(Plain::Integer(number)) => number.into(),
            Some(Plain::Float(number)) => number.into(),
            Some(Plain::Text) | None => scalar.text().into(),
        },
        yaml::Value::Sequence(items) => items.iter().map(json_of).collect(),
        yaml::Value::Mapping(entries) => {
            let entries = entries.iter();
            let entries = entries.map(|entry| (entry.key.clone(), json_of(&entry.value)));
            Value::Object(entries.collect())
        }
    }
}

/// Where `value` breaks `schema`, for the words that our schema uses. An independent validator
/// agrees; this one needs no dependency.
fn errors(schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let Value::Object(words) = schema else {
        return match schema {
            Value::Bool(false) => vec![format!("{at}: not allowed")],
            _ => Vec::new(),
        };
    };
    let mut found = Vec::new();
    for (word, says) in words {
        let fine = match word.as_str() {
            "$schema" | "title" | "description" => true,
            "type" => {
                let types = says
                    .as_array()
                    .cloned()
                    .unwrap_or_else(|| vec![says.clone()]);
                types
                    .iter()
                    .any(|kind| is_of_type(value, kind.as_str().unwrap()))
            }
            "enum" => says.as_array().unwrap().contains(value),
            "pattern" => value
                .as_str()
                .is_none_or(|text| matches(says.as_str().unwrap(), text)),
            "minimum" => value.as_f64().is_none_or(|n| n >= says.as_f64().unwrap()),
            "maximum" => value.as_f64().is_none_or(|n| n <= says.as_f64().unwrap()),
            "required" => {
                let keys = says.as_array().unwrap();
                let has = |key: &Value| value.get(key.as_str().unwrap()).is_some();
                !value.is_object() || keys.iter().all(has)
            }
            "anyOf" => {
                let mut tried = says.as_array().unwrap().iter();
                let all: Vec<_> = tried.by_ref().map(|one| errors(one, value, at)).collect();
                let fine = all.iter().any(Vec::is_empty);
                if !fine {
                    found.extend(all.into_iter().flatten());
                }
                fine
            }
            "allOf" => {
                for one in says.as_array().unwrap() {
                    found.extend(errors(one, value, at));
                }
                true
            }
            "items" => {
                for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(errors(says, item, &format!("{at}/{index}")));
                }
                true
            }
            "properties" => {
                for (key, schema) in says.as_object().unwrap() {
                    if let Some(value) = value.get(key) {
                        found.extend(errors(schema, value, &format!("{at}/{key}")));
                    }
                }
                true
            }
            "patternProperties" => true,
            "additionalProperties" => {
                let known = words
                    .get("properties")
                    .cloned()
                    .unwrap_or_else(|| json!({}));
                for (key, value) in value.as_object().into_iter().flatten() {
                    let is_scratch =
                        words.contains_key("patternProperties") && key.starts_with("x-");
                    if known.get(key).is_none() && !is_scratch {
                        found.extend(errors(says, value, &format!("{at}/{key}")));
                    }
                }
                true
            }
            other => panic!("the validator does not know {other}"),
        };
        if !fine {
            found.push(format!("{at}: {word} {says}"));
        }
    }
    found
}

fn is_of_type(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the validator does not know the type {other}"),
    }
}

/// The three patterns of our schema, as the program itself reads such texts.
fn matches(pattern: &str, text: &str) -> bool {
    if pattern.contains("env:") {
        text.contains("${env:")
    } else if pattern.contains("KiB") {
        crate::size::parse_size(text).is_ok()
    } else {
        common::parse_duration(text).is_ok()
    }
}
