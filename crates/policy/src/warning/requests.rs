//! Actions and types of resources that no client asks for.

use common::nearest;

use super::WarningKind;
use crate::pattern::Matcher;
use crate::syntax::SIZE_LIMIT;

/// The actions that registries ask clients to ask for.
const ACTIONS: [&str; 3] = ["pull", "push", "delete"];

/// The types of resource that registries ask clients to ask for.
const TYPES: [&str; 2] = ["repository", "registry"];

pub(super) fn actions(actions: &[String]) -> Vec<WarningKind> {
    let unknown = |action: &&String| *action != "*" && !ACTIONS.contains(&action.as_str());
    let unknown = actions
        .iter()
        .filter(unknown)
        .map(|action| WarningKind::UnknownAction {
            action: action.clone(),
            nearest: nearest(action, ACTIONS),
        });
    let star = actions.len() > 1 && actions.iter().any(|action| action == "*");
    unknown
        .chain(star.then_some(WarningKind::StarBesideOthers))
        .collect()
}

/// With variables the pattern may become anything; one that is malformed is an error elsewhere.
pub(super) fn unknown_type(pattern: &str) -> Option<WarningKind> {
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
