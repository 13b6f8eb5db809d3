//! The tables of `docs/configuration.md`, which come from the declarations.
//!
//! A table stands between `<!-- keys: … -->` and `<!-- end -->`. Behind the colon stand paths:
//! `server.*` is each key of the section, `registry.**` also those below them, `later` the keys
//! that are refused until a later version. `BLESS=1` writes the tables anew.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use crate::config::schema::{self, Declaration, Dialect, Reload};

const HEAD: &str = "| key | | meaning | type, default, bounds |\n|---|---|---|---|\n";
const LATER_HEAD: &str = "| key | | purpose |\n|---|---|---|\n";

#[test]
fn the_manual_s_tables_are_the_declarations() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    let page = fs::read_to_string(&path).unwrap();
    let declarations = schema::of_configuration();
    let mut keys: Vec<(String, &Declaration)> = Vec::new();
    schema::walk(&declarations, &mut |path, key| {
        keys.push((path.to_owned(), key));
    });
    let (mut written, mut explained) = (String::new(), BTreeSet::new());
    let mut rest = page.as_str();
    while let Some((before, after)) = rest.split_once("<!-- keys: ") {
        let (selection, after) = after.split_once(" -->\n").unwrap();
        let (_, after) = after.split_once("<!-- end -->").unwrap();
        let table = table(&keys, selection, &mut explained);
        write!(
            written,
            "{before}<!-- keys: {selection} -->\n\n{table}\n<!-- end -->"
        )
        .unwrap();
        rest = after;
    }
    written.push_str(rest);
    let missing: Vec<_> = keys
        .iter()
        .map(|(path, _)| path)
        .filter(|path| {
            // What a server and a cluster have in common is in the table of the server.
            let alike = explained_as(path);
            let of_server = alike.replace("redis_cluster_options", "redis_options");
            ![*path, &alike, &of_server]
                .into_iter()
                .any(|path| explained.contains(path))
        })
        .collect();
    assert!(missing.is_empty(), "no table has {missing:?}");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &written).unwrap();
    }
    for (now, then) in written.lines().zip(page.lines()) {
        assert_eq!(
            now, then,
            "run the test with BLESS=1 to write the tables anew"
        );
    }
    assert_eq!(written, page);
}

/// The path under which the manual explains `path`, if it does not explain it by itself: both programs
/// are run alike, both servers are asked alike, the sections for SQL databases have two names, and
/// all sections for sign-ins have the same stores; both for MongoDB name its servers alike.
fn explained_as(path: &str) -> String {
    const ALIKE: [(&str, &str); 5] = [
        ("ext_authz.", "ext_auth."),
        ("http_authz.", "http_auth."),
        ("sql_auth.", "xorm_auth."),
        ("acl_sql.", "acl_xorm."),
        ("acl_mongo.dial_info.", "mongo_auth.dial_info."),
    ];
    const STORES: [&str; 3] = ["level_token_db", "redis_token_db", "gcs_token_db"];
    if let Some((_, key)) = path.split_once("_auth.")
        && STORES.iter().any(|store| key.starts_with(store))
    {
        return format!("github_auth.{key}");
    }
    let alike = ALIKE.iter().find(|(other, _)| path.starts_with(other));
    alike.map_or_else(
        || path.to_owned(),
        |(other, name)| path.replacen(other, name, 1),
    )
}

/// The rows of a selection of keys.
fn table(
    keys: &[(String, &Declaration)],
    selection: &str,
    explained: &mut BTreeSet<String>,
) -> String {
    if selection == "from files" {
        return from_files(keys);
    }
    let mut table = if selection == "later" {
        LATER_HEAD
    } else {
        HEAD
    }
    .to_owned();
    let before = explained.len();
    for selector in selection.split(' ') {
        for (path, key) in keys {
            let Some(name) = selected(path, key, selector) else {
                continue;
            };
            explained.insert(path.clone());
            table += &row(&name, key);
        }
    }
    assert!(explained.len() > before, "no key is {selection}");
    table
}

/// What the table calls a key, if it is in the selection.
fn selected(path: &str, key: &Declaration, selector: &str) -> Option<String> {
    if selector == "later" {
        return key.later.then(|| path.to_owned());
    }
    if key.later {
        return None;
    }
    if let Some(section) = selector.strip_suffix(".**") {
        let below = path.strip_prefix(section)?.strip_prefix('.')?;
        return Some(below.to_owned());
    }
    if let Some(section) = selector.strip_suffix(".*") {
        let below = path.strip_prefix(section)?.strip_prefix('.')?;
        return (!below.contains('.')).then(|| below.to_owned());
    }
    (path == selector).then(|| key.name.to_owned())
}

fn row(name: &str, key: &Declaration) -> String {
    let dialect = match key.dialect {
        Dialect::DockerAuth => "D",
        Dialect::Ours => "+",
    };
    let reload = match key.reload {
        Reload::AtOnce => "",
        Reload::AfterRestart => " R",
    };
    if key.later {
        return format!("| `{name}` | {dialect} | {} |\n", key.means);
    }
    assert!(!key.means.is_empty(), "{name} has no meaning");
    let mut values = vec![key.kind.name()];
    match (&key.default, key.required) {
        (Some(default), _) => values.push(default.clone()),
        (None, Some(_)) => values.push("required".to_owned()),
        (None, None) => {}
    }
    values.extend(key.kind.bounds());
    let means = key.means.replace('|', "\\|");
    format!(
        "| `{name}` | {dialect}{reload} | {means} | {} |\n",
        values.join("; ")
    )
}

/// The keys that have a `KEY_file`, each name once.
fn from_files(keys: &[(String, &Declaration)]) -> String {
    let mut names: Vec<String> = Vec::new();
    for (_, key) in keys.iter().filter(|(_, key)| key.from_file) {
        let name = format!("`{}`", key.name);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    format!("{}\n", names.join(", "))
}
