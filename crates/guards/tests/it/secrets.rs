//! What `{:?}` must not show: hashes, passwords and other secrets.

use crate::source::{code, crates, files, root};

/// How the names of fields end that hold a secret, or the hash of one.
const SECRET: [&str; 4] = ["password", "passphrase", "hash", "secret"];

/// The types that show what they hold.
const SHOWN: [&str; 6] = [
    "String",
    "Option<String>",
    "Box<str>",
    "&'a str",
    "&str",
    "Vec<u8>",
];

#[test]
fn no_type_that_derives_debug_shows_a_secret() {
    let mut read = 0;
    let mut found = Vec::new();
    // The servers of tests have passwords that are no secrets.
    for name in crates().into_iter().filter(|name| name != "peers") {
        let src = root().join("crates").join(&name).join("src");
        for file in files(&src, ".rs") {
            let text = code(&std::fs::read_to_string(&file).unwrap());
            let place = file.strip_prefix(root().join("crates")).unwrap();
            for body in debug_bodies(&text) {
                read += 1;
                let fields = shown_secrets(body);
                found.extend(fields.map(|field| format!("{}: {field}", place.display())));
            }
        }
    }
    assert!(read > 300, "only {read} types were read");
    let advice = "use common::Secret, or do not derive Debug";
    assert!(found.is_empty(), "{advice}: {found:#?}");
}

/// The bodies of the types in `code` that derive `Debug`.
fn debug_bodies(code: &str) -> impl Iterator<Item = &str> {
    code.split("#[derive(").skip(1).filter_map(|rest| {
        let (traits, rest) = rest.split_once(")]")?;
        let derives_debug = traits.split(',').any(|name| name.trim() == "Debug");
        let (body, _) = rest.split_once("\n}")?;
        derives_debug.then_some(body)
    })
}

/// The fields of a type whose names say that they are secret, and whose types are shown.
fn shown_secrets(body: &str) -> impl Iterator<Item = &str> {
    let fields = body.lines().map(str::trim);
    fields.filter(|field| {
        let Some((name, kind)) = field.trim_end_matches(',').split_once(": ") else {
            return false;
        };
        let is_secret = SECRET.iter().any(|ending| name.ends_with(ending));
        is_secret && SHOWN.contains(&kind)
    })
}

#[test]
fn a_shown_secret_is_found() {
    let code = "#[derive(Clone, Debug)]\npub struct A {\n    pub password_hash: String,\n    name: String,\n}\n\
                #[derive(Clone)]\nstruct B {\n    hash: String,\n}\n#[derive(Debug)]\nstruct C {\n    secret: Secret,\n}\n";
    let found: Vec<_> = debug_bodies(code).flat_map(shown_secrets).collect();
    assert_eq!(found, ["pub password_hash: String,"]);
}
