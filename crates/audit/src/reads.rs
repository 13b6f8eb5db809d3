//! Reads that examine a bounded number of records, however many there are.
//!
//! A filter may select one record in a million, and no index has the records of every combination. So a
//! read follows the index that promises most, and examines so many records at most. Then it ends, and says
//! where the next one goes on.

use std::collections::BTreeSet;

use database::{DatabaseConnection, DatabaseValue, Error};

use crate::index_range::{AuditStatement, IndexRange, TimeBounds};
use crate::{AuditCursor, AuditFilter, StoredAuditRecord};

/// Records that were selected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AuditRecords<C> {
    /// Their number may be less than what was asked for, though more follow.
    pub(crate) records: Vec<StoredAuditRecord>,
    /// Where to go on; `None` at the end.
    pub(crate) next: Option<C>,
}

/// How many records a read examines, about.
pub(crate) const MOST_EXAMINED: u32 = 10_000;
/// The most and the fewest that one statement of it examines.
const LARGEST_STEP: u32 = 2500;
const SMALLEST_STEP: u32 = 50;
/// Which record of an index is looked at to learn how many it has in a time.
const PROBED: u32 = 500;
/// How many changes of a tag are read to learn at what it has pointed.
const MOST_CHANGES: u32 = 10_000;
/// The most ranges of a way that are looked at for that.
const MOST_PROBED: usize = 8;

/// Runs statements whose rows have `id`, `at` and perhaps `document`.
pub(crate) trait AuditRows {
    fn is_sqlite(&self) -> bool;

    fn rows(&self, sql: &str, values: &[DatabaseValue<'_>]) -> Result<Vec<AuditRow>, Error>;
}

/// A record, or where one is.
#[derive(Debug)]
pub(crate) struct AuditRow {
    pub(crate) id: i64,
    pub(crate) at: i64,
    /// `None` if it was examined, and not selected.
    pub(crate) document: Option<String>,
}

/// The table of a database.
pub(crate) struct DatabaseRows<'a> {
    connection: &'a DatabaseConnection<'a>,
    is_sqlite: bool,
}

/// PostgreSQL takes a range for small that its statistics do not know, and would read and sort all of it.
/// In this transaction, it reads indexes in their order.
const ONLY_INDEXES: &str = "SELECT set_config('enable_sort', 'off', true),
    set_config('enable_incremental_sort', 'off', true), set_config('enable_bitmapscan', 'off', true),
    set_config('enable_seqscan', 'off', true)";

impl<'a> DatabaseRows<'a> {
    /// Those that a transaction reads.
    pub(crate) fn of(
        connection: &'a DatabaseConnection<'a>,
        is_sqlite: bool,
    ) -> Result<Self, Error> {
        if !is_sqlite {
            connection.query(ONLY_INDEXES, &[], |_| Ok(()))?;
        }
        Ok(Self {
            connection,
            is_sqlite,
        })
    }
}

/// The last records that `filter` selects.
pub(crate) fn list(
    rows: &dyn AuditRows,
    filter: &AuditFilter,
    before: Option<AuditCursor>,
    limit: u32,
) -> Result<AuditRecords<AuditCursor>, Error> {
    let mut bounds = TimeBounds {
        before: before.unwrap_or(AuditCursor::END),
        since: filter.since.unwrap_or(i64::MIN),
    };
    if let Some(until) = filter.until {
        bounds.before = bounds.before.min(AuditCursor::at(until));
    }
    let digests = digests(rows, filter)?;
    let way = shortest_way(rows, filter.ways(&digests), bounds)?;
    let share = u32::try_from(way.len()).unwrap_or(u32::MAX);
    let most = (MOST_EXAMINED / share).max(SMALLEST_STEP);
    let (mut records, mut complete_after) = (Vec::new(), None);
    for range in &way {
        let part = Part {
            rows,
            filter,
            digests: &digests,
            range,
        };
        let part = part.read(bounds, limit, most)?;
        records.extend(part.records);
        complete_after = complete_after.max(part.next);
        // Of what is older than a full page, nothing is shown.
        records.sort_unstable_by_key(|record| std::cmp::Reverse(AuditCursor::of(record)));
        records.truncate(limit as usize);
        if let Some(last) = records.last().filter(|_| records.len() == limit as usize) {
            bounds.since = bounds.since.max(last.at);
        }
    }
    if let Some(end) = complete_after {
        records.retain(|record| AuditCursor::of(record) >= end);
    }
    let is_full = records.len() >= limit as usize;
    let last = records.last().filter(|_| is_full).map(AuditCursor::of);
    Ok(AuditRecords {
        records,
        next: last.or(complete_after),
    })
}

/// The records after a number that `filter` selects. The index is that of the numbers, whatever is selected.
pub(crate) fn export(
    rows: &dyn AuditRows,
    filter: &AuditFilter,
    after: i64,
    limit: u32,
) -> Result<AuditRecords<i64>, Error> {
    let digests = digests(rows, filter)?;
    let steps = Steps::new(limit, MOST_EXAMINED);
    let id = |row: &AuditRow| row.id;
    steps.select(after, id, |after, step| {
        let mut statement = AuditStatement::default();
        let mut condition = filter.condition(&mut statement, Some(&digests));
        for (comparison, time) in [(">=", filter.since), ("<", filter.until)] {
            if let Some(time) = time {
                let time = statement.place(DatabaseValue::Integer(time));
                condition += &format!(" AND at {comparison} {time}");
            }
        }
        let [begin, step_place] =
            [after, i64::from(step)].map(|number| statement.place(DatabaseValue::Integer(number)));
        let table = if rows.is_sqlite() {
            "audit NOT INDEXED"
        } else {
            "audit"
        };
        statement.sql = format!(
            "SELECT id, at, CASE WHEN {condition} THEN document END AS document FROM {table}
             WHERE id > {begin} ORDER BY id LIMIT {step_place}"
        );
        rows.rows(&statement.sql, &statement.values)
    })
}

/// The last records of a range, at most `limit`.
pub(crate) fn last_records(
    rows: &dyn AuditRows,
    range: &IndexRange,
    bounds: TimeBounds,
    limit: u32,
) -> Result<Vec<StoredAuditRecord>, Error> {
    let statement = AuditStatement::selecting("document");
    let read = read_range(rows, range, statement, bounds, (limit, 0))?;
    Ok(read.into_iter().filter_map(AuditRow::record).collect())
}

/// To which digests the tag of the filter has pointed.
pub(crate) fn digests(rows: &dyn AuditRows, filter: &AuditFilter) -> Result<Vec<String>, Error> {
    let (Some(repository), Some(tag)) = (&filter.repository, &filter.tag) else {
        return Ok(Vec::new());
    };
    let range = IndexRange::TagChanges {
        repository: repository.clone(),
        tag: tag.clone(),
    };
    let statement = AuditStatement::selecting("digest");
    let changes = read_range(rows, &range, statement, TimeBounds::ALL, (MOST_CHANGES, 0))?;
    let Some(oldest) = changes.last() else {
        let pulled = digest_when_pulled(rows, repository, tag)?;
        return Ok(pulled.into_iter().collect());
    };
    let before = TimeBounds {
        before: AuditCursor {
            id: oldest.id + 1,
            ..oldest.place()
        },
        ..TimeBounds::ALL
    };
    let oldest = last_records(rows, &range, before, 1)?;
    let before = oldest.first().and_then(|change| {
        let from = change.read().event.remove("from")?;
        from.as_str().map(str::to_owned)
    });
    let digests = changes.into_iter().filter_map(|change| change.document);
    let digests: BTreeSet<String> = digests.chain(before).collect();
    Ok(digests.into_iter().collect())
}

/// What a tag points at that has not changed while events were recorded: one of the last records of its
/// repository tells it, if the tag was asked for.
fn digest_when_pulled(
    rows: &dyn AuditRows,
    repository: &str,
    tag: &str,
) -> Result<Option<String>, Error> {
    let range = IndexRange::Repository(repository.to_owned());
    let (all, steps) = (TimeBounds::ALL, Steps::new(1, MOST_EXAMINED));
    let found = steps.select(all.before, AuditRow::place, |before, step| {
        let mut statement = AuditStatement::default();
        let tag = statement.place(DatabaseValue::Text(tag));
        statement.sql =
            format!("SELECT id, at, CASE WHEN reference = {tag} THEN digest END AS document");
        let bounds = TimeBounds { before, ..all };
        read_range(rows, &range, statement, bounds, (step, 0))
    });
    Ok(found?.records.pop().map(|pull| pull.document))
}

/// The way on which the next records go back furthest, so that the fewest are examined.
fn shortest_way(
    rows: &dyn AuditRows,
    mut ways: Vec<Vec<IndexRange>>,
    bounds: TimeBounds,
) -> Result<Vec<IndexRange>, Error> {
    if ways.len() == 1 {
        return Ok(ways.swap_remove(0));
    }
    let mut shortest = (None, Vec::new());
    for way in ways {
        let place = match way.len() <= MOST_PROBED {
            true => probe(rows, &way, bounds)?,
            false => Some(bounds.before),
        };
        // No place: this way has few records.
        if place.is_none() {
            return Ok(way);
        }
        if shortest.0.is_none() || place < shortest.0 {
            shortest = (place, way);
        }
    }
    Ok(shortest.1)
}

/// Where the record is that has so many after it; `None` if there are fewer.
fn probe(
    rows: &dyn AuditRows,
    way: &[IndexRange],
    bounds: TimeBounds,
) -> Result<Option<AuditCursor>, Error> {
    let mut place = None;
    for range in way {
        let statement = AuditStatement::selecting("CAST(NULL AS text)");
        let found = read_range(rows, range, statement, bounds, (1, PROBED))?;
        place = place.max(found.first().map(AuditRow::place));
    }
    Ok(place)
}

/// What `statement` selects of the last records of a range: so many, after so many that are left out.
fn read_range<'a>(
    rows: &dyn AuditRows,
    range: &'a IndexRange,
    statement: AuditStatement<'a>,
    bounds: TimeBounds,
    (limit, left_out): (u32, u32),
) -> Result<Vec<AuditRow>, Error> {
    let mut statement = range.read(statement, rows.is_sqlite(), bounds);
    for (word, number) in [("LIMIT", limit), ("OFFSET", left_out)] {
        let number = statement.place(DatabaseValue::Integer(i64::from(number)));
        statement.sql += &format!(" {word} {number}");
    }
    rows.rows(&statement.sql, &statement.values)
}

/// A range, and what is selected of it.
struct Part<'a> {
    rows: &'a dyn AuditRows,
    filter: &'a AuditFilter,
    digests: &'a [String],
    range: &'a IndexRange,
}

impl Part<'_> {
    /// The last records, at most `limit`; at most `most` are examined.
    fn read(
        &self,
        bounds: TimeBounds,
        limit: u32,
        most: u32,
    ) -> Result<AuditRecords<AuditCursor>, Error> {
        let steps = Steps::new(limit, most);
        steps.select(bounds.before, AuditRow::place, |before, step| {
            let mut statement = AuditStatement::default();
            let condition = self.condition(&mut statement);
            statement.sql =
                format!("SELECT id, at, CASE WHEN {condition} THEN document END AS document");
            let bounds = TimeBounds { before, ..bounds };
            read_range(self.rows, self.range, statement, bounds, (step, 0))
        })
    }

    /// A record of the range is one that was asked for. Of the digests of a tag, each has its range.
    fn condition<'a>(&'a self, statement: &mut AuditStatement<'a>) -> String {
        match (self.range, &self.filter.digest) {
            (IndexRange::Digest { digest, .. }, None) => {
                let digest = statement.place(DatabaseValue::Text(digest));
                let others = self.filter.condition(statement, None);
                format!("digest = {digest} AND {others}")
            }
            (IndexRange::TagChanges { .. }, _) => {
                let others = self.filter.condition(statement, None);
                format!("digest IS NULL AND {others}")
            }
            _ => self.filter.condition(statement, Some(self.digests)),
        }
    }
}

/// How many records are examined at once: more and more, if few of them are selected.
struct Steps {
    limit: u32,
    next: u32,
    left: u32,
}

impl Steps {
    fn new(limit: u32, most: u32) -> Self {
        Self {
            limit,
            next: limit.max(1),
            left: most.max(limit),
        }
    }

    /// Selects from the records after a place, until enough are found or examined. `read` reads so many
    /// of them.
    fn select<C: Copy>(
        mut self,
        mut place: C,
        place_of: impl Fn(&AuditRow) -> C,
        read: impl Fn(C, u32) -> Result<Vec<AuditRow>, Error>,
    ) -> Result<AuditRecords<C>, Error> {
        let mut records = Vec::new();
        while let Some(step) = self.next_step(records.len()) {
            let examined = read(place, step)?;
            let is_end = examined.len() < step as usize;
            for row in examined {
                if records.len() == self.limit as usize {
                    return Ok(AuditRecords {
                        records,
                        next: Some(place),
                    });
                }
                place = place_of(&row);
                records.extend(row.record());
            }
            if is_end {
                return Ok(AuditRecords {
                    records,
                    next: None,
                });
            }
        }
        Ok(AuditRecords {
            records,
            next: Some(place),
        })
    }

    /// `None` when enough was found or examined.
    fn next_step(&mut self, found: usize) -> Option<u32> {
        if found >= self.limit as usize || self.left == 0 {
            return None;
        }
        let step = self.next.min(self.left);
        self.left -= step;
        self.next = (step.saturating_mul(4)).clamp(SMALLEST_STEP, LARGEST_STEP.max(self.limit));
        Some(step)
    }
}

impl AuditRow {
    fn place(&self) -> AuditCursor {
        AuditCursor {
            at: self.at,
            id: self.id,
        }
    }

    fn record(self) -> Option<StoredAuditRecord> {
        Some(StoredAuditRecord {
            id: self.id,
            at: self.at,
            document: self.document?,
        })
    }
}

impl AuditRows for DatabaseRows<'_> {
    fn is_sqlite(&self) -> bool {
        self.is_sqlite
    }

    fn rows(&self, sql: &str, values: &[DatabaseValue<'_>]) -> Result<Vec<AuditRow>, Error> {
        self.connection.query(sql, values, |row| {
            Ok(AuditRow {
                id: row.get("id")?,
                at: row.get("at")?,
                document: row.get("document")?,
            })
        })
    }
}
