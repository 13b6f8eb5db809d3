//! Who has which role: the links of one role definition.

use std::collections::{HashMap, HashSet};

/// How many links from a name to its role are followed, as in Casbin.
pub const MAX_ROLE_CHAIN: usize = 10;

/// The roles of a definition, for each domain. Without a third column, the domain is empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Roles(HashMap<String, Links>);

/// The roles that each name is given directly.
type Links = HashMap<String, Vec<String>>;

impl Roles {
    /// `name` has `role`, and the roles that `role` has.
    pub(super) fn link(&mut self, name: &str, role: &str, domain: &str) {
        let links = self.0.entry(domain.to_owned()).or_default();
        links
            .entry(name.to_owned())
            .or_default()
            .push(role.to_owned());
    }

    /// Every role that `name` has in `domain`, over at most [`MAX_ROLE_CHAIN`] links.
    pub(super) fn of(&self, name: &str, domain: &str) -> HashSet<&str> {
        let mut found = HashSet::new();
        let Some(links) = self.0.get(domain) else {
            return found;
        };
        let mut last = given(links, name).iter().map(String::as_str).collect();
        for _ in 0..MAX_ROLE_CHAIN {
            let new: Vec<&str> = last;
            let new = new.into_iter().filter(|role| found.insert(*role));
            last = new
                .flat_map(|role| given(links, role))
                .map(String::as_str)
                .collect();
        }
        found
    }
}

fn given<'a>(links: &'a Links, name: &str) -> &'a [String] {
    links.get(name).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(links: usize) -> Roles {
        let mut roles = Roles::default();
        for link in 0..links {
            roles.link(&link.to_string(), &(link + 1).to_string(), "");
        }
        roles
    }

    #[test]
    fn ten_links_are_followed() {
        let roles = chain(20);
        assert!(roles.of("0", "").contains("10"));
        assert!(!roles.of("0", "").contains("11"));
        assert!(roles.of("5", "").contains("15"));
    }

    #[test]
    fn circles_end() {
        let mut roles = chain(3);
        roles.link("3", "0", "");
        assert_eq!(roles.of("2", "").len(), 4);
    }

    #[test]
    fn domains_are_apart() {
        let mut roles = chain(1);
        roles.link("0", "2", "d");
        assert!(!roles.of("0", "").contains("2") && roles.of("0", "d").contains("2"));
        assert!(roles.of("0", "e").is_empty());
    }
}
