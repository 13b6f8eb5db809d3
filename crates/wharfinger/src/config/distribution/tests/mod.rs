//! Distribution's files and variables: what they mean in our schema, and what is said about them.

mod every_key;
mod manual;
mod robustness;
mod variables;

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use crate::config::Severity;
use crate::config::context::{Context, Variables};
use crate::config::load::{load_in, read_tree};
use crate::config::yaml::{Node, Value};

/// Files and variables, what they become and what is said about each.
const FINDINGS: &str = include_str!("findings.txt");

/// `findings.txt` holds cases: a line `== NAME`, variables as `$NAME=VALUE`, the file, a line `--`,
/// and what comes out. `BLESS=1` writes what comes out now; the difference is to be reviewed.
#[test]
fn what_becomes_of_distribution_s_files() {
    let (preface, cases) = FINDINGS.split_once("\n== ").unwrap();
    let mut said = preface.to_owned();
    let mut number = 0;
    for case in cases.split("\n== ") {
        let (name, rest) = case.split_once('\n').unwrap();
        let (given, _) = rest
            .split_once("--\n")
            .unwrap_or_else(|| panic!("no -- in {name}"));
        let (variables, file): (Vec<&str>, Vec<&str>) =
            given.lines().partition(|line| line.starts_with('$'));
        let pair = |line: &&str| {
            line[1..]
                .split_once('=')
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        let variables: Variables = variables.iter().filter_map(pair).collect();
        let (ours, found) = translated(&file.join("\n"), variables);
        write!(said, "\n== {name}\n{given}--\n{ours}{found}").unwrap();
        number += 1;
    }
    assert!(number >= 50, "only {number} cases were found");
    if std::env::var_os("BLESS").is_some() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/src/config/distribution/tests/findings.txt"
        );
        fs::write(path, &said).unwrap();
    }
    for (said, expected) in said.lines().zip(FINDINGS.lines()) {
        assert_eq!(said, expected);
    }
    assert_eq!(said.trim_end(), FINDINGS.trim_end());
}

/// What a file and variables become: a line for each of our settings, and the findings.
pub(super) fn translated(text: &str, mut variables: Variables) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    for name in ["htpasswd", "bundle"] {
        fs::write(folder.path().join(name), "").unwrap();
    }
    let place = folder.path().display().to_string();
    let path = folder.path().join("c.yml");
    fs::write(&path, text.replace("{{dir}}", &place)).unwrap();
    variables.sort();
    let context = Context::new(
        &path,
        |_| None,
        UNIX_EPOCH + Duration::from_secs(1_800_000_000),
    );
    let context = context.with_variables(variables);
    let tree = read_tree(&context, &path).and_then(|tree| super::translate(&context, tree));
    let found = context.into_parts().1;
    let failed = found.iter().any(|one| one.severity == Severity::Error);
    let mut ours = String::new();
    if let Some(tree) = tree.filter(|_| !failed) {
        show(&tree, "", &mut ours);
    }
    let mut lines: Vec<_> = found.iter().collect();
    lines.sort_by_key(|one| (one.location.position, one.severity));
    let lines: String = lines.into_iter().map(|one| format!("{one}\n")).collect();
    let short = |text: String| {
        text.replace(&format!("{place}/"), "")
            .replace(&place, "DIR")
    };
    (short(ours), short(lines))
}

/// `PATH = VALUE`, quoted where it is a text.
fn show(node: &Node, path: &str, into: &mut String) {
    match &node.value {
        Value::Null => writeln!(into, "{path} ="),
        Value::Scalar(scalar) if scalar.plain().is_some() => {
            writeln!(into, "{path} = {}", scalar.text())
        }
        Value::Scalar(scalar) => writeln!(into, "{path} = {:?}", scalar.text()),
        Value::Sequence(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(index, item)| show(item, &format!("{path}[{index}]"), into));
            Ok(())
        }
        Value::Mapping(entries) => {
            let dot = if path.is_empty() { "" } else { "." };
            entries
                .iter()
                .for_each(|entry| show(&entry.value, &format!("{path}{dot}{}", entry.key), into));
            Ok(())
        }
    }
    .unwrap();
}

/// The files that the images and Debian carry: unchanged, they start the registry that they
/// started.
#[test]
fn the_files_of_the_images_and_of_debian() {
    for (name, text, expected) in [
        (
            "registry:2",
            include_str!("registry-2.8-image.yml"),
            "root = \"/var/lib/registry\"; delete = false; none = true",
        ),
        (
            "Debian",
            include_str!("debian-2.8.2.yml"),
            "root = \"/var/lib/docker-registry\"; delete = true; htpasswd",
        ),
        (
            "example",
            include_str!("config-example.yml"),
            "root = \"/var/lib/registry\"; delete = false; htpasswd",
        ),
        (
            "dev",
            include_str!("config-dev.yml"),
            "root = \"/var/lib/registry\"; delete = true; none = true",
        ),
    ] {
        let (ours, found) = translated(text, Variables::new());
        assert!(!found.contains("error"), "{name}: {found}");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yml");
        fs::write(&path, text).unwrap();
        let loaded = load_in(Context::new(&path, |_| None, UNIX_EPOCH), &path)
            .unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
        assert!(
            loaded.config.token.is_none() && loaded.config.registry.is_some(),
            "{name}"
        );
        assert!(ours.contains("server.addr = \":5000\"\n"), "{name}: {ours}");
        for part in expected.split("; ") {
            assert!(ours.contains(part), "{name}: {part} is not in\n{ours}");
        }
    }
}

/// What our readers report has the names of the file.
#[test]
fn findings_are_in_their_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("c.yml");
    let told = |text: &str| {
        fs::write(
            &path,
            format!("version: 0.1\nstorage: {{filesystem: {{rootdirectory: /tmp/x}}}}\n{text}"),
        )
        .unwrap();
        let loaded = load_in(Context::new(&path, |_| None, UNIX_EPOCH), &path);
        let lines = |found: Vec<String>| {
            found
                .into_iter()
                .map(|one| one.split_once(": ").unwrap().1.to_owned())
                .collect()
        };
        let lines: Vec<String> = match loaded {
            Ok(loaded) => lines(loaded.warnings.iter().map(ToString::to_string).collect()),
            Err(wrong) => lines(wrong.iter().map(ToString::to_string).collect()),
        };
        lines
    };
    let open = "note: auth: not set, so everyone can pull, push and delete everything; set auth.token or auth.htpasswd";
    assert_eq!(told("http: {addr: \":5000\"}\n"), [open]);
    let wrong = told(
        "http: {addr: 5000, draintimeout: soon, tls: {certificate: /no.pem}}\nauth: {token: {realm: x, issuer: i}}\n",
    );
    assert!(
        wrong
            .iter()
            .all(|line| !line.contains("server.") && !line.contains("registry.")),
        "{wrong:#?}"
    );
    for key in [
        "http.addr: ",
        "http.draintimeout: ",
        "http.tls.certificate: ",
        "auth.token.realm: ",
        "auth.token: missing service, rootcertbundle or jwks; ",
    ] {
        assert!(
            wrong
                .iter()
                .any(|line| line.starts_with(&format!("error: {key}"))),
            "{key} in {wrong:#?}"
        );
    }
}

/// A file of ours is left to our own reader.
#[test]
fn whose_file_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let is_theirs = |text: &str| {
        let path = folder.path().join("c.yml");
        fs::write(&path, text).unwrap();
        let context = Context::new(Path::new(&path), |_| None, UNIX_EPOCH);
        read_tree(&context, &path).is_some_and(|tree| super::is_distribution(&tree))
    };
    assert!(is_theirs("version: 0.1\n"));
    assert!(is_theirs("# a remark\n---\nlog: {}\nversion: 0.2\n"));
    assert!(!is_theirs("server: {addr: \":5001\"}\n"));
    assert!(!is_theirs(""));
    assert!(!is_theirs("- version\n"));
}
