//! Modules of a crate that use each other in a circle cannot be read one after the other.

use std::collections::{BTreeMap, BTreeSet};

use crate::source::{Module, crates, modules, paths};

type Modules = BTreeMap<Vec<String>, Module>;

#[test]
fn no_module_is_in_a_circle() {
    let mut found = Vec::new();
    for name in crates() {
        let circles = circles(&modules(&name)).into_iter();
        found.extend(circles.map(|circle| (name.clone(), circle)));
    }
    assert!(
        found.is_empty(),
        "modules use each other in a circle: {found:#?}"
    );
}

/// The circles of a crate, as lists of files.
fn circles(modules: &Modules) -> Vec<Vec<String>> {
    let uses: BTreeMap<&Vec<String>, BTreeSet<Vec<String>>> = modules
        .iter()
        .map(|(path, module)| (path, used(module, modules)))
        .collect();
    let mut circles = BTreeSet::new();
    for start in modules.keys() {
        let forward = reachable(start, &uses);
        let circle: BTreeSet<_> = forward
            .iter()
            .filter(|other| reachable(other, &uses).contains(start))
            .map(|path| modules[path].file.clone())
            .collect();
        if circle.len() > 1 {
            circles.insert(circle.into_iter().collect::<Vec<_>>());
        }
    }
    circles.into_iter().collect()
}

fn reachable(
    start: &[String],
    uses: &BTreeMap<&Vec<String>, BTreeSet<Vec<String>>>,
) -> BTreeSet<Vec<String>> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![start.to_vec()]);
    while let Some(module) = next.pop() {
        for used in uses.get(&module).into_iter().flatten() {
            if reached.insert(used.clone()) {
                next.push(used.clone());
            }
        }
    }
    reached
}

/// The modules that a module uses. It may use the ones that it stands in: those are one whole.
fn used(module: &Module, modules: &Modules) -> BTreeSet<Vec<String>> {
    module
        .paths
        .iter()
        .filter_map(|path| target(path, module, modules, 0))
        .filter(|target| !module.path.starts_with(target))
        .collect()
}

/// The module that has what `path`, written in `module`, names; re-exports are followed.
fn target(
    path: &[String],
    module: &Module,
    modules: &Modules,
    depth: usize,
) -> Option<Vec<String>> {
    let (first, mut rest) = path.split_first()?;
    let mut at = match first.as_str() {
        "crate" => Vec::new(),
        "self" => module.path.clone(),
        "super" => parent(&module.path)?,
        name if module.children.contains(name) => module
            .path
            .iter()
            .cloned()
            .chain([name.to_owned()])
            .collect(),
        _ => return None,
    };
    while let Some((name, more)) = rest.split_first() {
        if name == "super" {
            at = parent(&at)?;
        } else {
            let child: Vec<String> = at.iter().cloned().chain([name.clone()]).collect();
            if !modules.contains_key(&child) {
                break;
            }
            at = child;
        }
        rest = more;
    }
    let found = modules.get(&at)?;
    // What the module has only taken over from another belongs to the other.
    let taken = rest.first().and_then(|name| {
        let mut exports = found.paths.iter();
        exports.find(|path| path.len() > 1 && path.last() == Some(name))
    });
    match taken {
        Some(path) if depth < 8 => target(path, found, modules, depth + 1).or(Some(at)),
        _ => Some(at),
    }
}

fn parent(path: &[String]) -> Option<Vec<String>> {
    path.split_last().map(|(_, parent)| parent.to_vec())
}

#[test]
fn a_circle_is_found_through_re_exports() {
    let module = |path: &[&str], children: &[&str], code: &str| {
        let path: Vec<String> = path.iter().map(ToString::to_string).collect();
        let module = Module {
            file: format!("{}.rs", path.join("/")),
            path: path.clone(),
            children: children.iter().map(ToString::to_string).collect(),
            paths: paths(code),
        };
        (path, module)
    };
    let modules: Modules = [
        module(
            &[],
            &["a", "b", "c"],
            "mod a; mod b; mod c; pub use a::A; pub use b::{B, C};",
        ),
        module(&["a"], &[], "use crate::B; pub struct A;"),
        module(&["b"], &["d"], "use super::A; pub struct B; pub struct C;"),
        module(&["b", "d"], &[], "use super::B; use crate::c::E;"),
        module(&["c"], &[], "use crate::C; pub struct E;"),
    ]
    .into();
    assert_eq!(circles(&modules), [["a.rs", "b.rs"]]);
}
