//! `registry.quotas`: how much may be stored below prefixes of names.

use std::collections::HashMap;
use std::fmt::Display;

use oci::RepositoryName;
use storage::{Quota, QuotaPrefix, Quotas};

use crate::config::diagnostics::Problem;
use crate::config::effective::Effective;
use crate::config::schema::{Kind, key};
use crate::config::section::Section;
use crate::config::setting::Setting;
use crate::size::print_size;

/// The largest limits, in bytes and in tags. Sums of what is used stay far below what a database counts.
const MOST_BYTES: usize = 1 << 60;
const MOST_TAGS: i64 = 1_000_000_000;

/// The share of a limit at which the server warns, in percent, unless it is configured.
const WARN_AT: u8 = 90;

/// A quota, and the item of the list that it is read from.
struct ListedQuota<'a> {
    quota: Quota,
    item: Setting<'a>,
}

/// Declares `registry.quotas`.
pub(super) fn read(section: &mut Section<'_>) -> Quotas {
    let list = section.structured(
        key::custom("quotas", Kind::List(Box::new(Kind::Mapping(Vec::new())))).means(
            "how much may be stored below prefixes of names: a push that would exceed a limit is \
             refused; each prefix above a repository counts it",
        ),
        |quota| drop(read_quota(quota)),
    );
    let (mut listed, mut shown) = (Vec::<ListedQuota<'_>>::new(), Vec::new());
    let mut lines = HashMap::new();
    for item in list.and_then(|list| list.items()).unwrap_or_default() {
        let Some((quota, effective)) = item.section(read_quota) else {
            continue;
        };
        shown.push(effective);
        let Some(quota) = quota else { continue };
        let line = item.position().line;
        match lines.get(&quota.prefix) {
            Some(first) => {
                let message = format!(
                    "the prefix `{}` has a quota already, in line {first}: write its limits there",
                    quota.prefix
                );
                item.report(Problem::Duplicate, message);
            }
            None => {
                lines.insert(quota.prefix.clone(), line);
                listed.push(ListedQuota { quota, item });
            }
        }
    }
    section.show("quotas", Effective::List(shown));
    // Those that are listed twice were reported.
    let quotas = listed.iter().map(|listed| listed.quota.clone()).collect();
    let quotas = Quotas::new(quotas).unwrap_or_default();
    warn_of_no_effect(&listed, &quotas);
    quotas
}

fn read_quota(quota: &mut Section<'_>) -> Option<Quota> {
    let prefix = quota.find(
        key::parsed("prefix", "repository, first components of names, or `*`", prefix)
            .required("write prefix: team for `team` and all repositories below `team/`, or prefix: \"*\" for all")
            .not(&["repository", "name", "namespace", "project"])
            .means(
                "the repositories that it counts: `team` is the repository `team` and all below `team/`, \
                 not `team2`; `*` is every repository",
            ),
    );
    let bytes = quota.find(
        key::size("bytes", 0..=MOST_BYTES)
            .not(&["size", "storage", "limit"])
            .means(
                "how many bytes of content its repositories may have together; each blob counts once",
            )
            .otherwise("no limit"),
    );
    let tags = quota.find(
        key::number::<u64>("tags", 0..=MOST_TAGS)
            .means("how many tags its repositories may have together")
            .otherwise("no limit"),
    );
    let warn_at = quota.get(
        key::number::<u8>("warn_at", 1..=100)
            .not(&["warn", "threshold"])
            .means("the share of a limit, in percent, at which the server warns once")
            .default(WARN_AT),
    );
    let is_limited = ["bytes", "tags"].iter().any(|name| quota.has(name));
    if !is_limited && !quota.context.is_describing() {
        let message = "a quota without a limit: write bytes, such as 100GiB, or tags, or both";
        quota.error(Problem::Invalid, message);
    }
    Some(Quota {
        prefix: prefix?,
        max_bytes: bytes.map(|bytes| bytes as u64),
        max_tags: tags,
        warn_at: Some(warn_at),
    })
}

fn prefix(text: &str) -> Result<QuotaPrefix, String> {
    // A variable that is not set must not limit everything.
    if text.is_empty() {
        return Err("is empty: write \"*\" for all repositories".to_owned());
    }
    let parsed = text.parse::<QuotaPrefix>();
    parsed.map_err(|error| {
        let plain = text.trim_end_matches(['/', '*']);
        match plain.parse::<RepositoryName>() {
            Ok(name) => {
                format!("write `{name}`: a prefix is the repository of that name and all below it")
            }
            Err(_) => format!("is no prefix of repository names: {error}"),
        }
    })
}

/// Warns of limits that can never be reached, because a prefix above has as small a one.
fn warn_of_no_effect(listed: &[ListedQuota<'_>], quotas: &Quotas) {
    for ListedQuota { quota, item } in listed {
        let above: Vec<&Quota> = quotas.above(&quota.prefix).collect();
        warn_of_smaller(item, &above, "bytes", quota, |it| it.max_bytes, print_size);
        warn_of_smaller(item, &above, "tags", quota, |it| it.max_tags, |tags| tags);
    }
}

fn warn_of_smaller<D: Display>(
    item: &Setting<'_>,
    above: &[&Quota],
    name: &str,
    quota: &Quota,
    limit: fn(&Quota) -> Option<u64>,
    shown: fn(u64) -> D,
) {
    let Some(own) = limit(quota) else { return };
    let smallest = above.iter().filter_map(|it| Some((limit(it)?, &it.prefix)));
    let Some((smallest, prefix)) = smallest.min_by_key(|(limit, _)| *limit) else {
        return;
    };
    if smallest <= own {
        let message = format!(
            "`{name}` of `{}` has no effect: `{prefix}` above it has {}",
            quota.prefix,
            shown(smallest)
        );
        item.warn(Problem::NoEffect, message);
    }
}
