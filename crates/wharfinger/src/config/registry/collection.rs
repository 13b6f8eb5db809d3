//! `registry.gc`: how unused content is collected.

use std::time::Duration;

use common::{parse_duration, print_duration};

use super::or_word;
use crate::config::diagnostics::Problem;
use crate::config::schema::key::Key;
use crate::config::schema::{Kind, key};
use crate::config::section::Section;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

/// How unused content is collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CollectionConfig {
    /// How often; `None` leaves it to the command.
    pub(crate) every: Option<Duration>,
    /// How long after its last use content is kept in any case.
    pub(crate) grace: Duration,
    /// The age from which manifests without a tag go; `None` keeps them.
    pub(crate) untagged: Option<Duration>,
}

impl CollectionConfig {
    /// Declares `registry.gc.*`.
    pub(super) fn read(gc: &mut Section<'_>) -> Self {
        let every = gc.get(
            schedule("schedule")
                .means("how often it runs; what was missed follows soon after a start")
                .default(Some(DAY)),
        );
        let grace = gc.get(
            key::duration("grace", SECOND..=LONGEST)
                .means("content is kept this long after its last use; warns below 1m")
                .restart()
                .default(DAY),
        );
        if grace < MINUTE {
            let message = "shorter than a minute: a push that takes longer can lose its layers before \
                           its manifest arrives, and must be repeated";
            gc.warn_about("grace", Problem::Doubtful, message);
        }
        let untagged = gc.get(
            key::parsed_as("untagged", Kind::Form("`keep` or time"), untagged, |age| {
                or_word(age.map(print_duration), "keep")
            })
            .means("the age from which manifests without a tag are removed")
            .restart()
            .otherwise("`keep`")
            .default(None),
        );
        Self {
            every,
            grace,
            untagged,
        }
    }
}

/// A key that says how often something runs; `None` is never.
pub(super) fn schedule(name: &'static str) -> Key<Option<Duration>> {
    let form = "`hourly`, `daily`, `weekly`, `off`, or time from 1m";
    key::parsed_as(name, Kind::Form(form), parse_schedule, |every| {
        or_word(every.map(print_duration), "off")
    })
    .restart()
    .otherwise("`daily`")
}

fn parse_schedule(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "off" | "never" => Ok(None),
        "hourly" => Ok(Some(HOUR)),
        "daily" => Ok(Some(DAY)),
        "weekly" => Ok(Some(7 * DAY)),
        other => match parse_duration(other) {
            Ok(every) if every >= MINUTE => Ok(Some(every)),
            _ => Err("must be hourly, daily, weekly, off, or a time from 1m, such as 12h".into()),
        },
    }
}

fn untagged(text: &str) -> Result<Option<Duration>, String> {
    match text {
        "keep" => Ok(None),
        other => parse_duration(other)
            .map(Some)
            .map_err(|_| "must be keep, or an age such as 30d".to_owned()),
    }
}
