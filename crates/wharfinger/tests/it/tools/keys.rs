//! `wharfinger keys`.

use serde_json::{Value, json};
use token::{Jwk, JwkSet, KeyKind, PrivateKey};

use super::{Folder, mode};

#[test]
fn new_keys_of_every_kind_are_private_and_read_by_openssl() {
    let folder = Folder::new();
    let kinds = [
        ("", KeyKind::P256, "ECDSA P-256, ES256"),
        ("--algorithm ES384", KeyKind::P384, "ECDSA P-384, ES384"),
        ("--algorithm es512", KeyKind::P521, "ECDSA P-521, ES512"),
        (
            "--algorithm RS256",
            KeyKind::Rsa { bits: 2048 },
            "RSA, 2048 bits, RS256",
        ),
        (
            "--algorithm RS256 --bits 3072",
            KeyKind::Rsa { bits: 3072 },
            "RSA, 3072 bits, RS256",
        ),
        ("--algorithm EdDSA", KeyKind::Ed25519, "Ed25519, EdDSA"),
    ];
    for (index, (words, kind, told)) in kinds.into_iter().enumerate() {
        let name = format!("{index}.key");
        let output = folder.run(format!("keys new {name} {words}").trim());
        let key = PrivateKey::from_pem(&folder.read(&name)).unwrap();
        assert_eq!(key.public().kind(), kind);
        let ids = key.public().ids();
        let expected = format!(
            "{name}: {told}\n  libtrust id  {}\n  thumbprint   {}\n",
            ids.libtrust, ids.thumbprint
        );
        assert_eq!(output.stdout, expected);
        assert_eq!(
            output
                .stderr
                .starts_with("warning: registry 2.8 does not start"),
            kind == KeyKind::Ed25519
        );
        assert_eq!(mode(&folder.path(&name)), 0o600);
        let mut openssl = std::process::Command::new(peers::program("openssl"));
        peers::run(
            openssl
                .args(["pkey", "-noout", "-check", "-in"])
                .arg(folder.path(&name)),
        )
        .succeeded();
    }
}

#[test]
fn nothing_is_overwritten() {
    let folder = Folder::new();
    folder.said("keys new a.key");
    let before = folder.read("a.key");
    let (code, error) = folder.refused("keys new a.key");
    assert_eq!(code, 2);
    let expected = "error: a.key exists already and is not overwritten\n\
                    hint: choose another name, or move the old file away first\n";
    assert_eq!(error, expected);
    assert_eq!(folder.read("a.key"), before);
    let (code, error) = folder.refused("keys new nowhere/a.key");
    assert_eq!(code, 3);
    assert!(
        error.starts_with("error: cannot write nowhere/a.key: "),
        "{error}"
    );
    assert!(PrivateKey::from_pem(&folder.said("keys new -")).is_ok());
}

#[test]
fn sizes_that_are_invalid() {
    let folder = Folder::new();
    let (_, error) = folder.refused("keys new a.key --algorithm RS256 --bits 1024");
    assert!(
        error.contains("2048, 3072 or 4096 bits, not 1024"),
        "{error}"
    );
    let (_, error) = folder.refused("keys new a.key --bits 2048");
    assert!(error.contains("hint: add --algorithm RS256"), "{error}");
    assert!(!folder.path("a.key").exists());
}

#[test]
fn a_key_is_shown_whatever_form_it_has() {
    let folder = Folder::new();
    folder.said("certs new --host registry.example.com --out a");
    let key = PrivateKey::from_pem(&folder.read("a.key")).unwrap();
    let jwk = serde_json::to_string(&key.public().jwk()).unwrap();
    folder.write("a.jwk", &jwk);
    folder.write("a.jwks", &format!(r#"{{"keys": [{jwk}]}}"#));
    folder.write(
        "both",
        &format!("{}{}", folder.read("a.pem"), folder.read("a.key")),
    );
    let public = peers::run(
        std::process::Command::new(peers::program("openssl"))
            .args(["pkey", "-pubout", "-in"])
            .arg(folder.path("a.key")),
    );
    folder.write("a.pub", public.succeeded());
    for (file, forms) in [
        ("a.key", &["private key"][..]),
        ("a.pub", &["public key"]),
        ("a.pem", &["certificate"]),
        ("both", &["private key", "certificate"]),
        ("a.jwk", &["JWK"]),
        ("a.jwks", &["JWK"]),
    ] {
        let shown: Value =
            serde_json::from_str(&folder.said(&format!("keys show --json {file}"))).unwrap();
        let shown = shown.as_array().unwrap();
        assert_eq!(
            shown.iter().map(|key| &key["form"]).collect::<Vec<_>>(),
            forms,
            "{file}"
        );
        for one in shown {
            assert_eq!(one["libtrust"], key.public().libtrust_id(), "{file}");
            assert_eq!(
                Jwk::from_json(&one["jwk"].to_string()).unwrap().key,
                *key.public(),
                "{file}"
            );
        }
    }
    let text = folder.said("keys show both");
    assert!(
        text.starts_with("private key: ECDSA P-256, signs with ES256\n"),
        "{text}"
    );
    assert!(
        text.contains("\n  names         registry.example.com\n")
            && text.contains("\n  registry 3.0  xx0B"),
        "{text}"
    );
    assert!(!text.contains("PRIVATE KEY"), "{text}");
}

#[test]
fn what_holds_no_key_says_so() {
    let folder = Folder::new();
    folder.write("text", "hello\n");
    folder.write("json", "{}");
    folder.write("kty", r#"{"kty": "oct", "k": "AA"}"#);
    for (file, expected) in [
        (
            "text",
            "error: cannot use text: there is no certificate in it, only text\n",
        ),
        (
            "json",
            "error: cannot use json: not a JSON Web Key: it has no \"keys\"\n",
        ),
        (
            "kty",
            "error: cannot use kty: a key of kind \"oct\" verifies no tokens\n",
        ),
    ] {
        assert_eq!(
            folder.refused(&format!("keys show {file}")),
            (2, expected.to_owned())
        );
    }
}

#[test]
fn a_key_set_has_the_ids_asked_for() {
    let folder = Folder::new();
    folder.said("certs new --host a.example.com --out a");
    folder.said("keys new b.key --algorithm RS256");
    let [a, b] = ["a.key", "b.key"].map(|file| {
        PrivateKey::from_pem(&folder.read(file))
            .unwrap()
            .public()
            .ids()
    });
    let ids = |words: &str| {
        let text = folder.said(&format!("keys jwks {words}"));
        assert!(!text.contains("\"d\""), "{text}");
        let set = JwkSet::from_json(&text).unwrap();
        assert!(
            set.keys
                .iter()
                .all(|key| key.usage.as_deref() == Some("sig") && key.algorithm.is_some())
        );
        set.keys
            .into_iter()
            .map(|key| key.key_id.unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(ids("a.key"), [a.libtrust.clone(), a.thumbprint.clone()]);
    assert_eq!(
        ids("a.key a.pem b.key --kid libtrust"),
        [a.libtrust, b.libtrust]
    );
    assert_eq!(ids("a.pem --kid thumbprint"), [a.thumbprint]);
    assert_eq!(ids("b.key --name 2033-05"), ["2033-05"]);
    let (_, error) = folder.refused("keys jwks a.key b.key --name x");
    assert!(
        error.starts_with("error: --name is for one key, and there are 2\n"),
        "{error}"
    );
    let text = folder.said("keys jwks b.key --kid libtrust");
    let members: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&members["keys"][0]["alg"], &members["keys"][0]["use"]),
        (&json!("RS256"), &json!("sig"))
    );
}
