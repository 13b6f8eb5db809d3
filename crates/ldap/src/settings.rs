//! What the section `ldap_auth` of the configuration says.

use std::num::NonZeroUsize;

use crate::connection::{DirectoryServer, DirectoryTimeouts};
use crate::distinguished_name::BindNameTemplate;
use crate::filter::FilterTemplate;
use crate::groups::GroupSearch;
use crate::labels::LabelRule;
use crate::pool::ReaderCredentials;

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
