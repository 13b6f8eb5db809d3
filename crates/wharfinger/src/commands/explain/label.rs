//! The labels of an account, and where they come from.

use std::fmt;

use policy::Labels;
use serde::Serialize;

/// A label with its values.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct ShownLabel {
    name: String,
    values: Vec<String>,
    /// The backend's section in the configuration, or `--label`.
    from: &'static str,
}

impl fmt::Display for ShownLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, values, from } = self;
        let values = match values.as_slice() {
            [] => "no values".to_owned(),
            values => values.join(", "),
        };
        write!(f, "label {name}: {values} (from {from})")
    }
}

/// The labels that `from` gives.
pub(super) fn shown(labels: &Labels, from: &'static str) -> Vec<ShownLabel> {
    let shown = labels.iter().map(|(name, values)| ShownLabel {
        name: name.clone(),
        values: values.clone(),
        from,
    });
    shown.collect()
}

/// `labels` and those of the command line.
pub(super) fn with_arguments(mut labels: Labels, arguments: &[(String, String)]) -> Labels {
    for (name, value) in arguments {
        labels.entry(name.clone()).or_default().push(value.clone());
    }
    labels
}

/// Reads `NAME=VALUE`.
pub(super) fn parse(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a label is written NAME=VALUE".to_owned()),
    }
}
