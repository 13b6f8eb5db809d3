//! `REGISTRY_*` variables, laid over the file as Distribution lays them.
//!
//! A variable's name is the path to a setting, in upper case and joined by `_`; its value is YAML.
//! The shorter path comes first, so `REGISTRY_AUTH=token` chooses and `REGISTRY_AUTH_TOKEN_REALM`
//! fills in. A variable replaces what the file has at its path, whole.

use super::keys;
use crate::config::context::{Context, Variables};
use crate::config::diagnostics::{Problem, nearest};
use crate::config::yaml::{self, Entry, Node, Position, Value};

const PREFIX: &str = "REGISTRY_";

/// A variable that names the file.
const FILE: &str = "REGISTRY_CONFIGURATION_PATH";

/// A variable that Distribution does not compare with anything. Files for compose use it for the
/// version of the image.
const VERSION: &str = "REGISTRY_VERSION";

/// The variables of this process that may be settings, in the order in which they count.
pub(in crate::config) fn of_process() -> Variables {
    let all = std::env::vars_os()
        .filter_map(|(name, value)| name.into_string().ok().zip(value.into_string().ok()));
    let mut variables: Variables = all.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    variables.sort();
    variables
}

/// Lays the variables of `context` over `tree`.
pub(super) fn overlay(context: &Context, tree: &mut Node) {
    let mut of_services = Vec::new();
    for (index, (name, value)) in context.variables.iter().enumerate() {
        let position = Position::in_environment(index);
        let path: Vec<&str> = name
            .strip_prefix(PREFIX)
            .unwrap_or_default()
            .split('_')
            .collect();
        if name == FILE {
            continue;
        }
        if name == VERSION {
            let message = "ignored: the file says its own version";
            context.note(position, "", Problem::NoEffect, message.to_owned());
            continue;
        }
        if is_of_service(name, value) {
            of_services.push((position, name.as_str()));
            continue;
        }
        if !keys::is_known(&path) {
            warn_of_unknown(context, name, position);
            continue;
        }
        let Some(mut node) = read_value(context, value, position) else {
            continue;
        };
        if let ["AUTH" | "STORAGE"] = path[..] {
            expand_choice(&mut node);
        }
        if let Err(message) = put(tree, &path, node) {
            context.error(position, "", Problem::Invalid, message);
        }
    }
    if let [(position, _), more @ ..] = &of_services[..] {
        let more = match more.len() {
            0 => String::new(),
            number => format!(" (and {number} more)"),
        };
        let message = format!("ignored{more}: set by Kubernetes or Docker for a service");
        context.note(*position, "", Problem::NoEffect, message);
    }
}

/// Whether Kubernetes, or `docker run --link`, set the variable for a service whose name begins
/// with `registry`: `REGISTRY_REDIS_SERVICE_HOST`, `REGISTRY_REDIS_PORT=tcp://10.0.0.1:6379`,
/// `REGISTRY_PORT_5000_TCP_ADDR`.
fn is_of_service(name: &str, value: &str) -> bool {
    const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let is_protocol = |part: &str| PROTOCOLS.contains(&part);
    let is_url = PROTOCOLS
        .iter()
        .any(|protocol| value.starts_with(&format!("{}://", protocol.to_lowercase())));
    let parts: Vec<&str> = name.split('_').collect();
    match &parts[..] {
        [.., "SERVICE", "HOST" | "PORT"] => true,
        [.., "PORT", number, protocol, "ADDR" | "PORT" | "PROTO"]
            if is_number(number) && is_protocol(protocol) =>
        {
            true
        }
        [.., "PORT", number, protocol] if is_number(number) && is_protocol(protocol) => true,
        [.., "PORT"] => is_url,
        // A port of a service may have a name: `REGISTRY_SERVICE_PORT_HTTP`.
        parts => parts
            .windows(3)
            .any(|window| matches!(window, ["SERVICE", "PORT", name] if !name.is_empty())),
    }
}

fn warn_of_unknown(context: &Context, name: &str, position: Position) {
    let known: Vec<String> = keys::variables().collect();
    // The prefix, which every name has, makes none of them nearer.
    let behind = |name| str::strip_prefix(name, PREFIX).unwrap_or_default();
    let hint = match nearest(behind(name), known.iter().map(|name| behind(name.as_str()))) {
        Some(known) => format!("; did you mean {PREFIX}{known}?"),
        None => String::new(),
    };
    let message = format!("ignored: no setting has this name{hint}");
    context.warn(position, "", Problem::UnknownKey, message);
}

/// The value as YAML, every part of it at the variable's place.
fn read_value(context: &Context, value: &str, position: Position) -> Option<Node> {
    let (tree, errors) = yaml::read(value);
    for error in errors {
        let message = format!("the value is not YAML: {}", error.message);
        context.error(position, "", Problem::Syntax, message);
    }
    tree.map(|mut tree| {
        tree.move_to(position);
        tree
    })
}

/// Makes `{token: {}}` of `token`.
pub(super) fn expand_choice(node: &mut Node) {
    let Value::Scalar(scalar) = &node.value else {
        return;
    };
    let (key, position) = (scalar.text().to_owned(), node.position);
    let value = Node {
        value: Value::Mapping(Vec::new()),
        position,
    };
    node.value = Value::Mapping(vec![Entry::new(key, position, value)]);
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
            "the list ends before item {name}; number the next one {}",
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
                    entries.push(Entry::new(name.to_lowercase(), position, value));
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
            Err("the setting above it is a single value, not a section".to_owned())
        }
    }
}
