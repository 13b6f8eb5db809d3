//! The section `audit`: the audit table.

use std::time::Duration;

use audit::{AuditSettings, PersonalData, Recording};

use super::diagnostics::Problem;
use super::schema::key::{self, Words};
use super::section::Section;

/// The audit table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AuditConfig {
    /// How records are kept.
    pub(crate) settings: AuditSettings,
    /// What of names and addresses is recorded.
    pub(crate) personal: PersonalData,
}

impl Words for Recording {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("keep", Self::Keep),
        ("hash", Self::Hash),
        ("omit", Self::Omit),
    ];
}

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const SHORTEST_FLUSH: Duration = Duration::from_millis(100);
const FLUSH: Duration = Duration::from_secs(1);
const LONGEST_FLUSH: Duration = Duration::from_secs(60);

/// On if the section is there, and there is a database.
pub(super) fn read(root: &mut Section<'_>, has_database: bool) -> Option<AuditConfig> {
    let key = key::mapping("audit")
        .restart()
        .means(
            "a table in the database of what happened, when, and who caused it, below; \
             `wharfinger audit` reads it",
        )
        .otherwise("off: only administration is recorded");
    let config = root.optional(key, |section| Some(read_section(section)))?;
    if !has_database {
        let message = "there is no database: write `database: {url: \"sqlite:///var/lib/wharfinger/wharfinger.db\"}`";
        root.warn_about("audit", Problem::NoEffect, message);
        return None;
    }
    config
}

fn read_section(section: &mut Section<'_>) -> Option<AuditConfig> {
    let is_enabled = section.get(
        key::switch("enabled")
            .restart()
            .means("whether events are recorded")
            .default(true),
    );
    let settings = AuditSettings {
        keep: section.get(
            key::duration("keep", HOUR..=10 * 365 * DAY)
                .restart()
                .means("how long what is recorded is kept")
                .default(90 * DAY),
        ),
        flush: section.get(
            key::duration("flush", SHORTEST_FLUSH..=LONGEST_FLUSH)
                .restart()
                .means(
                    "after how long it is on the disk: a crash loses the pulls, logins and tokens of this \
                     time; pushes, deletions and administration are never lost",
                )
                .default(FLUSH),
        ),
    };
    let personal = PersonalData {
        accounts: section.get(
            key::word("accounts")
                .restart()
                .means(
                    "names of accounts: `keep` them, record a keyed `hash`, or `omit` them; with the last \
                     two, labels, origins and user agents are left out",
                )
                .default(Recording::Keep),
        ),
        addresses: section.get(
            key::word("addresses")
                .restart()
                .means("the same for the addresses of clients")
                .default(Recording::Keep),
        ),
    };
    is_enabled.then_some(AuditConfig { settings, personal })
}
