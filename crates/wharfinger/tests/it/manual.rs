//! The manual is checked against the program: its configurations are valid, its links lead
//! somewhere, and the tests that it names exist.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use peers::{Output, TestCertificate, TestKeyKind, run};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// What the manual writes where each reader has another hash, and one with which a server starts.
pub(crate) const HASH: [&str; 2] = [
    "$2b$10$…",
    "$2b$04$XGtSSs.VVeMwfQUA2vrCdOMIhxviI0cB2BdLRvUdNyCZhxvvgYKay",
];

#[test]
fn whole_configurations_are_fine() {
    let folder = folder();
    let mut checked = 0;
    for page in pages() {
        for config in configurations(&page) {
            let output = check(&folder, &config, &[]);
            assert!(
                output.status.success(),
                "{}:\n{config}\n{output}",
                page.display()
            );
            checked += 1;
        }
    }
    assert!(checked >= 2, "only {checked} configurations were found");
}

#[test]
fn every_link_leads_somewhere() {
    let root = docs().join("..");
    let above = [
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
    ]
    .map(|name| root.join(name));
    let (mut links, mut broken) = (0, Vec::new());
    for page in pages().into_iter().chain(above) {
        let text = fs::read_to_string(&page).unwrap();
        for link in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if link.contains("://") {
                continue;
            }
            links += 1;
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() {
                page.clone()
            } else {
                page.parent().unwrap().join(file)
            };
            if !target.exists() || (!heading.is_empty() && !headings(&target).contains(heading)) {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(links >= 20, "only {links} links were found");
    assert_eq!(broken, [""; 0]);
}

/// ARCHITECTURE.md and README.md name files that exist, and ARCHITECTURE.md draws the crates as their manifests have them.
#[test]
fn the_architecture_is_that_of_the_code() {
    let page = fs::read_to_string(docs().join("../ARCHITECTURE.md")).unwrap();
    let readme = fs::read_to_string(docs().join("../README.md")).unwrap();
    let (_, code) = readme.split_once("\n## The code\n").unwrap();
    let paths = between(&page, '`').chain(between(code, '`'));
    let paths = paths.filter(|code| code.contains("/src") || code.contains("/tests"));
    let mut files = 0;
    for path in paths {
        assert!(crates().join(path).exists(), "there is no crates/{path}");
        files += 1;
    }
    assert!(files >= 20, "only {files} paths were found");
    let (_, table) = page.split_once("| crate | purpose | depends on |").unwrap();
    let rows = table.lines().skip(2).take_while(|line| !line.is_empty());
    let mut drawn = Vec::new();
    for row in rows {
        let cells: Vec<_> = row.split(" | ").collect();
        let name = between(cells[0], '`').next().unwrap();
        drawn.push(name.to_owned());
        if cells[2].starts_with("all") {
            continue;
        }
        let manifest = fs::read_to_string(crates().join(name).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split_once("\n[dependencies]\n");
        let dependencies = dependencies.map_or("", |(_, dependencies)| dependencies);
        let dependencies = dependencies.split("\n[").next().unwrap();
        let ours = dependencies
            .lines()
            .filter_map(|line| line.split(['.', ' ']).next())
            .filter(|name| crates().join(name).join("Cargo.toml").exists());
        let ours: BTreeSet<_> = ours.filter(|name| !name.is_empty()).collect();
        let said: BTreeSet<_> = between(cells[2], '`').collect();
        let missing: Vec<_> = ours.difference(&said).collect();
        assert!(missing.is_empty(), "{name} also depends on {missing:?}");
    }
    let found = fs::read_dir(crates()).unwrap();
    let mut found: Vec<_> = found
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    drawn.sort();
    assert_eq!(drawn, found);
}

#[test]
fn every_page_is_in_the_table_of_contents() {
    let contents = fs::read_to_string(docs().join("README.md")).unwrap();
    for page in pages() {
        let name = page.file_name().unwrap().to_str().unwrap();
        assert!(
            name == "README.md" || contents.contains(&format!("]({name})")),
            "{name}"
        );
    }
}

#[test]
fn every_limit_names_a_test_that_exists() {
    let sources = sources(&crates());
    let table = fs::read_to_string(docs().join("limits.md")).unwrap();
    let bad_requests = crate::bad_input::table();
    let mut tests = 0;
    for row in table
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| what"))
    {
        let shown_by = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        for test in between(shown_by, '`') {
            let function = format!("fn {test}(");
            assert!(
                sources.iter().any(|source| source.contains(&function)),
                "there is no test {test}: {row}"
            );
            tests += 1;
        }
        for name in between(shown_by, '"') {
            assert!(
                bad_requests.iter().any(|row| row.name == name),
                "bad_input has no row {name:?}"
            );
        }
    }
    assert!(tests >= 30, "only {tests} tests were found");
}

/// Each row of the threat model ends with tests that exist, or with a page.
#[test]
fn every_protection_names_a_test_that_exists() {
    let sources = sources(&crates());
    let page = fs::read_to_string(docs().join("../SECURITY.md")).unwrap();
    let rows = page.lines().filter(|line| {
        line.starts_with("| ")
            && !["| attack", "| can read"]
                .iter()
                .any(|head| line.starts_with(head))
    });
    let mut tests = 0;
    for row in rows {
        let shown_by = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        if shown_by == "each row names its test" {
            continue;
        }
        assert!(shown_by.contains('`'), "no test: {row}");
        for test in between(shown_by, '`') {
            let function = format!("fn {test}(");
            assert!(
                sources.iter().any(|source| source.contains(&function)),
                "there is no test {test}: {row}"
            );
            tests += 1;
        }
    }
    assert!(tests >= 30, "only {tests} tests were found");
}

fn crates() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn docs() -> PathBuf {
    crates().join("../docs")
}

/// The manual's pages.
fn pages() -> Vec<PathBuf> {
    let pages = fs::read_dir(docs())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let pages: Vec<_> = pages
        .filter(|page| page.extension().is_some_and(|extension| extension == "md"))
        .collect();
    assert!(pages.len() >= 6, "{pages:?}");
    pages
}

/// A page's blocks of YAML that are whole configurations.
pub(crate) fn configurations(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let blocks = text
        .split("\n```yaml\n")
        .skip(1)
        .filter_map(|rest| rest.split("\n```").next());
    let whole = |block: &&str| {
        ["server:", "token:"]
            .iter()
            .all(|key| block.lines().any(|line| line.starts_with(key)))
    };
    blocks.filter(whole).map(str::to_owned).collect()
}

/// A folder with every file that the manual's configurations name.
pub(crate) fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["token", "old", "tls"] {
        let _ = TestCertificate::new(TestKeyKind::P256, folder.path(), name);
    }
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("build.hash", HASH[1]);
    write("users.htpasswd", &format!("carol:{}\n", HASH[1]));
    write("github.secret", "secret\n");
    write("oidc.secret", "secret\n");
    write("ask", "#!/bin/sh\n");
    fs::set_permissions(folder.path().join("ask"), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

/// `wharfinger check` of a configuration, in the folder.
fn check(folder: &TempDir, config: &str, options: &[&str]) -> Output {
    fs::write(
        folder.path().join("wharfinger.yml"),
        config.replace(HASH[0], HASH[1]),
    )
    .unwrap();
    run(Command::new(PROGRAM)
        .args(["check", "wharfinger.yml"])
        .args(options)
        .current_dir(folder.path()))
}

/// What a page's headings are called in links: lower case, spaces as hyphens, the rest only
/// letters, digits and `_`.
fn headings(page: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(page).unwrap();
    let titles = text.lines().filter_map(|line| {
        line.trim_start_matches('#')
            .strip_prefix(' ')
            .filter(|_| line.starts_with('#'))
    });
    let called = |title: &str| {
        let kept = title
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || " -_".contains(*c))
            .collect::<String>();
        kept.replace(' ', "-")
    };
    titles.map(called).collect()
}

/// What stands between pairs of `mark`.
fn between(text: &str, mark: char) -> impl Iterator<Item = &str> {
    text.split(mark).skip(1).step_by(2)
}

/// Every Rust file below `folder`.
fn sources(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(fs::read_to_string(path).unwrap());
        }
    }
    found
}
