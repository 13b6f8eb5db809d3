//! The section `trust`: platforms whose workloads log in with their own tokens.
//!
//! - here: the list, and what its items need of each other and of other sections; [`issuer`]: one
//!   platform; [`rule`]: which of its workloads may log in.

mod issuer;
mod rule;

use std::collections::HashMap;

use identity::Accounts;
use workload_identity::IssuerSettings;

use super::diagnostics::Problem;
use super::effective::Effective;
use super::schema::{Kind, key};
use super::section::Section;
use super::setting::Setting;
use super::yaml::Position;

/// An issuer, and where it stands.
struct ReadIssuer {
    settings: IssuerSettings,
    position: Position,
    /// The place of each rule, in their order.
    rules: Vec<Position>,
}

/// Reads the list. `lists` are the accounts that the file has itself.
pub(super) fn read<'l>(
    root: &mut Section<'_>,
    lists: impl IntoIterator<Item = &'l Accounts>,
) -> Vec<IssuerSettings> {
    let list = root.structured(
        key::custom("trust", Kind::List(Box::new(Kind::Mapping(Vec::new())))).means(
            "platforms whose workloads (CI jobs, pods) log in with the token that the platform \
             gave them, below",
        ),
        |section| drop(issuer::read(section)),
    );
    let Some(items) = list.as_ref().and_then(Setting::items) else {
        return Vec::new();
    };
    let (mut issuers, mut shown) = (Vec::new(), Vec::new());
    for item in &items {
        if let Some((issuer, effective)) = item.section(issuer::read) {
            shown.push(effective);
            issuers.extend(issuer);
        }
    }
    root.show("trust", Effective::List(shown));
    refuse_repeated(root, &issuers);
    for issuer in &issuers {
        refuse_overlaps(root, issuer);
    }
    for accounts in lists {
        refuse_people(root, &issuers, accounts);
    }
    let issuers = issuers.into_iter();
    issuers.map(|issuer| issuer.settings).collect()
}

/// Accounts begin with the name, and tokens are told apart by `iss`: both must be one platform's.
fn refuse_repeated(root: &Section<'_>, issuers: &[ReadIssuer]) {
    let (mut names, mut urls) = (HashMap::new(), HashMap::new());
    for issuer in issuers {
        let settings = &issuer.settings;
        let error = |key: &str, other: Position, value: &str| {
            let message = format!("the item on line {} has {value} already", other.line);
            let key = format!("trust.{key}");
            root.context
                .error(issuer.position, &key, Problem::Duplicate, message);
        };
        if let Some(other) = names.insert(settings.name.as_str(), issuer.position) {
            error("name", other, &format!("the name {}", settings.name));
        }
        if let Some(other) = urls.insert(settings.issuer.as_str(), issuer.position) {
            error("issuer", other, &format!("the issuer {}", settings.issuer));
        }
    }
}

/// Two rules whose accounts could have one name, made of different claims.
fn refuse_overlaps(root: &Section<'_>, issuer: &ReadIssuer) {
    let rules = &issuer.settings.rules;
    for (index, rule) in rules.iter().enumerate() {
        let earlier = rules[..index].iter().zip(&issuer.rules);
        for (other, position) in earlier {
            if rule.account.overlaps(&other.account) {
                let message = format!(
                    "an account of {:?} could also be one of {:?} (line {}): write the same \
                     template, or begin them differently",
                    rule.account.as_str(),
                    other.account.as_str(),
                    position.line
                );
                let at = issuer.rules[index];
                root.context
                    .error(at, "trust.rules.account", Problem::Conflict, message);
                break;
            }
        }
    }
}

/// A person must not have the name of a workload.
fn refuse_people(root: &Section<'_>, issuers: &[ReadIssuer], accounts: &Accounts) {
    for issuer in issuers {
        let name = &issuer.settings.name;
        let is_workload = |account: &str| {
            account
                .strip_prefix(name.as_str())
                .is_some_and(|rest| rest.starts_with(':'))
        };
        if let Some((account, _)) = accounts.iter().find(|(account, _)| is_workload(account)) {
            let message = format!(
                "accounts that begin with `{name}:` are this platform's workloads, and a user is \
                 called {account:?}: rename one of them"
            );
            root.context
                .error(issuer.position, "trust.name", Problem::Conflict, message);
        }
    }
}
