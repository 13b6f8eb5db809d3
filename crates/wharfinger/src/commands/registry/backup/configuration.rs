//! The configuration's part of a backup: its file, the files that it names, and their new places in
//! its text.
//!
//! The text is copied as it stands, comments and all. Only the paths in it change: they begin with
//! `${config_dir}`, so that a backup can be moved and copied.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::commands::registry::open::{Content, Opened};
use crate::commands::up::installation::Installation;
use crate::config;
use crate::failure::Failure;
use crate::files::{self, FileMode};

/// What became of a configuration.
pub(super) struct CopiedConfiguration {
    /// What in the copy still names places of the original.
    pub(super) unsettled: Vec<String>,
}

/// Copies `file` and what it names to `to`, whose database is at `database`.
pub(super) fn copy(
    file: &Path,
    opened: &Opened,
    to: &Installation,
    database: &Path,
) -> Result<CopiedConfiguration, Failure> {
    let mut text = files::read(file)?.to_string();
    let mut taken = BTreeSet::from([to.configuration(), database.to_owned(), to.content()]);
    for named in opened.files.iter().skip(1) {
        let copy = free_name(named, to.directory(), &taken);
        let content = std::fs::read(named);
        let content = content.map_err(|error| {
            Failure::system(format!("cannot read {}", shown(named))).caused_by(&error)
        })?;
        files::write_new(&copy, &content, FileMode::Private)?;
        for name in names(file, named) {
            text = replaced(&text, &name, &in_copy(to, &copy));
        }
        taken.insert(copy);
    }
    let places = &opened.places;
    if let Some(path) = places.database.path() {
        for name in names(file, path) {
            let url = format!("sqlite://{}", in_copy(to, database));
            text = replaced(&text, &format!("sqlite://{name}"), &url);
        }
    }
    // A bucket's content becomes files of the copy, and the file still names the bucket: what is
    // `unsettled` says so.
    if let Content::Directory(root) = &places.content {
        for name in names(file, root) {
            text = replaced(&text, &name, &in_copy(to, &to.content()));
        }
    }
    files::write_new(&to.configuration(), text.as_bytes(), FileMode::Private)?;
    Ok(CopiedConfiguration {
        unsettled: unsettled(to, database),
    })
}

/// Where the copy still is not by itself: paths that came from the environment, or were not written
/// as they are.
fn unsettled(to: &Installation, database: &Path) -> Vec<String> {
    let loaded = match config::load(&to.configuration()) {
        Ok(loaded) => loaded,
        Err(diagnostics) => return diagnostics.iter().map(ToString::to_string).collect(),
    };
    let mut unsettled = Vec::new();
    if loaded
        .config
        .database
        .is_none_or(|named| named.path() != Some(database))
    {
        unsettled.push(format!(
            "database: {{url: \"sqlite://{}\"}}",
            in_copy(to, database)
        ));
    }
    let registry = loaded.config.registry.as_ref();
    let root = registry.and_then(|registry| registry.storage.root());
    if root != Some(&to.content()) {
        unsettled.push(format!(
            "registry.storage.filesystem.root: {:?}",
            in_copy(to, &to.content())
        ));
    }
    let elsewhere = loaded
        .files
        .iter()
        .filter(|file| !file.starts_with(to.directory()));
    unsettled.extend(
        elsewhere.map(|file| format!("{} is named still; its copy is here, too", shown(file))),
    );
    unsettled
}

/// A name in `directory` that nothing has, like that of `file`.
fn free_name(file: &Path, directory: &Path, taken: &BTreeSet<PathBuf>) -> PathBuf {
    let name = file
        .file_name()
        .unwrap_or(file.as_os_str())
        .to_string_lossy();
    let names =
        std::iter::once(name.to_string()).chain((2_u32..).map(|number| format!("{number}-{name}")));
    let mut paths = names.map(|name| directory.join(name));
    // There are more names than files.
    paths.find(|path| !taken.contains(path)).unwrap_or_default()
}

/// How the configuration in `file` may name `path`.
fn names(file: &Path, path: &Path) -> Vec<String> {
    let directory = std::path::absolute(file).ok();
    let directory = directory.as_deref().and_then(Path::parent);
    let within = directory.and_then(|directory| path.strip_prefix(directory).ok());
    let within = within.map(|within| format!("${{config_dir}}/{}", within.display()));
    std::iter::once(shown(path)).chain(within).collect()
}

/// A path in the copy, as its configuration names it.
fn in_copy(to: &Installation, path: &Path) -> String {
    match path.strip_prefix(to.directory()) {
        Ok(within) => format!("${{config_dir}}/{}", within.display()),
        Err(_) => shown(path),
    }
}

/// `text` with each path `from` replaced by `to`, in double quotes if there are none: braces end a
/// plain scalar in a flow mapping. A longer path that begins or ends with `from` is another path.
fn replaced(text: &str, from: &str, to: &str) -> String {
    let continues = |c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '-' | '_');
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(from).filter(|_| !from.is_empty()) {
        let (before, after) = (&rest[..at], &rest[at + from.len()..]);
        result += before;
        let is_quoted = result.ends_with(['"', '\'']);
        if result.ends_with(continues) || after.starts_with(continues) {
            result += from;
        } else if is_quoted {
            result += to;
        } else {
            result += &format!("\"{to}\"");
        }
        rest = after;
    }
    result + rest
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_paths_are_replaced() {
        let text = "root: /var/lib/w, key: \"/var/lib/w/token.key\" # under /var/lib/w\nurl: sqlite:///var/lib/w";
        let expected =
            "root: \"/b\", key: \"/var/lib/w/token.key\" # under \"/b\"\nurl: sqlite:///var/lib/w";
        assert_eq!(replaced(text, "/var/lib/w", "/b"), expected);
        assert_eq!(replaced("'a.key'", "a.key", "/b/a.key"), "'/b/a.key'");
        assert_eq!(
            replaced("url: sqlite:///w.db", "sqlite:///w.db", "sqlite:///b/w.db"),
            "url: \"sqlite:///b/w.db\""
        );
        assert_eq!(replaced("x", "", "y"), "x");
    }

    #[test]
    fn no_two_files_get_the_same_name() {
        let directory = Path::new("/b");
        let first = free_name(
            Path::new("/etc/token/cert.pem"),
            directory,
            &BTreeSet::new(),
        );
        assert_eq!(first, Path::new("/b/cert.pem"));
        let second = free_name(
            Path::new("tls/cert.pem"),
            directory,
            &BTreeSet::from([first]),
        );
        assert_eq!(second, Path::new("/b/2-cert.pem"));
    }
}
