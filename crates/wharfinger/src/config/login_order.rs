//! `login.order`: in which order the backends of logins are asked.

use super::diagnostics::nearest;
use super::setting::Setting;

/// Reads the list, which names each of `backends`, the configured ones, once.
pub(super) fn read(list: &Setting<'_>, backends: &[&'static str]) -> Option<Vec<&'static str>> {
    let mut order = Vec::with_capacity(backends.len());
    for item in list.items()? {
        let name = item.text()?;
        match backends.iter().find(|backend| **backend == name) {
            Some(backend) if order.contains(backend) => {
                item.error("this is in the list already");
            }
            Some(backend) => order.push(*backend),
            None => item.error(unknown(&name, backends)),
        }
    }
    let missing = backends.iter().filter(|backend| !order.contains(backend));
    let missing: Vec<_> = missing.copied().collect();
    if !missing.is_empty() {
        list.error(format_args!(
            "the list must name every backend of this file; add {}",
            missing.join(", ")
        ));
        return None;
    }
    (order.len() == backends.len()).then_some(order)
}

fn unknown(name: &str, backends: &[&'static str]) -> String {
    match nearest(name, backends.iter().copied()) {
        Some(backend) => {
            format!("this file has no backend {name:?}; did you mean `{backend}`?")
        }
        None if backends.is_empty() => {
            format!("this file has no backend {name:?}: it has no token server")
        }
        None => format!(
            "this file has no backend {name:?}; it has {}",
            backends.join(", ")
        ),
    }
}
