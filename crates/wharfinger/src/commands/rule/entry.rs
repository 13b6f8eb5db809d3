//! A rule on the command line.

use clap::Args;
use policy::{AclEntry, Conditions};

/// The conditions and the actions of a rule.
#[derive(Debug, Args)]
pub(super) struct RuleArguments {
    /// A pattern for the account's name.
    #[arg(long, value_name = "PATTERN")]
    account: Option<String>,
    /// A pattern for the kind of resource: repository or registry.
    #[arg(long = "type", value_name = "PATTERN")]
    resource_type: Option<String>,
    /// A pattern for the repository's name.
    #[arg(long, value_name = "PATTERN")]
    name: Option<String>,
    /// A pattern for the registry's service.
    #[arg(long, value_name = "PATTERN")]
    service: Option<String>,
    /// The client's address or network.
    #[arg(long, value_name = "NETWORK")]
    ip: Option<String>,
    /// A label and a pattern for one of its values; may be repeated.
    #[arg(long = "label", value_name = "LABEL=PATTERN", value_parser = label)]
    labels: Vec<(String, String)>,
    /// What is granted, such as pull,push; * grants every action.
    #[arg(long, value_delimiter = ',', required_unless_present = "deny")]
    actions: Vec<String>,
    /// Grant nothing.
    #[arg(long, conflicts_with = "actions")]
    deny: bool,
    /// A note for people, which `explain` shows.
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
}

impl RuleArguments {
    pub(super) fn read(self) -> AclEntry {
        AclEntry {
            conditions: Conditions {
                account: self.account,
                resource_type: self.resource_type,
                name: self.name,
                service: self.service,
                ip: self.ip,
                labels: self.labels.into_iter().collect(),
            },
            actions: self.actions,
            comment: self.comment,
        }
    }
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, pattern)) if !name.is_empty() => Ok((name.to_owned(), pattern.to_owned())),
        _ => Err("a label is written LABEL=PATTERN".to_owned()),
    }
}
