//! The section `notifications`: who is told of what happens.

use super::translation::Translator;
use crate::config::diagnostics::{Problem, nearest};
use crate::config::setting::Setting;
use crate::config::yaml::{Entry, Node, Plain, Scalar, Value};

const ENDPOINTS: &str = "notifications.endpoints";

/// The keys of an endpoint there.
const KEYS: [&str; 9] = [
    "name",
    "disabled",
    "url",
    "headers",
    "timeout",
    "threshold",
    "backoff",
    "ignoredmediatypes",
    "ignore",
];

/// Each endpoint becomes one of ours. Numbers that are zero or less mean the default there, and a time
/// without a unit is in nanoseconds.
pub(super) fn read_endpoints(setting: &Setting<'_>, translator: &mut Translator) {
    if setting.is_null() {
        return;
    }
    let Some(items) = setting.items() else { return };
    let items = items.iter().map(|item| match item.is_mapping() {
        true => endpoint(item),
        // Our reader says what is wrong with it.
        false => item.node().clone(),
    });
    translator.value(ENDPOINTS, Value::Sequence(items.collect()), setting);
}

fn endpoint(item: &Setting<'_>) -> Node {
    let entries = item.entries().unwrap_or_default();
    let known = entries.into_iter().filter_map(|(entry, value)| {
        match entry.key.as_str() {
            // What is nothing counts as absent there.
            _ if value.is_null() => None,
            "timeout" | "backoff" => in_nanoseconds(entry),
            "threshold" => (!is_zero_or_less(entry)).then(|| entry.clone()),
            key if KEYS.contains(&key) => Some(entry.clone()),
            key => {
                let hint = match nearest(key, KEYS) {
                    Some(known) => format!("; did you mean `{known}`?"),
                    None => format!("; known keys: {}", KEYS.join(", ")),
                };
                let message = format!("unknown key `{key}` in `{ENDPOINTS}`{hint}");
                let name = format!("{ENDPOINTS}.{key}");
                item.context
                    .warn(entry.position, &name, Problem::UnknownKey, message);
                None
            }
        }
    });
    Node {
        value: Value::Mapping(known.collect()),
        position: item.node().position,
    }
}

/// A time with a unit.
fn in_nanoseconds(entry: &Entry) -> Option<Entry> {
    let Value::Scalar(scalar) = &entry.value.value else {
        return Some(entry.clone());
    };
    let is_default = |text: &str| text.starts_with('-') || matches!(text, "0" | "0s" | "0ms");
    if is_default(scalar.text()) {
        return None;
    }
    let mut with_unit = entry.clone();
    if let Some(Plain::Integer(nanoseconds)) = scalar.plain() {
        let text = format!("{nanoseconds}ns");
        with_unit.value.value = Value::Scalar(Scalar::new(text, true));
    }
    Some(with_unit)
}

fn is_zero_or_less(entry: &Entry) -> bool {
    match &entry.value.value {
        Value::Scalar(scalar) => {
            matches!(scalar.plain(), Some(Plain::Integer(number)) if number <= 0)
        }
        Value::Null | Value::Sequence(_) | Value::Mapping(_) => false,
    }
}
