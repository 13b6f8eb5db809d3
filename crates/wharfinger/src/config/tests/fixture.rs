//! A folder with keys and other files, and configurations read in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::token::{CertificateRequest, JwkSet, KeyKind, PrivateKey};
use common::SystemEntropy;

use crate::config::context::Context;
use crate::config::load::load_in;
use crate::config::{Diagnostics, LoadedConfig};

/// When the tests take place; `old.pem` has expired by then.
pub(super) const NOW: Duration = Duration::from_secs(1_800_000_000);

/// The sections that a case may leave to one `@` line each.
const SECTIONS: [(&str, &str); 4] = [
    ("@server", "server: {addr: \"127.0.0.1:5001\"}"),
    (
        "@token",
        "token: {issuer: I, expiration: 900, key: \"{{dir}}/ec.key\", certificate: \"{{dir}}/ec.pem\"}",
    ),
    (
        "@users",
        "users: {ann: {password: \"$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC\"}}",
    ),
    ("@acl", "acl: [{match: {account: ann}, actions: [\"*\"]}]"),
];

pub(super) struct Fixture(tempfile::TempDir);

impl Fixture {
    /// A folder with `ec`, `rsa`, `ed` and `old`, each a `.key` and its `.pem`, and files that are
    /// wrong.
    pub(super) fn new() -> Self {
        let fixture = Self(tempfile::tempdir().unwrap());
        let year = Duration::from_secs(365 * 86_400);
        let rsa = KeyKind::Rsa { bits: 2048 };
        for (name, kind, not_after) in [
            ("ec", KeyKind::P256, NOW + year),
            ("rsa", rsa, NOW + year),
            ("ed", KeyKind::Ed25519, NOW + year),
            ("old", KeyKind::P256, NOW - year),
        ] {
            let request = CertificateRequest {
                common_name: name.to_owned(),
                hosts: vec!["localhost".to_owned()],
                addresses: Vec::new(),
                not_before: UNIX_EPOCH + NOW - 2 * year,
                not_after: UNIX_EPOCH + not_after,
                authority: false,
            };
            let key = PrivateKey::generate(kind).unwrap();
            let certificate = request.self_signed(&key, &SystemEntropy).unwrap();
            fixture.write(&format!("{name}.key"), &key.to_pkcs8_pem().unwrap());
            fixture.write(&format!("{name}.pem"), &certificate.to_pem());
            if name == "ec" {
                let whole = certificate.to_pem();
                fixture.write("cut.pem", &format!("{whole}{}", &whole[..100]));
            }
        }
        let rsa_key = fs::read_to_string(fixture.path().join("rsa.key")).unwrap();
        let key_file = serde_json::json!({
            "type": "service_account",
            "client_email": "wharf@example.iam.gserviceaccount.com",
            "private_key": rsa_key,
        });
        fixture.write("gcs.json", &key_file.to_string());
        fixture.write("issuer", "From a file\r\n");
        fixture.write("secret", "s3cr3t\n");
        fixture.write("password", "secret\n");
        fixture.write(
            "hash",
            "$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC\n",
        );
        fixture.write(
            "htpasswd",
            "# comment\nbob:$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC\n",
        );
        fixture.write(
            "bad.htpasswd",
            "bob\n\neve:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n",
        );
        let hash = "$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC";
        fixture.write(
            "old.htpasswd",
            &format!(
                "old:$apr1$a$b\nsha:{{SHA}}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\nplain:hunter2\n\
                 bob:{hash}\nbob:{hash}\nextra:{hash}:more\n:{hash}\nann:{hash}\n"
            ),
        );
        fixture.write(
            "model.conf",
            "[request_definition]\nr = account, type, name, service, ip, action, labels\n\
             [policy_definition]\np = account, name\n[policy_effect]\n\
             e = some(where (p.eft == allow))\n[matchers]\n\
             m = r.account == p.account && keyMatch2(r.name, p.name)\n",
        );
        fixture.write("jwks.json", &fixture.key_set("ec"));
        fixture.write("empty.jwks", "{\"keys\": []}");
        fixture.write("policy.csv", "p, ann, team/:name\n");
        fixture.write("bad.csv", "p, ann\n# comment\np, ann, (\n");
        fixture.write("program", "#!/bin/sh\n");
        fs::set_permissions(
            fixture.path().join("program"),
            fs::Permissions::from_mode(0o755),
        )
        .unwrap();
        fixture
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// A configuration with its `@` lines and `{{dir}}` replaced.
    pub(super) fn filled(&self, text: &str) -> String {
        let mut lines = Vec::new();
        for line in text.split('\n') {
            lines.push(
                SECTIONS
                    .iter()
                    .find(|(short, _)| *short == line)
                    .map_or(line, |(_, section)| section),
            );
        }
        lines.join("\n").replace("{{dir}}", &self.folder())
    }

    /// Reads a configuration, `@` lines and `{{dir}}` replaced.
    pub(super) fn load(&self, text: &str) -> Result<LoadedConfig, Diagnostics> {
        self.write("c.yml", &self.filled(text));
        let path = self.path().join("c.yml");
        load_in(Context::new(&path, environment, UNIX_EPOCH + NOW), &path)
    }

    /// What is said about a configuration, the folder's own path left out.
    pub(super) fn findings(&self, text: &str) -> String {
        let found = match self.load(text) {
            Ok(loaded) => loaded
                .warnings
                .iter()
                .map(|warning| format!("{warning}\n"))
                .collect(),
            Err(wrong) => format!("{wrong}\n"),
        };
        found
            .replace(&format!("{}/", self.folder()), "")
            .replace(&format!("{}/", self.path().display()), "")
    }

    /// The folder as configurations name it: with as many slashes behind it as make the name
    /// equally long wherever temporary files go, since findings count columns.
    pub(super) fn folder(&self) -> String {
        format!("{:/<80}", self.path().display().to_string())
    }

    /// The public key of a pair as a set of keys.
    fn key_set(&self, name: &str) -> String {
        let pem = fs::read_to_string(self.0.path().join(format!("{name}.key"))).unwrap();
        let jwk = PrivateKey::from_pem(&pem).unwrap().public().jwk();
        serde_json::to_string(&JwkSet::from_iter([jwk])).unwrap()
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path().join(name), content).unwrap();
    }
}

fn environment(name: &str) -> Option<String> {
    let value = match name {
        "ISSUER" => "From the environment",
        "EXPIRATION" => "600",
        "PATH" => "/usr/bin:/bin",
        "STATE_DIRECTORY" => "/var/lib/here",
        _ => return None,
    };
    Some(value.to_owned())
}

/// The moment `seconds` after 1970.
pub(super) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}
