//! Placeholders as PostgreSQL writes them: `$1` for SQLite's `?1`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How many statements are kept: more than this program has.
const KEPT: usize = 1024;

/// The statements that were translated.
#[derive(Debug, Default)]
pub(super) struct Placeholders(Mutex<HashMap<String, Arc<str>>>);

impl Placeholders {
    /// The statement with PostgreSQL's placeholders.
    pub(super) fn translated(&self, sql: &str) -> Arc<str> {
        // No code panics while it holds the lock.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(translated) = kept.get(sql) {
            return Arc::clone(translated);
        }
        if kept.len() >= KEPT {
            kept.clear();
        }
        let translated: Arc<str> = translate(sql).into();
        kept.insert(sql.to_owned(), Arc::clone(&translated));
        translated
    }
}

/// Question marks in literals stay.
fn translate(sql: &str) -> String {
    let mut is_literal = false;
    sql.chars()
        .map(|character| {
            is_literal ^= character == '\'';
            match character {
                '?' if !is_literal => '$',
                other => other,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_translated_and_literals_are_not() {
        let placeholders = Placeholders::default();
        for (sql, expected) in [
            ("SELECT ?1, ?12", "SELECT $1, $12"),
            ("SELECT '?1', ?2", "SELECT '?1', $2"),
            ("SELECT 'it''s ?', ?1", "SELECT 'it''s ?', $1"),
            ("SELECT 1", "SELECT 1"),
        ] {
            assert_eq!(&*placeholders.translated(sql), expected);
            assert_eq!(&*placeholders.translated(sql), expected, "again");
        }
    }

    #[test]
    fn the_number_of_kept_statements_is_bounded() {
        let placeholders = Placeholders::default();
        for number in 0..3 * KEPT {
            placeholders.translated(&format!("SELECT {number}"));
        }
        assert!(placeholders.0.lock().unwrap().len() <= KEPT);
    }
}
