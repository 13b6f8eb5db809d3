//! `wharfinger audit list`, `who` and `what`: the last events.

use std::sync::Arc;
use std::time::SystemTime;

use audit::{
    AuditCursor, AuditFilter, AuditReader, AuditStore, EntryDocument, Pseudonyms, Recording,
    known_kind,
};
use clap::Args;
use client::ApiRoute;
use common::{Clock, SystemClock, escape_json, rfc3339, unix_seconds};
use oci::{Digest, RepositoryName, Tag};
use serde_json::{Map, Value, json};

use super::what::{text, what};
use crate::commands::managed_database::{ManagedDatabase, failed};
use crate::commands::managed_server::{ManagedServer, ManagedServerArguments};
use crate::commands::table::table;
use crate::failure::Failure;
use crate::when::TimeArgument;

/// How many records are read at once.
const PAGE: u32 = 1000;

/// Which of the events, and how they are shown.
#[derive(Debug, Args)]
struct Selection {
    /// Only events of this kind, as in manifest_pulled.
    #[arg(long, value_name = "KIND", value_parser = known_kind)]
    event: Option<String>,
    /// Only events since then: 2026-01-31, 2026-01-31T12:00:00Z or now-1h.
    #[arg(long, value_name = "TIME", value_parser = TimeArgument::parse)]
    since: Option<TimeArgument>,
    /// Only events before then.
    #[arg(long, value_name = "TIME", value_parser = TimeArgument::parse)]
    until: Option<TimeArgument>,
    /// How many events are listed.
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u32,
    /// Print a JSON object on each line: id, time, event, account, address, and the members of its kind.
    #[arg(long)]
    json: bool,
}

/// List the last events, the latest last
#[derive(Debug, Args)]
pub(super) struct ListEvents {
    #[command(flatten)]
    server: ManagedServerArguments,
    /// Only events of this account.
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// Only events about this repository.
    #[arg(long, value_name = "REPOSITORY")]
    repository: Option<String>,
    #[command(flatten)]
    selection: Selection,
}

/// Show who pulled, pushed or deleted an image, and by which rule
///
/// A tag stands for every manifest that it has pointed at, as far as the table goes back.
#[derive(Debug, Args)]
pub(super) struct ImageEvents {
    #[command(flatten)]
    server: ManagedServerArguments,
    /// The image: REPOSITORY, REPOSITORY:TAG or REPOSITORY@DIGEST.
    #[arg(value_parser = Image::parse)]
    image: Image,
    #[command(flatten)]
    selection: Selection,
}

/// Show what an account did
#[derive(Debug, Args)]
pub(super) struct AccountEvents {
    #[command(flatten)]
    server: ManagedServerArguments,
    /// The account; "" for clients without a login.
    account: String,
    #[command(flatten)]
    selection: Selection,
}

/// An image of the registry beside the audit table.
#[derive(Clone, Debug)]
struct Image {
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl ListEvents {
    pub(super) async fn run(self) -> Result<String, Failure> {
        let filter = AuditFilter {
            account: self.account.clone(),
            repository: self.repository.clone(),
            ..AuditFilter::default()
        };
        self.selection.report(&self.server, filter).await
    }
}

impl ImageEvents {
    pub(super) async fn run(self) -> Result<String, Failure> {
        let filter = AuditFilter {
            repository: Some(self.image.repository),
            tag: self.image.tag,
            digest: self.image.digest,
            ..AuditFilter::default()
        };
        self.selection.report(&self.server, filter).await
    }
}

impl AccountEvents {
    pub(super) async fn run(self) -> Result<String, Failure> {
        let filter = AuditFilter {
            account: Some(self.account.clone()),
            ..AuditFilter::default()
        };
        self.selection.report(&self.server, filter).await
    }
}

impl Image {
    fn parse(text: &str) -> Result<Self, String> {
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => {
                let digest: Digest = digest.parse().map_err(|error| format!("{error}"))?;
                (named, Some(digest.to_string()))
            }
            None => (text, None),
        };
        let is_tagged = |(name, tag): &(&str, &str)| !name.is_empty() && !tag.contains('/');
        let (name, tag) = match named.rsplit_once(':').filter(is_tagged) {
            Some((name, tag)) => {
                let tag: Tag = tag.parse().map_err(|error| format!("{error}"))?;
                (name, Some(tag.as_str().to_owned()))
            }
            None => (named, None),
        };
        let repository: RepositoryName = name.parse().map_err(|error| format!("{error}"))?;
        Ok(Self {
            repository: repository.as_str().to_owned(),
            // A digest says more than the tag beside it.
            tag: tag.filter(|_| digest.is_none()),
            digest,
        })
    }
}

impl Selection {
    async fn report(
        self,
        server: &ManagedServerArguments,
        filter: AuditFilter,
    ) -> Result<String, Failure> {
        let now = SystemClock.now();
        let filter = AuditFilter {
            kind: self.event.clone(),
            since: self.since.map(|when| milliseconds(when, now)).transpose()?,
            until: self.until.map(|when| milliseconds(when, now)).transpose()?,
            ..filter
        };
        let has_rules = filter.repository.is_some();
        let mut events = match server.managed().await? {
            ManagedServer::Configured(file) => {
                let managed = ManagedDatabase::open(file)?;
                let reader = reader(&managed, &filter).await?;
                read(&reader, filter, self.limit).await?
            }
            ManagedServer::Remote(api) => {
                let most = usize::try_from(self.limit).unwrap_or(usize::MAX);
                api.list(route(&filter), "after", most).await?
            }
        };
        events.reverse();
        Ok(match (self.json, has_rules) {
            (true, _) => events.iter().map(line).collect(),
            (false, true) => {
                let head = [
                    "TIME", "EVENT", "ACCOUNT", "ADDRESS", "IMAGE", "RULE", "TOKEN",
                ];
                table(head, events.iter().map(row_with_rule).collect())
            }
            (false, false) => {
                let head = ["TIME", "EVENT", "ACCOUNT", "ADDRESS", "WHAT"];
                table(head, events.iter().map(row).collect())
            }
        })
    }
}

/// The table of a database as an operator reads it.
pub(super) async fn reader(
    managed: &ManagedDatabase,
    filter: &AuditFilter,
) -> Result<AuditReader, Failure> {
    let store = AuditStore::new(managed.database.clone());
    let personal = managed
        .config
        .audit
        .map(|audit| audit.personal)
        .unwrap_or_default();
    if personal.accounts == Recording::Omit && filter.account.is_some() {
        return Err(Failure::usage("the names of accounts are not recorded")
            .hint("audit.accounts is `omit` in the configuration"));
    }
    let key = store.existing_key().await.map_err(|error| failed(&error))?;
    let names = Pseudonyms::new(personal, &key.unwrap_or_default());
    Ok(AuditReader::new(store, Arc::new(names)))
}

/// The last events, the latest first.
async fn read(
    reader: &AuditReader,
    filter: AuditFilter,
    limit: u32,
) -> Result<Vec<EntryDocument>, Failure> {
    let (mut events, mut before): (Vec<EntryDocument>, Option<AuditCursor>) = (Vec::new(), None);
    loop {
        let read = u32::try_from(events.len()).unwrap_or(u32::MAX);
        let wanted = limit.saturating_sub(read).min(PAGE);
        if wanted == 0 {
            return Ok(events);
        }
        let page = reader.page(filter.clone(), before, wanted).await;
        let page = page.map_err(|error| failed(&error))?;
        events.extend(page.entries);
        match page.next {
            Some(next) => before = Some(next),
            None => return Ok(events),
        }
    }
}

fn route(filter: &AuditFilter) -> ApiRoute {
    let date = |time: Option<i64>| {
        let milliseconds = u64::try_from(time?).unwrap_or_default();
        Some(rfc3339(milliseconds / 1000))
    };
    ApiRoute::new(&["audit", "events"], &[("audit", "read")])
        .with_some("account", filter.account.as_deref())
        .with_some("repository", filter.repository.as_deref())
        .with_some("tag", filter.tag.as_deref())
        .with_some("digest", filter.digest.as_deref())
        .with_some("event", filter.kind.as_deref())
        .with_some("since", date(filter.since).as_deref())
        .with_some("until", date(filter.until).as_deref())
}

pub(super) fn milliseconds(when: TimeArgument, now: SystemTime) -> Result<i64, Failure> {
    let time = when.resolve(now).map(unix_seconds);
    let milliseconds = time.and_then(|seconds| i64::try_from(seconds).ok()?.checked_mul(1000));
    milliseconds.ok_or_else(|| Failure::usage("the time is too far away"))
}

fn line(event: &EntryDocument) -> String {
    escape_json(&format!("{}\n", json!(event))).into_owned()
}

fn row(event: &EntryDocument) -> [String; 5] {
    let [time, kind, account, address] = head(&event.event);
    [time, kind, account, address, what(&event.event)]
}

fn row_with_rule(event: &EntryDocument) -> [String; 7] {
    let [time, kind, account, address] = head(&event.event);
    let [rule, token] = ["rule", "personal_token"].map(|member| text(&event.event, member));
    [
        time,
        kind,
        account,
        address,
        what(&event.event),
        rule,
        token,
    ]
}

fn head(event: &Map<String, Value>) -> [String; 4] {
    let account = match text(event, "account") {
        account if account.is_empty() => text(event, "actor"),
        account => account,
    };
    [
        text(event, "time"),
        text(event, "event"),
        account,
        text(event, "address"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_read() {
        let parsed = |text| {
            let Image {
                repository,
                tag,
                digest,
            } = Image::parse(text).unwrap();
            (repository, tag, digest)
        };
        let digest = format!("sha256:{}", "0".repeat(64));
        assert_eq!(parsed("team/app"), ("team/app".to_owned(), None, None));
        assert_eq!(
            parsed("app:1.0"),
            ("app".to_owned(), Some("1.0".to_owned()), None)
        );
        let both = parsed(&format!("app:1.0@{digest}"));
        assert_eq!(both, ("app".to_owned(), None, Some(digest)));
        for wrong in ["", "App", "app:", "app@", "app:1@sha256:0"] {
            assert!(Image::parse(wrong).is_err(), "{wrong}");
        }
    }
}
