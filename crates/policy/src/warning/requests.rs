//! Actions and types of resources that no client asks for.

use common::nearest;

use super::WarningKind;
use crate::AclEntry;
use crate::pattern::Matcher;
use crate::query::API_TYPE;
use crate::syntax::SIZE_LIMIT;

/// The actions that registries ask clients to ask for.
const ACTIONS: [&str; 3] = ["pull", "push", "delete"];

/// The types of resource that registries ask clients to ask for.
const TYPES: [&str; 2] = ["repository", "registry"];

/// What programs ask the API's administrators for.
const API_ACTIONS: [&str; 4] = ["read", "write", "revoke", "create"];

pub(super) fn actions(entry: &AclEntry) -> Vec<WarningKind> {
    let actions = &entry.actions;
    let known: &[&'static str] = match entry.conditions.is_for_api() {
        true => &API_ACTIONS,
        false => &ACTIONS,
    };
    let unknown = |action: &&String| *action != "*" && !known.contains(&action.as_str());
    let unknown = actions
        .iter()
        .filter(unknown)
        .map(|action| WarningKind::UnknownAction {
            action: action.clone(),
            nearest: nearest(action, known.iter().copied()),
            known: known.join(", "),
        });
    let star = actions.len() > 1 && actions.iter().any(|action| action == "*");
    unknown
        .chain(star.then_some(WarningKind::StarBesideOthers))
        .collect()
}

/// With variables the pattern may become anything; one that is malformed is an error elsewhere.
pub(super) fn unknown_type(pattern: &str) -> Option<WarningKind> {
    if pattern == API_TYPE {
        return None;
    }
    if pattern.contains(API_TYPE) {
        return Some(WarningKind::ApiTypeInPattern(pattern.to_owned()));
    }
    let matcher = Matcher::compile(pattern, SIZE_LIMIT).ok()?;
    let unknown = !pattern.contains("${") && !TYPES.iter().any(|known| matcher.matches(known));
    unknown.then(|| WarningKind::UnknownType {
        pattern: pattern.to_owned(),
        nearest: nearest(pattern, TYPES),
    })
}

#[cfg(test)]
mod tests {
    use crate::entry::{AclEntry, AclOptions, Conditions};
    use crate::warning::warnings;

    #[test]
    fn what_no_client_asks_for_is_named() {
        let told = |resource_type: Option<&str>, actions: &[&str]| -> Vec<String> {
            let entry = AclEntry {
                conditions: Conditions {
                    resource_type: resource_type.map(str::to_owned),
                    ..Conditions::default()
                },
                actions: actions.iter().map(ToString::to_string).collect(),
                comment: None,
            };
            warnings(&[entry], AclOptions::default())
                .into_iter()
                .map(|warning| warning.kind.to_string())
                .collect()
        };
        for (resource_type, actions) in [
            (None, &["pull", "push", "delete"][..]),
            (None, &["*"]),
            (None, &[]),
            (Some("repository"), &["pull"]),
            (Some("registry"), &["*"]),
            (Some("re*"), &["*"]),
            (Some("/^(repository|registry)$/"), &["*"]),
            (Some("${labels:type}"), &["*"]),
            (Some("wharfinger"), &["read", "write", "revoke", "create"]),
            (Some("wharfinger"), &["*"]),
        ] {
            let told = told(resource_type, actions);
            let about = |line: &&String| line.starts_with("no client");
            assert_eq!(told.iter().find(about), None);
        }
        for (resource_type, actions, expected) in [
            (
                None,
                &["psh"][..],
                "no client asks for the action \"psh\"; did you mean \"push\"?",
            ),
            (
                None,
                &["Pull"],
                "no client asks for the action \"Pull\"; did you mean \"pull\"?",
            ),
            (
                None,
                &["write"],
                "no client asks for the action \"write\": actions are",
            ),
            (
                None,
                &["*", "pull"],
                "`*` means every action only if it stands alone",
            ),
            (
                Some("wharfinger"),
                &["wirte"],
                "no client asks for the action \"wirte\"; did you mean \"write\"?",
            ),
            (
                Some("wharfinger"),
                &["pull"],
                "no client asks for the action \"pull\": actions are read, write, revoke, create",
            ),
            (
                Some("/^(repository|wharfinger)$/"),
                &["*"],
                "the API needs a rule whose type is exactly wharfinger",
            ),
            (
                Some("repositry"),
                &["*"],
                "no client asks for the type \"repositry\"; did you mean \"repository\"?",
            ),
            (
                Some("Repository"),
                &["*"],
                "no client asks for the type \"Repository\"; did you",
            ),
            (
                Some("/^repo$/"),
                &["*"],
                "no client asks for the type \"/^repo$/\": types are",
            ),
            (
                Some(""),
                &["*"],
                "no client asks for the type \"\": types are",
            ),
        ] {
            let told = told(resource_type, actions);
            assert!(told.len() == 1 && told[0].starts_with(expected), "{told:?}");
        }
    }
}
