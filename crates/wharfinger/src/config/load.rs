//! Loading a configuration: its file is read, translated if it is registry:2's, and checked whole.

use std::path::{Path, PathBuf};

use common::{Clock, SystemClock};

use super::context::{self, Context};
use super::diagnostics::{Diagnostic, Diagnostics, Problem};
use super::distribution;
use super::effective::Effective;
use super::schema;
use super::section::Section;
use super::sections::{Config, read_sections};
use super::setting::Setting;
use super::yaml::{self, Node, Position, Value, YamlErrorKind};

/// A configuration that can be used.
#[derive(Debug)]
pub(crate) struct LoadedConfig {
    pub(crate) config: Config,
    /// The values in effect, as `check --print` shows them.
    pub(crate) effective: Effective,
    /// What is worth knowing about it.
    pub(crate) warnings: Vec<Diagnostic>,
    /// Every file that was read for it: the configuration first, then certificates, keys, password
    /// files, …
    pub(crate) files: Vec<PathBuf>,
}

/// Reads the configuration at `path` and every file that it names.
///
/// # Errors
/// Everything that is wrong with it, and with the files.
pub(crate) fn load(path: &Path) -> Result<LoadedConfig, Diagnostics> {
    let context = Context::new(path, |name| std::env::var(name).ok(), SystemClock.now());
    load_in(
        context.with_variables(distribution::environment::of_process()),
        path,
    )
}

/// The keys that differ between two configurations and count after a restart only.
pub(crate) fn changes_for_restart(before: &Effective, after: &Effective) -> Vec<String> {
    let mut changed = Vec::new();
    schema::walk(&schema::of_configuration(), &mut |path, key| {
        let is_late = key.reload == schema::Reload::AfterRestart;
        if is_late && before.at(path) != after.at(path) {
            changed.push(path.to_owned());
        }
    });
    changed
}

pub(super) fn load_in(context: Context, path: &Path) -> Result<LoadedConfig, Diagnostics> {
    let tree = read_tree(&context, path).and_then(|tree| {
        if distribution::is_distribution(&tree) {
            distribution::translate(&context, tree)
        } else {
            Some(tree)
        }
    });
    let read = tree.as_ref().and_then(|tree| read_root(&context, tree));
    if read.is_none() && context.errors() == 0 {
        // Each reader reports why it returns nothing. If one does not, the file is wrong all the same.
        let start = Position { line: 1, column: 1 };
        let message = "cannot be used, for a reason that this program failed to report";
        context.error(start, "", Problem::Invalid, message);
    }
    let (files, found) = context.into_parts();
    let warnings = Diagnostics::settle(found, path, &files)?;
    read.map(|(config, effective)| LoadedConfig {
        config,
        effective,
        warnings,
        files,
    })
    .ok_or_else(Diagnostics::default)
}

/// The file's tree. Without one, the reason is reported.
pub(super) fn read_tree(context: &Context, path: &Path) -> Option<Node> {
    let start = Position { line: 1, column: 1 };
    let text = match context::read_bounded(path).map(String::from_utf8) {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => {
            let line = error.as_bytes()[..error.utf8_error().valid_up_to()]
                .iter()
                .filter(|b| **b == b'\n')
                .count()
                + 1;
            let place = Position { line, column: 1 };
            context.error(place, "", Problem::Syntax, "this line is not UTF-8");
            return None;
        }
        Err(error) => {
            let message = format!("cannot read the configuration: {error}");
            context.error(start, "", Problem::File, message);
            return None;
        }
    };
    let (tree, errors) = yaml::read(&text);
    // Go's programs take the last of two keys; registry:2's file starts with them, and warns.
    let is_lenient = tree.as_ref().is_some_and(distribution::is_distribution);
    for error in errors {
        match error.kind {
            YamlErrorKind::Duplicate if is_lenient => {
                let message = format!("{}; the last counts", error.message);
                context.warn(error.position, "", Problem::Duplicate, message);
            }
            YamlErrorKind::Duplicate => {
                context.error(error.position, "", Problem::Duplicate, error.message);
            }
            YamlErrorKind::SecondDocument => {
                context.warn(error.position, "", Problem::NoEffect, error.message);
            }
            YamlErrorKind::Syntax => {
                context.error(error.position, "", Problem::Syntax, error.message);
            }
        }
    }
    tree
}

fn read_root(context: &Context, tree: &Node) -> Option<(Config, Effective)> {
    let entries = match &tree.value {
        // Of an empty file, every required section is reported as missing.
        Value::Null => Vec::new(),
        Value::Mapping(_) => Setting::new(context, String::new(), tree).entries_of_section()?,
        Value::Scalar(_) | Value::Sequence(_) => {
            let found = tree.describe();
            let message = format!("expected a mapping of sections, found {found}");
            context.error(tree.position, "", Problem::WrongType, message);
            return None;
        }
    };
    let mut root = Section::new(context, "", tree.position, entries);
    let config = read_sections(&mut root);
    let effective = root.finish();
    config.map(|config| (config, effective))
}
