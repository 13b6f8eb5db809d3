//! `REGISTRY_*` variables, laid over the file as Distribution lays them.
//!
//! A variable's name is the path to a setting, in upper case and joined by `_`; its value is YAML.
//! The shorter path comes first, so `REGISTRY_AUTH=token` chooses and `REGISTRY_AUTH_TOKEN_REALM`
//! fills in. What a variable names replaces what the file has there, whole.

use super::names;
use crate::config::context::Context;
use crate::config::yaml::{self, Entry, Node, Position, Value};
use common::nearest;

/// Variables and their values.
pub(in crate::config) type Variables = Vec<(String, String)>;

const PREFIX: &str = "REGISTRY_";

/// Names with another use: where the configuration lies, and what `docker run --link` once set.
const NOT_SETTINGS: [&str; 1] = ["REGISTRY_CONFIGURATION_PATH"];

/// The variables of this process that may be settings, in the order in which they count.
pub(in crate::config) fn of_process() -> Variables {
    let all = std::env::vars_os()
        .filter_map(|(name, value)| name.into_string().ok().zip(value.into_string().ok()));
    let mut variables: Variables = all.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    variables.sort();
    variables
}

/// Lays the variables that `context` has over `tree`.
pub(super) fn overlay(context: &Context, tree: &mut Node) {
    for (index, (name, value)) in context.variables.iter().enumerate() {
        let position = Position::in_environment(index);
        let path: Vec<&str> = name
            .strip_prefix(PREFIX)
            .unwrap_or_default()
            .split('_')
            .collect();
        if NOT_SETTINGS.contains(&name.as_str()) {
            continue;
        }
        if !names::is_known(&path) {
            warn_of_unknown(context, name, position);
            continue;
        }
        let Some(mut node) = read_value(context, value, position) else {
            continue;
        };
        if let ["AUTH" | "STORAGE"] = path[..] {
            choose(&mut node);
        }
        if let Err(message) = put(tree, &path, node) {
            context.error(position, message);
        }
    }
}

fn warn_of_unknown(context: &Context, name: &str, position: Position) {
    let known: Vec<String> = names::variables().collect();
    // What every name begins with makes none of them nearer.
    let behind = |name| str::strip_prefix(name, PREFIX).unwrap_or_default();
    let hint = match nearest(behind(name), known.iter().map(|name| behind(name.as_str()))) {
        Some(known) => format!("; did you mean {PREFIX}{known}?"),
        None => String::new(),
    };
    context.warn(
        position,
        format!("no setting has this name, so it is ignored{hint}"),
    );
}

/// The value as YAML, every part of it at the variable's place.
fn read_value(context: &Context, value: &str, position: Position) -> Option<Node> {
    let (tree, problems) = yaml::read(value);
    for problem in problems {
        context.error(
            position,
            format!("its value is no YAML: {}", problem.message),
        );
    }
    tree.map(|mut tree| {
        tree.move_to(position);
        tree
    })
}

/// Makes `{token: {}}` of `token`.
pub(super) fn choose(node: &mut Node) {
    let Value::Scalar(scalar) = &node.value else {
        return;
    };
    let (key, position) = (scalar.text().to_owned(), node.position);
    let value = Node {
        value: Value::Mapping(Vec::new()),
        position,
    };
    node.value = Value::Mapping(vec![Entry {
        key,
        position,
        value,
    }]);
}

/// Puts `node` at `path` below `tree`.
fn put(tree: &mut Node, path: &[&str], node: Node) -> Result<(), String> {
    let Some((name, rest)) = path.split_first() else {
        *tree = node;
        return Ok(());
    };
    let number = name.parse::<usize>().ok();
    if tree.value == Value::Null {
        tree.value = if number.is_some() {
            Value::Sequence(Vec::new())
        } else {
            Value::Mapping(Vec::new())
        };
        tree.position = node.position;
    }
    let position = node.position;
    match (&mut tree.value, number) {
        (Value::Sequence(items), Some(index)) if index <= items.len() => {
            if index == items.len() {
                items.push(Node {
                    value: Value::Null,
                    position,
                });
            }
            put(&mut items[index], rest, node)
        }
        (Value::Sequence(items), _) => Err(format!(
            "the list has {} items, so the next one's number is {0}, not {name}",
            items.len()
        )),
        (Value::Mapping(entries), _) => {
            // Of what a merge repeats, the last counts.
            let index = match entries
                .iter()
                .rposition(|entry| entry.key.to_uppercase() == *name)
            {
                Some(index) => index,
                None => {
                    let value = Node {
                        value: Value::Null,
                        position,
                    };
                    entries.push(Entry {
                        key: name.to_lowercase(),
                        position,
                        value,
                    });
                    entries.len() - 1
                }
            };
            if rest.is_empty() {
                let mut entry = entries.remove(index);
                entry.position = position;
                entry.value = node;
                entries.retain(|other| other.key != entry.key);
                entries.push(entry);
                return Ok(());
            }
            put(&mut entries[index].value, rest, node)
        }
        (Value::Null | Value::Scalar(_), _) => {
            Err("what it stands below is one value, without settings".to_owned())
        }
    }
}
