//! `docs/differences-from-registry.md` says of every key what becomes of it.

use std::fs;
use std::path::Path;

use crate::config::distribution::keys::ROWS;
use crate::config::distribution::translation::{Effect, Row};

const SAME: &str = "Settings that mean the same";
const NO_EFFECT: &str = "Settings that have no effect";
const REFUSED: &str = "Settings that are refused";

/// A row of one of the page's tables.
struct Line<'p> {
    heading: &'p str,
    /// What stands between backticks in the first cell.
    keys: Vec<&'p str>,
    text: &'p str,
}

#[test]
fn every_key_of_distribution_is_in_the_manual_and_where_it_belongs() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/differences-from-registry.md");
    let page = fs::read_to_string(path).unwrap();
    let mut heading = "";
    let mut lines = Vec::new();
    for text in page.lines() {
        if let Some(title) = text.strip_prefix("### ") {
            heading = title;
        } else if text.starts_with("## ") {
            heading = "";
        } else if text.starts_with("| `") {
            let cell = text.split(" | ").next().unwrap();
            let keys = cell.split('`').skip(1).step_by(2).collect();
            lines.push(Line {
                heading,
                keys,
                text,
            });
        }
    }
    for row in ROWS.iter().filter(|row| row.path != "version") {
        let place = match row.effect {
            Effect::Ineffective(_) => Some(NO_EFFECT),
            Effect::Refused(_) => Some(REFUSED),
            _ if row.ours.is_some() => Some(SAME),
            _ => None,
        };
        let explained = lines.iter().find(|line| {
            line.keys.iter().any(|key| covers(key, row.path))
                && place.is_none_or(|place| line.heading == place)
        });
        let Some(line) = explained else {
            panic!("{} is missing in {place:?}", row.path);
        };
        if place == Some(SAME) {
            assert!(
                names_ours(line.text, row),
                "{}: {:?} is missing: {}",
                row.path,
                row.ours,
                line.text
            );
        }
    }
}

/// Whether `key` of the page is `path`, or stands for it: `log.hooks.*` for `log.hooks`, and
/// `http.tls.key` for the section `http.tls`.
fn covers(key: &str, path: &str) -> bool {
    let below = |whole: &str, part: &str| {
        part.strip_prefix(whole)
            .is_some_and(|rest| rest.starts_with('.'))
    };
    match key.strip_suffix(".*") {
        Some(section) => section == path || below(section, path) || below(path, section),
        None => key == path || below(path, key),
    }
}

/// The row has our key, or the section that it is in.
fn names_ours(text: &str, row: &Row) -> bool {
    let ours = row.ours.unwrap_or_default();
    let section = ours.rsplit_once('.').map_or("", |(section, _)| section);
    [ours, section]
        .iter()
        .any(|name| text.contains(&format!("`{name}")))
}
