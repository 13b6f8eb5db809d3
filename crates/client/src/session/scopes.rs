//! The rights that a request needs, as scopes of the token server.

use oci::RepositoryName;
use token::{Access, Scope};

/// A set of scopes, one for each resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Scopes(Vec<Scope>);

impl Scopes {
    /// These actions on one repository.
    pub(crate) fn repository(name: &RepositoryName, actions: &[&str]) -> Self {
        Self::default().with("repository", name.as_str(), actions)
    }

    /// The scopes of a pull.
    pub(crate) fn pull(name: &RepositoryName) -> Self {
        Self::repository(name, &["pull"])
    }

    /// The scopes of a push, for which a registry also requires the right to pull.
    pub(crate) fn push(name: &RepositoryName) -> Self {
        Self::repository(name, &["pull", "push"])
    }

    /// The scopes of a deletion.
    pub(crate) fn delete(name: &RepositoryName) -> Self {
        Self::repository(name, &["delete", "pull"])
    }

    /// The scopes of listing a registry's repositories.
    pub(crate) fn catalog() -> Self {
        Self::default().with("registry", "catalog", &["*"])
    }

    /// The scopes of an API's routes: names of resources, each with an action.
    pub(crate) fn api(rights: &[(&str, &str)]) -> Self {
        let mut scopes = Self::default();
        for (name, action) in rights {
            scopes = scopes.with("wharfinger", name, &[action]);
        }
        scopes
    }

    /// The scopes of a challenge's `scope`, separated by spaces. A scope that cannot be read is left
    /// out: the token server grants less, and the registry says what is missing.
    pub(crate) fn of_challenge(scope: &str) -> Self {
        let mut scopes = Self::default();
        scope
            .split(' ')
            .filter_map(|scope| scope.parse().ok())
            .for_each(|scope| scopes.add(scope));
        scopes
    }

    /// The union of both.
    pub(crate) fn and(mut self, others: &Self) -> Self {
        others.0.iter().cloned().for_each(|scope| self.add(scope));
        self
    }

    /// Whether these include all of `wanted`.
    pub(crate) fn cover(&self, wanted: &Self) -> bool {
        wanted.0.iter().all(|wanted| {
            let same =
                |own: &&Scope| own.resource_type == wanted.resource_type && own.name == wanted.name;
            let own = self.0.iter().find(same);
            own.is_some_and(|own| {
                wanted
                    .actions
                    .iter()
                    .all(|action| own.actions.contains(action))
            })
        })
    }

    /// The scopes that a token's access does not grant.
    pub(crate) fn lacking(&self, access: &[Access]) -> Vec<String> {
        let lacking = self.0.iter().filter_map(|wanted| {
            let same = |entry: &&Access| {
                entry.resource_type == wanted.resource_type && entry.name == wanted.name
            };
            let granted: Vec<&String> = access
                .iter()
                .filter(same)
                .flat_map(|entry| &entry.actions)
                .collect();
            let lacks = |action: &&String| {
                !granted
                    .iter()
                    .any(|granted| granted == action || *granted == "*")
            };
            let actions: Vec<String> = wanted.actions.iter().filter(lacks).cloned().collect();
            (!actions.is_empty()).then(|| {
                Scope {
                    actions,
                    ..wanted.clone()
                }
                .to_string()
            })
        });
        lacking.collect()
    }

    /// Each as text, in the order in which they were added.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }

    fn with(mut self, resource_type: &str, name: &str, actions: &[&str]) -> Self {
        let actions = actions.iter().map(ToString::to_string).collect();
        self.add(Scope {
            resource_type: resource_type.to_owned(),
            name: name.to_owned(),
            actions,
        });
        self
    }

    fn add(&mut self, scope: Scope) {
        let same =
            |own: &&mut Scope| own.resource_type == scope.resource_type && own.name == scope.name;
        match self.0.iter_mut().find(same) {
            Some(own) => {
                own.actions.extend(scope.actions);
                own.actions.sort();
                own.actions.dedup();
            }
            None => self.0.push(scope),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_scope_for_each_resource() {
        let name: RepositoryName = "a/b".parse().unwrap();
        let both = Scopes::pull(&name)
            .and(&Scopes::push(&name))
            .and(&Scopes::catalog());
        assert_eq!(
            both.texts(),
            ["repository:a/b:pull,push", "registry:catalog:*"]
        );
        assert!(both.cover(&Scopes::pull(&name)) && !both.cover(&Scopes::delete(&name)));
        assert!(both.cover(&Scopes::default()) && !Scopes::default().cover(&both));
        let granted = Access {
            resource_type: "repository".into(),
            name: "a/b".into(),
            actions: vec!["pull".into()],
        };
        assert_eq!(
            both.lacking(&[granted]),
            ["repository:a/b:push", "registry:catalog:*"]
        );
        let challenged =
            Scopes::of_challenge("repository:a:push,pull nonsense repository:a:delete ");
        assert_eq!(challenged.texts(), ["repository:a:delete,pull,push"]);
    }
}
