//! Which rules of a list can match a query at all.
//!
//! An installation may have a rule for each account, or for each directory of repositories. To try
//! them in turn, most of which cannot match, would cost more than a signature. So rules with a plain text in the right
//! place are found by that text, and only the others are tried for every query.

use std::collections::HashMap;

use crate::rule::Rule;
use crate::{AclQuery, Attribute};

/// The rules of a list by what a query must have for them to match. Each rule is in one place.
#[derive(Clone, Debug, Default)]
pub(crate) struct RuleIndex {
    by_account: HashMap<String, Vec<usize>>,
    by_name: HashMap<String, Vec<usize>>,
    by_directory: HashMap<String, Vec<usize>>,
    /// Those that may match anything.
    others: Vec<usize>,
}

/// What a query must have for a rule to match.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum IndexKey {
    /// This account.
    Account(String),
    /// This name.
    Name(String),
    /// A name in this directory or below it: what comes before the first slash.
    Directory(String),
}

impl RuleIndex {
    pub(crate) fn new(rules: &[Rule]) -> Self {
        let keys: Vec<Vec<IndexKey>> = rules.iter().map(keys).collect();
        let mut counts: HashMap<&IndexKey, usize> = HashMap::new();
        for key in keys.iter().flatten() {
            *counts.entry(key).or_default() += 1;
        }
        let mut index = Self::default();
        for (rule, keys) in keys.iter().enumerate() {
            // The text that the fewest rules share.
            let rarest = keys.iter().min_by_key(|key| counts[key]);
            index.rules_of(rarest).push(rule);
        }
        index
    }

    fn rules_of(&mut self, key: Option<&IndexKey>) -> &mut Vec<usize> {
        let (map, text) = match key {
            None => return &mut self.others,
            Some(IndexKey::Account(text)) => (&mut self.by_account, text),
            Some(IndexKey::Name(text)) => (&mut self.by_name, text),
            Some(IndexKey::Directory(text)) => (&mut self.by_directory, text),
        };
        map.entry(text.clone()).or_default()
    }

    /// The rules that can match `query`, by their numbers, in the order of the list.
    pub(crate) fn candidates<'a>(
        &'a self,
        query: &AclQuery<'_>,
    ) -> impl Iterator<Item = usize> + use<'a> {
        let found = |map: &'a HashMap<String, Vec<usize>>, text: &str| {
            map.get(text).map_or(&[][..], Vec::as_slice)
        };
        let directory = query.name.split_once('/').map(|(directory, _)| directory);
        let mut lists = [
            found(&self.by_account, query.account),
            found(&self.by_name, query.name),
            directory.map_or(&[][..], |text| found(&self.by_directory, text)),
            &self.others[..],
        ];
        std::iter::from_fn(move || {
            let with_rules = lists.iter_mut().filter(|list| !list.is_empty());
            let list = with_rules.min_by_key(|list| list.first().copied())?;
            let (first, rest) = list.split_first()?;
            *list = rest;
            Some(*first)
        })
    }
}

/// All that a query must have for `rule` to match, of what can be looked up.
fn keys(rule: &Rule) -> Vec<IndexKey> {
    let mut keys = Vec::new();
    if let Some(account) = rule.pattern_on(Attribute::Account) {
        let account = account.literal().map(str::to_owned);
        keys.extend(account.map(IndexKey::Account));
    }
    if let Some(name) = rule.pattern_on(Attribute::Name) {
        match name.literal() {
            Some(literal) => keys.push(IndexKey::Name(literal.to_owned())),
            None => {
                let prefix = name.literal_prefix();
                let directory = prefix.split_once('/').map(|(directory, _)| directory);
                keys.extend(directory.map(|text| IndexKey::Directory(text.to_owned())));
            }
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AclEntry, Conditions, Labels};

    /// How many rules are tried for this account and name.
    fn tried(rules: &[(&str, &str)], account: &str, name: &str) -> Vec<usize> {
        let rules: Vec<Rule> = rules
            .iter()
            .map(|(account, name)| {
                let written = |text: &str| (!text.is_empty()).then(|| text.to_owned());
                let conditions = Conditions {
                    account: written(account),
                    name: written(name),
                    ..Conditions::default()
                };
                let actions = Vec::new();
                let comment = None;
                Rule::compile(AclEntry {
                    conditions,
                    actions,
                    comment,
                })
                .unwrap()
            })
            .collect();
        let query = AclQuery {
            account,
            labels: &Labels::new(),
            resource_type: "repository",
            name,
            service: "registry",
            ip: None,
            actions: &[],
        };
        RuleIndex::new(&rules).candidates(&query).collect()
    }

    #[test]
    fn rules_of_others_are_not_tried() {
        let rules = [
            ("", "/[a-z]+/"),
            ("ann", ""),
            ("ann", "shop/app"),
            ("bob", "shop/*"),
            ("", "team/*"),
            ("", r"/^team\/.+/"),
            ("${name}", "*"),
            ("", "shop-*"),
            ("", r"\shop/?"),
        ];
        assert_eq!(tried(&rules, "ann", "team/app"), [0, 1, 4, 5, 6, 7]);
        assert_eq!(tried(&rules, "ann", "shop/app"), [0, 1, 2, 6, 7, 8]);
        assert_eq!(tried(&rules, "bob", "shop"), [0, 3, 6, 7]);
        assert_eq!(tried(&rules, "eve", "team"), [0, 6, 7]);
    }

    #[test]
    fn the_text_that_the_fewest_rules_share_is_looked_up() {
        let names: Vec<String> = (0..1000).map(|number| format!("shop/r{number}")).collect();
        let one_account: Vec<(&str, &str)> = names.iter().map(|name| ("ci", &name[..])).collect();
        assert_eq!(tried(&one_account, "ci", "shop/r7"), [7]);
        let one_name: Vec<(&str, &str)> =
            names.iter().map(|name| (&name[..], "shop/app")).collect();
        assert_eq!(tried(&one_name, "shop/r8", "shop/app"), [8]);
    }
}
