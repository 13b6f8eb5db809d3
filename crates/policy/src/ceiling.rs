//! The most that a login can be granted, whatever the rules allow.

use token::{Access, Scope};

/// A bound on what a login's tokens grant: granted = asked ∩ allowed ∩ ceiling.
///
/// A robot's secret or a personal token carries one, so that it can do less than the account that
/// made it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ScopeCeiling {
    /// The rules alone decide.
    #[default]
    Unlimited,
    /// At most these actions on these resources. A lone `*` stands for every action.
    Limited(Vec<Access>),
}

impl ScopeCeiling {
    /// What is left of the actions that the rules `granted` of `scope`.
    #[must_use]
    pub fn limit(&self, scope: &Scope, granted: Vec<String>) -> Vec<String> {
        let Self::Limited(limits) = self else {
            return granted;
        };
        let allows = |action: &String| {
            limits.iter().any(|limit| {
                limit.resource_type == scope.resource_type
                    && limit.name == scope.name
                    && (limit.actions.contains(action) || limit.actions == ["*"])
            })
        };
        granted.into_iter().filter(allows).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(name: &str, actions: &[&str]) -> Access {
        Access {
            resource_type: "repository".into(),
            name: name.into(),
            actions: actions.iter().map(|&action| action.into()).collect(),
        }
    }

    #[test]
    fn only_what_the_ceiling_holds_is_left() {
        let ceiling = ScopeCeiling::Limited(vec![
            access("app", &["pull"]),
            access("tool", &["*"]),
            access("app", &["delete"]),
        ]);
        for (scope, granted, left) in [
            (
                "repository:app:pull,push",
                vec!["pull", "push"],
                vec!["pull"],
            ),
            (
                "repository:app:delete,pull",
                vec!["delete", "pull"],
                vec!["delete", "pull"],
            ),
            ("repository:app:delete,pull", vec!["pull"], vec!["pull"]),
            ("repository:app:*", vec!["*"], vec![]),
            (
                "repository:tool:pull,push",
                vec!["pull", "push"],
                vec!["pull", "push"],
            ),
            ("repository:tool:pull", vec![], vec![]),
            ("repository:other:pull", vec!["pull"], vec![]),
            ("registry:app:pull", vec!["pull"], vec![]),
        ] {
            let granted: Vec<String> = granted.into_iter().map(Into::into).collect();
            let asked: Scope = scope.parse().unwrap();
            assert_eq!(
                ScopeCeiling::Unlimited.limit(&asked, granted.clone()),
                granted
            );
            assert_eq!(ceiling.limit(&asked, granted), left, "{scope}");
        }
        let nothing = ScopeCeiling::Limited(Vec::new());
        let asked: Scope = "repository:app:pull".parse().unwrap();
        assert_eq!(nothing.limit(&asked, vec!["pull".into()]), [""; 0]);
    }
}
