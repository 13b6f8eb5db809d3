//! Rules and queries in few words.

use policy::{Acl, AclEntry, AclOptions, AclQuery, Conditions, Labels};

/// A rule; a key that a rule does not have itself is a label.
pub(crate) fn rule(conditions: &[(&str, &str)], actions: &[&str]) -> AclEntry {
    let mut entry = AclEntry {
        actions: strings(actions),
        ..AclEntry::default()
    };
    let written = &mut entry.conditions;
    for (key, pattern) in conditions {
        let pattern = (*pattern).to_owned();
        match *key {
            "account" => written.account = Some(pattern),
            "type" => written.resource_type = Some(pattern),
            "name" => written.name = Some(pattern),
            "service" => written.service = Some(pattern),
            "ip" => written.ip = Some(pattern),
            label => drop(written.labels.insert(label.to_owned(), pattern)),
        }
    }
    entry
}

pub(crate) fn acl(rules: &[AclEntry]) -> Acl {
    Acl::compile(rules.to_vec(), AclOptions::default()).unwrap()
}

/// The list of one rule that grants `pull` under these conditions.
pub(crate) fn pull_if(conditions: &[(&str, &str)]) -> Acl {
    acl(&[rule(conditions, &["pull"])])
}

pub(crate) fn strings(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

pub(crate) fn labels(list: &[(&str, &[&str])]) -> Labels {
    list.iter()
        .map(|(name, values)| ((*name).to_owned(), strings(values)))
        .collect()
}

/// What a query is about, owned.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) account: String,
    pub(crate) labels: Labels,
    pub(crate) resource_type: String,
    pub(crate) name: String,
    pub(crate) service: String,
    pub(crate) ip: Option<std::net::IpAddr>,
    pub(crate) actions: Vec<String>,
}

impl Request {
    /// `account` wants to pull the repository `name`.
    pub(crate) fn pull(account: &str, name: &str) -> Self {
        Self {
            account: account.to_owned(),
            labels: Labels::new(),
            resource_type: "repository".to_owned(),
            name: name.to_owned(),
            service: "registry.example.com".to_owned(),
            ip: None,
            actions: strings(&["pull"]),
        }
    }

    pub(crate) fn with(mut self, list: &[(&str, &[&str])]) -> Self {
        self.labels = labels(list);
        self
    }

    pub(crate) fn from(mut self, address: &str) -> Self {
        self.ip = common::parse_ip(address);
        self
    }

    pub(crate) fn asking(mut self, actions: &[&str]) -> Self {
        self.actions = strings(actions);
        self
    }

    pub(crate) fn query(&self) -> AclQuery<'_> {
        AclQuery {
            account: &self.account,
            labels: &self.labels,
            resource_type: &self.resource_type,
            name: &self.name,
            service: &self.service,
            ip: self.ip,
            actions: &self.actions,
        }
    }

    /// Whether a rule of `acl` matches; and whether its explanation says the same.
    pub(crate) fn is_decided_by(&self, acl: &Acl) -> bool {
        let decision = acl.decide(&self.query());
        assert_eq!(
            acl.explain(&self.query())
                .decided
                .map(|decided| decided.decision),
            decision
        );
        decision.is_some()
    }
}

/// Conditions with nothing but a pattern for the name.
pub(crate) fn on_name(pattern: &str) -> AclEntry {
    let conditions = Conditions {
        name: Some(pattern.to_owned()),
        ..Conditions::default()
    };
    AclEntry {
        conditions,
        actions: strings(&["pull"]),
        comment: None,
    }
}
