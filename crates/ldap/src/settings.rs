//! What the section `ldap_auth` of the configuration says.

use std::num::NonZeroUsize;

use crate::account_state;
use crate::connection::{DirectoryServer, DirectoryTimeouts};
use crate::distinguished_name::BindNameTemplate;
use crate::filter::FilterTemplate;
use crate::groups::GroupSearch;
use crate::labels::LabelRule;
use crate::reader::ReaderCredentials;

/// A directory, and how accounts and their labels are found in it.
#[derive(Clone, Debug)]
pub struct LdapSettings {
    /// Its servers; the first that can be reached is used.
    pub servers: Vec<DirectoryServer>,
    /// For whom entries are searched.
    pub search_as: SearchIdentity,
    /// Where entries are searched.
    pub base: String,
    /// What finds the entry of an account.
    pub filter: FilterTemplate,
    /// The attribute that holds the name of an account as rules and tokens have it. Without it, the
    /// account is what the client wrote.
    pub account_attribute: Option<String>,
    /// The labels that come from an account's entry.
    pub labels: Vec<LabelRule>,
    /// The label that comes from groups that name their members.
    pub groups: Option<GroupSearch>,
    /// How long connecting and each operation may take.
    pub timeouts: DirectoryTimeouts,
    /// How many logins are checked at once; four times as many may wait.
    pub concurrency: NonZeroUsize,
}

impl LdapSettings {
    /// The attributes that an account's entry is asked for, each once.
    pub(crate) fn attributes(&self) -> Vec<String> {
        let mut attributes: Vec<String> = Vec::new();
        let mut ask = |attribute: &str| {
            let is_known = |known: &String| known.eq_ignore_ascii_case(attribute);
            if !attributes.iter().any(is_known) {
                attributes.push(attribute.to_owned());
            }
        };
        for rule in &self.labels {
            ask(&rule.attribute);
        }
        if let Some(attribute) = &self.account_attribute {
            ask(attribute);
        }
        // Sessions of accounts that search for themselves are not rechecked.
        if !matches!(self.search_as, SearchIdentity::Account(_)) {
            for attribute in account_state::ATTRIBUTES {
                ask(attribute);
            }
        }
        attributes
    }
}

/// For whom entries are searched.
#[derive(Clone, Debug)]
pub enum SearchIdentity {
    /// Without a bind.
    Anonymous,
    /// For an account of the operator's.
    Reader(ReaderCredentials),
    /// For the account that logs in (`initial_bind_as_user`).
    Account(BindNameTemplate),
}
