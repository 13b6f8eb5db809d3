//! Reads of each kind, by what is asked for.

use database::Error;

use crate::AuditFilter;
use crate::reader::page;
use crate::reads::{AuditRows, export};

/// An answer of `list`, `who`, `what` or the API, or a page of an export after this number.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) filter: AuditFilter,
    after: Option<i64>,
}

impl Case {
    /// Reads a page, and the one after it. Returns how many records there were.
    pub(super) fn read(&self, rows: &dyn AuditRows) -> Result<usize, Error> {
        if let Some(after) = self.after {
            let first = export(rows, &self.filter, after, 100)?;
            assert!(first.records.len() <= 100);
            return Ok(first.records.len());
        }
        let first = page(rows, &self.filter, None, 100)?;
        let mut found = first.entries.len();
        if let Some(next) = first.next {
            found += page(rows, &self.filter, Some(next), 100)?.entries.len();
        }
        Ok(found)
    }
}

/// Each case, of a table with so many records.
pub(super) fn cases(count: i64) -> Vec<Case> {
    let pages = [
        by_time_and_account(count),
        by_repository(),
        by_account_and_repository(count),
    ]
    .concat();
    let pages = pages.into_iter().map(|(name, filter)| Case {
        name,
        filter,
        after: None,
    });
    pages.chain(exports(count)).collect()
}

/// `list` and `what`.
fn by_time_and_account(count: i64) -> Vec<(&'static str, AuditFilter)> {
    let middle = count / 2;
    vec![
        ("list", none()),
        ("list --since --until", within(middle, middle + 100, none())),
        ("list --event, tokens", kind("token_issued", none())),
        ("list --event, moves", kind("tag_moved", none())),
        ("list --event, none of it", kind("manifest_deleted", none())),
        (
            "list --event, none of a frequent one",
            kind("login_accepted", none()),
        ),
        ("what, a usual account", of("robot+ci-7")),
        ("what, a third of all", of("busy")),
        ("what, not lately", of("early")),
        ("what, absent", of("absent")),
        (
            "what --since --until",
            within(middle, middle + 100, of("busy")),
        ),
        ("what --event, tokens", kind("token_issued", of("busy"))),
        (
            "what --event, tokens, not lately",
            kind("token_issued", of("early")),
        ),
        ("what --event, absent", kind("manifest_deleted", of("busy"))),
    ]
}

/// `who`.
fn by_repository() -> Vec<(&'static str, AuditFilter)> {
    vec![
        ("who REPOSITORY", about("team/app-42")),
        ("who REPOSITORY, a tenth of all", about("library/base")),
        ("who REPOSITORY, absent", about("absent")),
        (
            "who REPOSITORY --event",
            kind("manifest_pushed", about("library/base")),
        ),
        ("who REPOSITORY:TAG", tag("1.3", about("team/app-42"))),
        (
            "who REPOSITORY:TAG, a tenth of all",
            tag("latest", about("library/base")),
        ),
        (
            "who REPOSITORY:TAG, absent",
            tag("absent", about("library/base")),
        ),
        (
            "who REPOSITORY:TAG --event",
            kind("manifest_deleted", tag("latest", about("library/base"))),
        ),
        (
            "who REPOSITORY@DIGEST, not lately",
            digest(1, about("library/base")),
        ),
        (
            "who REPOSITORY@DIGEST, a tenth of all",
            digest(2, about("library/base")),
        ),
        (
            "who REPOSITORY@DIGEST, absent",
            digest(3, about("library/base")),
        ),
        (
            "who REPOSITORY@DIGEST, one of many",
            digest(10_000 + 42 * 7 + 3, about("team/app-42")),
        ),
    ]
}

/// What only the API is asked.
fn by_account_and_repository(count: i64) -> Vec<(&'static str, AuditFilter)> {
    let busy_about_base = || account("busy", about("library/base"));
    vec![
        ("account and repository", busy_about_base()),
        (
            "account and repository, absent together",
            account("early", about("library/base")),
        ),
        (
            "account, repository, event",
            kind("blob_pulled", busy_about_base()),
        ),
        (
            "account, repository, event, time",
            within(count / 2, count, kind("blob_pulled", busy_about_base())),
        ),
        ("account, repository, tag", tag("latest", busy_about_base())),
        ("account, repository, digest", digest(1, busy_about_base())),
    ]
}

fn exports(count: i64) -> Vec<Case> {
    let exports = [
        ("export", none(), 0),
        ("export --after", none(), count / 2),
        ("export --after the last", none(), count),
        ("export --account", of("busy"), count / 2),
        ("export --account, absent", of("absent"), 0),
        (
            "export --repository --event",
            kind("blob_pulled", about("library/base")),
            0,
        ),
        ("export --since", within(count - 100, count, none()), 0),
    ];
    let exports = exports.map(|(name, filter, after)| Case {
        name,
        filter,
        after: Some(after),
    });
    exports.into()
}

fn none() -> AuditFilter {
    AuditFilter::default()
}

fn of(account: &str) -> AuditFilter {
    self::account(account, none())
}

fn account(account: &str, filter: AuditFilter) -> AuditFilter {
    AuditFilter {
        account: Some(account.to_owned()),
        ..filter
    }
}

fn about(repository: &str) -> AuditFilter {
    AuditFilter {
        repository: Some(repository.to_owned()),
        ..none()
    }
}

fn kind(kind: &str, filter: AuditFilter) -> AuditFilter {
    AuditFilter {
        kind: Some(kind.to_owned()),
        ..filter
    }
}

fn tag(tag: &str, filter: AuditFilter) -> AuditFilter {
    AuditFilter {
        tag: Some(tag.to_owned()),
        ..filter
    }
}

fn digest(number: u32, filter: AuditFilter) -> AuditFilter {
    AuditFilter {
        digest: Some(format!("sha256:{number:08}{:056}", 0)),
        ..filter
    }
}

/// From the record with one number to before that with another.
fn within(since: i64, until: i64, filter: AuditFilter) -> AuditFilter {
    let time = |number: i64| Some(1_790_000_000_000 + number * 100);
    AuditFilter {
        since: time(since),
        until: time(until),
        ..filter
    }
}
