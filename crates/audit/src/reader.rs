//! Answers of the table to an operator: what happened, by which rule.

use std::sync::Arc;

use database::Error;
use serde_json::{Map, Value};

use crate::index_range::{IndexRange, TimeBounds};
use crate::reads::{AuditRecords, AuditRows, last_records, list};
use crate::{AuditCursor, AuditFilter, AuditStore, EntryDocument, Pseudonyms, StoredAuditRecord};

/// The table as an operator reads it: accounts are named as they are, and searched for as they are
/// recorded.
#[derive(Clone)]
pub struct AuditReader {
    store: AuditStore,
    names: Arc<Pseudonyms>,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct AuditPage {
    /// The records, the latest first. There may be fewer than were asked for, and more pages.
    pub entries: Vec<EntryDocument>,
    /// Where the next page begins, if there are more.
    pub next: Option<AuditCursor>,
}

/// How many of an account's tokens are looked at to find the one that was used.
const TOKENS_EXAMINED: u32 = 100;
const FIRST_TOKENS_EXAMINED: u32 = 3;

impl AuditReader {
    /// The table, in which names are recorded as `names` says.
    #[must_use]
    pub fn new(store: AuditStore, names: Arc<Pseudonyms>) -> Self {
        Self { store, names }
    }

    /// A page of the records that `filter` selects. If they are about one repository, each that an access
    /// token allowed has the `rule` that granted the token.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn page(
        &self,
        filter: AuditFilter,
        before: Option<AuditCursor>,
        limit: u32,
    ) -> Result<AuditPage, Error> {
        let filter = self.recorded(filter);
        let read = self
            .store
            .read(move |rows| page(rows, &filter, before, limit));
        read.await
    }

    /// The records after number `after` that `filter` selects, at most `limit`, in the order in which they
    /// were written.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn export(
        &self,
        filter: AuditFilter,
        after: i64,
        limit: u32,
    ) -> Result<Vec<StoredAuditRecord>, Error> {
        self.store.export(self.recorded(filter), after, limit).await
    }

    /// The filter with the account's name as it is recorded.
    fn recorded(&self, filter: AuditFilter) -> AuditFilter {
        let account = filter.account.as_deref();
        let account = account.map(|name| self.names.account(name).into_owned());
        AuditFilter { account, ..filter }
    }
}

/// A page of the records that `filter` selects.
pub(crate) fn page(
    rows: &dyn AuditRows,
    filter: &AuditFilter,
    before: Option<AuditCursor>,
    limit: u32,
) -> Result<AuditPage, Error> {
    let AuditRecords { records, next } = list(rows, filter, before, limit)?;
    let mut entries = Vec::with_capacity(records.len());
    for record in &records {
        let mut entry = record.read();
        if let Some(repository) = &filter.repository
            && let Some(rule) = rule_of(rows, record, &entry.event, repository)?
        {
            entry.event.insert("rule".to_owned(), rule.into());
        }
        entries.push(entry);
    }
    Ok(AuditPage { entries, next })
}

/// The rule that granted the token with which an event was caused: that of the account's last token before
/// it which grants anything for the repository.
fn rule_of(
    rows: &dyn AuditRows,
    record: &StoredAuditRecord,
    event: &Map<String, Value>,
    repository: &str,
) -> Result<Option<String>, Error> {
    let text = |event: &Map<String, Value>, member: &str| {
        let text = event.get(member).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    if text(event, "event") == "administration" {
        return Ok(None);
    }
    let tokens = IndexRange::Account {
        account: text(event, "account"),
        are_tokens: true,
    };
    let bounds = TimeBounds {
        before: AuditCursor::at(record.at.saturating_add(1)),
        since: i64::MIN,
    };
    let personal_token = text(event, "personal_token");
    // It is nearly always one of the last.
    for examined in [FIRST_TOKENS_EXAMINED, TOKENS_EXAMINED] {
        let issued = last_records(rows, &tokens, bounds, examined)?;
        let is_all = issued.len() < examined as usize;
        for token in issued {
            let issued = token.read().event;
            if text(&issued, "personal_token") != personal_token {
                continue;
            }
            if let Some(rule) = rule_for(&issued, repository) {
                return Ok(Some(rule));
            }
        }
        if is_all {
            break;
        }
    }
    Ok(None)
}

/// The rule by which a token grants something for the repository.
fn rule_for(token: &Map<String, Value>, repository: &str) -> Option<String> {
    let list = |member: &str| {
        let text = token
            .get(member)
            .and_then(Value::as_str)
            .unwrap_or_default();
        text.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let is_of_repository = |scope: &String| {
        let scope = scope.strip_prefix("repository:");
        let name = scope.and_then(|scope| scope.rsplit_once(':'));
        name.is_some_and(|(name, actions)| name == repository && !actions.is_empty())
    };
    let granted = list("granted");
    let index = granted.iter().position(is_of_repository)?;
    let rules = list("rules");
    // The name of a rule may have spaces: then all of them are shown.
    Some(match rules.len() == granted.len() {
        true => rules[index].clone(),
        false => rules.join(" "),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_rule_of_a_repository_is_that_of_its_scope() {
        let token = json!({
            "granted": "repository:a:pull repository:b:", "rules": "auth.yml:3 rule#4",
        });
        let rule = |repository| rule_for(token.as_object().unwrap(), repository);
        assert_eq!(rule("a"), Some("auth.yml:3".to_owned()));
        assert_eq!((rule("b"), rule("c")), (None, None));
        let token = json!({ "granted": "repository:a:pull", "rules": "acl_mongo seq 5" });
        let rule = rule_for(token.as_object().unwrap(), "a");
        assert_eq!(rule, Some("acl_mongo seq 5".to_owned()));
    }
}
