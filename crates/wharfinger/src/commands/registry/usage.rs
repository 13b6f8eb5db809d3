//! `wharfinger registry usage`: how much is stored below prefixes of names, and how much may be.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use api::QuotaView;
use clap::Args;
use serde_json::{Value, json};
use storage::{Quota, QuotaCounting, QuotaPrefix, QuotaStore, QuotaUsage, UsageQuery, WrongCount};

use super::open::{self, OpenedQuotas};
use super::{interrupted, print, size};
use crate::commands::managed_database::failed;
use crate::commands::table::table;
use crate::failure::{Failure, FailureKind};
use crate::output::note;
use crate::serve::quotas::view;

/// A larger share is not shown as a number.
const MOST_PERCENT: u128 = 999;

/// Show how much the prefixes of registry.quotas use, and how much they may
///
/// The content of each blob counts once within a prefix, whichever and however many of its repositories
/// have it. What was deleted counts until garbage collection removes it.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The server's configuration.
    file: PathBuf,
    /// A repository, or the first components of names, with or without a quota; `*` is everything. What
    /// it uses is counted now, from all rows.
    #[arg(value_name = "PREFIX", value_parser = prefix)]
    prefix: Option<QuotaPrefix>,
    /// Count everything again, and say which counts were wrong. Pushes to these prefixes wait meanwhile.
    #[arg(long, conflicts_with = "prefix")]
    recount: bool,
    /// Print one JSON object: {quotas: [{prefix, bytes: {used, limit}, tags: {used, limit}, warn_at}]},
    /// with --recount also {wrong: [{prefix, counted: {bytes, tags}, measured: {bytes, tags}}]}.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) async fn run(&self) -> Result<ExitCode, Failure> {
        let opened = open::quotas(&self.file).await?;
        match &self.prefix {
            Some(prefix) => self.measure(&opened, prefix).await?,
            None => self.list(&opened).await?,
        }
        Ok(ExitCode::SUCCESS)
    }

    /// What one prefix uses, from the rows.
    async fn measure(&self, opened: &OpenedQuotas, prefix: &QuotaPrefix) -> Result<(), Failure> {
        let usage = opened.store.measure(prefix).await;
        let usage = usage.map_err(|error| uncounted(&error))?;
        let configured = opened.quotas.iter();
        let mut configured = configured.filter(|quota| quota.prefix == *prefix);
        let quota = match configured.next() {
            Some(quota) => quota.clone(),
            None if usage == QuotaUsage::default() && *prefix != QuotaPrefix::all() => {
                return Err(self.nothing_below(prefix));
            }
            None => Quota {
                prefix: prefix.clone(),
                max_bytes: None,
                max_tags: None,
                warn_at: None,
            },
        };
        self.show(&[view(&quota, usage)], None)
    }

    /// What the configured prefixes use, as the servers count it.
    async fn list(&self, opened: &OpenedQuotas) -> Result<(), Failure> {
        let quotas = &opened.quotas;
        if quotas.is_empty() {
            let message = format!("{} has no registry.quotas", self.file.display());
            return Err(Failure::usage(message).hint(
                "name a prefix or a repository to see what it uses; `*` is the whole registry",
            ));
        }
        let prefixes = quotas.prefixes();
        let store = opened.store.as_ref();
        let wrong = match self.recount {
            true => {
                let writable = opened.database.require_writable();
                writable.map_err(|error| failed(&error))?;
                Some(recount(store, prefixes.clone()).await?)
            }
            false => None,
        };
        let usage = store.usage(UsageQuery::Of(prefixes)).await;
        let counted = usage.map_err(|error| uncounted(&error))?.into_iter();
        let counted: HashMap<QuotaPrefix, QuotaUsage> =
            counted.map(|it| (it.prefix, it.usage)).collect();
        let mut used: Vec<QuotaView> = Vec::new();
        for quota in quotas.iter() {
            let usage = match counted.get(&quota.prefix) {
                Some(usage) => *usage,
                // No server has run with this quota yet.
                None => {
                    let measured = store.measure(&quota.prefix).await;
                    measured.map_err(|error| uncounted(&error))?
                }
            };
            used.push(view(quota, usage));
        }
        used.sort_by(|a, b| a.prefix.cmp(&b.prefix));
        self.show(&used, wrong.as_deref())
    }

    fn show(&self, quotas: &[QuotaView], wrong: Option<&[WrongCount]>) -> Result<(), Failure> {
        let mut shown = json!({ "quotas": quotas });
        let rows = quotas.iter().map(row).collect();
        let head = [
            "PREFIX", "BYTES", "LIMIT", "SHARE", "TAGS", "LIMIT", "SHARE",
        ];
        let mut text = table(head, rows);
        if let Some(wrong) = wrong {
            if wrong.is_empty() {
                text += "every count was right\n";
            }
            for WrongCount {
                prefix,
                counted,
                measured,
            } in wrong
            {
                text += &format!(
                    "{prefix}: counted were {} bytes and {} tags, there are {} bytes and {} tags\n",
                    counted.bytes, counted.tags, measured.bytes, measured.tags
                );
            }
            shown["wrong"] = wrong.iter().map(wrong_count).collect();
        }
        print(self.json, &shown, &text)?;
        let is_limited = |quota: &QuotaView| quota.bytes.limit.or(quota.tags.limit).is_some();
        if quotas.iter().any(is_limited) {
            note(format_args!(
                "note: these are the limits of {}; a running server has those that it loaded last",
                self.file.display()
            ));
        }
        Ok(())
    }

    fn nothing_below(&self, prefix: &QuotaPrefix) -> Failure {
        let message = format!("there is no repository {prefix}, and none below {prefix}/");
        let hint = format!(
            "`wharfinger registry usage {} '*'` counts the whole registry",
            self.file.display()
        );
        Failure::new(FailureKind::NotFound, message).hint(hint)
    }
}

fn prefix(text: &str) -> Result<QuotaPrefix, String> {
    match text {
        // A variable that is not set is no question about everything.
        "" => Err("it is empty: write '*' for all repositories".to_owned()),
        text => text.parse().map_err(|error| format!("{error}")),
    }
}

fn wrong_count(wrong: &WrongCount) -> Value {
    let usage = |usage: QuotaUsage| json!({"bytes": usage.bytes, "tags": usage.tags});
    json!({
        "prefix": wrong.prefix.to_string(),
        "counted": usage(wrong.counted),
        "measured": usage(wrong.measured),
    })
}

/// Counts everything again. Returns the counts that were wrong.
async fn recount(
    store: &dyn QuotaStore,
    prefixes: Vec<QuotaPrefix>,
) -> Result<Vec<WrongCount>, Failure> {
    let wrong = store.wrong_counts().await;
    let wrong = wrong.map_err(|error| uncounted(&error))?;
    let counted = store.track(prefixes, QuotaCounting::Again).await;
    counted.map_err(|error| uncounted(&error))?;
    Ok(wrong)
}

fn uncounted(error: &storage::Error) -> Failure {
    interrupted("what is used could not be counted", error)
}

fn row(quota: &QuotaView) -> [String; 7] {
    let (bytes, tags) = (&quota.bytes, &quota.tags);
    let or_none = |limit: Option<String>| limit.unwrap_or_else(|| "-".to_owned());
    [
        quota.prefix.clone(),
        size(bytes.used),
        or_none(bytes.limit.map(size)),
        or_none(share(bytes.used, bytes.limit)),
        tags.used.to_string(),
        or_none(tags.limit.map(|limit| limit.to_string())),
        or_none(share(tags.used, tags.limit)),
    ]
}

/// `75 %`; `None` without a limit, or if nothing is used of a limit of nothing.
fn share(used: u64, limit: Option<u64>) -> Option<String> {
    let share = (u128::from(used) * 100).checked_div(u128::from(limit?));
    Some(match share {
        Some(percent @ 0..=MOST_PERCENT) => format!("{percent} %"),
        None if used == 0 => return None,
        // A limit that was lowered to next to nothing: the number would say nothing more.
        _ => format!("> {MOST_PERCENT} %"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_down() {
        for (used, limit, expected) in [
            (0, Some(10), Some("0 %")),
            (899, Some(1000), Some("89 %")),
            (1000, Some(1000), Some("100 %")),
            (3, Some(2), Some("150 %")),
            (999, Some(100), Some("999 %")),
            (1000, Some(100), Some("> 999 %")),
            (u64::MAX, Some(1), Some("> 999 %")),
            (1, Some(0), Some("> 999 %")),
            (0, Some(0), None),
            (1, None, None),
        ] {
            assert_eq!(share(used, limit).as_deref(), expected);
        }
    }
}
