//! Which tags stay in a registry, and which may go.
//!
//! A [rule](RetentionRule) *speaks of* some tags of some repositories and says which of them it
//! *keeps*. A tag goes only if at least one rule speaks of it and none of these keeps it. So a missing
//! rule removes nothing. What protects a tag besides the rules: it is immutable, or its manifest has a
//! [lease](RetentionTerms::lease).
//!
//! This crate decides and does no I/O. The tags of a repository pass twice: first a [`TagRanking`]
//! finds what is newest, in memory that depends on the rules alone, then [`RankedRules::decide`] decides
//! about each tag.
//!
//! ```
//! use std::time::Duration;
//! use retention::{KeepCriteria, RetentionRule, RetentionRules, RetentionTerms, TagDecision, TagState};
//!
//! let rules = RetentionRules::new(vec![RetentionRule {
//!     repositories: vec!["team/**".parse().unwrap()],
//!     tags: vec!["pr-*".parse().unwrap()],
//!     keep: KeepCriteria { last_pushed: Some(1), ..KeepCriteria::default() },
//! }]);
//! let digest = format!("sha256:{}", "0".repeat(64)).parse().unwrap();
//! let tag = |name: &str, pushed_at| TagState {
//!     tag: name.parse().unwrap(), digest, pushed_at, leased_at: pushed_at, pulled_at: None,
//! };
//! let tags = [tag("latest", 1), tag("pr-1", 2), tag("pr-2", 3)];
//!
//! let terms = RetentionTerms {
//!     now: 1_000_000, lease: Duration::from_secs(86_400), pulls_recorded_since: None,
//! };
//! let repository = "team/app".parse().unwrap();
//! let mut ranking = rules.ranking(&repository, terms);
//! tags.iter().for_each(|tag| ranking.add(tag));
//! let ranked = ranking.finish();
//! let goes = |tag: &TagState| matches!(ranked.decide(tag, None), TagDecision::Remove(_));
//! assert_eq!(tags.each_ref().map(goes), [false, true, false]);
//! ```

mod decision;
mod ineffective;
mod newest;
mod ranking;
mod referrer_tag;
mod rule;
mod version;

pub use decision::{KeepReason, RemovalReason, TagDecision};
pub use ineffective::IneffectivePart;
pub use ranking::{RankedRules, TagRanking};
pub use referrer_tag::ReferrerTag;
pub use rule::{KeepCriteria, RetentionRule, RetentionRules, RetentionTerms, TagState};
pub use version::TagVersion;
