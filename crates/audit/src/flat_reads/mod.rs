//! Reads cost the same among few events and among many. Time is not measured: SQLite counts the steps of its
//! machine, and PostgreSQL the blocks that it has fetched. `scripts/soak` has a million events:
//! `WHARFINGER_SOAK=1 cargo test -p audit --lib flat_reads -- --nocapture` prints what each read costs.

mod cases;
mod records;
#[path = "../../../database/tests/test_database/mod.rs"]
mod test_database;

use std::cell::Cell;

use database::{Database, DatabaseConnection, DatabaseValue, Error, params};
use rusqlite::{Connection, StatementStatus, params_from_iter};

use crate::AuditFilter;
use crate::reads::{AuditRow, AuditRows, DatabaseRows, MOST_EXAMINED, digests, export, list};
use crate::store::{PRUNE, PRUNED_AT_ONCE};
use cases::cases;
use records::fill;
use test_database::{DatabaseKind, TestDatabase};

/// SQLite, which counts its steps.
struct CountedSteps<'a> {
    connection: &'a Connection,
    steps: Cell<i64>,
}

impl AuditRows for CountedSteps<'_> {
    fn is_sqlite(&self) -> bool {
        true
    }

    fn rows(&self, sql: &str, values: &[DatabaseValue<'_>]) -> Result<Vec<AuditRow>, Error> {
        let mut explained = self
            .connection
            .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
        let plan = explained.query_map(params_from_iter(values), |row| {
            row.get::<_, String>("detail")
        })?;
        for step in plan {
            let step = step?;
            assert!(
                !step.contains("SCAN audit") && !step.contains("TEMP B-TREE"),
                "{step}: {sql}"
            );
        }
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map(params_from_iter(values), |row| {
            Ok(AuditRow {
                id: row.get("id")?,
                at: row.get("at")?,
                document: row.get("document")?,
            })
        })?;
        let rows = rows.collect::<Result<_, _>>()?;
        let steps = statement.get_status(StatementStatus::VmStep);
        self.steps.set(self.steps.get() + i64::from(steps));
        Ok(rows)
    }
}

/// The blocks of the table and its indexes that this connection has fetched.
fn blocks(connection: &DatabaseConnection<'_>) -> Result<i64, Error> {
    let sql = "SELECT CAST(sum(pg_stat_get_xact_blocks_fetched(oid)) AS bigint) FROM pg_class
        WHERE relname LIKE 'audit%'";
    connection.query_one(sql, &[], |row| row.get(0))
}

/// What each read costs, in steps or blocks, and how many records it has found.
async fn costs(database: &Database, count: i64) -> Vec<(&'static str, i64, usize)> {
    let mut costs = Vec::new();
    for case in cases(count) {
        let name = case.name;
        let (cost, found) = match database.sqlite() {
            Some(sqlite) => {
                let read = sqlite.read(move |connection: &Connection| {
                    let rows = CountedSteps {
                        connection,
                        steps: Cell::new(0),
                    };
                    let found = case.read(&rows)?;
                    Ok::<_, Error>((rows.steps.get(), found))
                });
                read.await.unwrap()
            }
            None => {
                // A transaction, because PostgreSQL's counts may begin anew between two.
                let read = database.write(move |connection: &DatabaseConnection<'_>| {
                    let before = blocks(connection)?;
                    let found = case.read(&DatabaseRows::of(connection, false)?)?;
                    Ok::<_, Error>((blocks(connection)? - before, found))
                });
                read.await.unwrap()
            }
        };
        costs.push((name, cost, found));
    }
    costs.push(("pruning", pruning(database).await, 0));
    costs
}

/// What the removal of old records costs. It is rolled back.
async fn pruning(database: &Database) -> i64 {
    let end = 1_790_000_000_000_i64 + 500_000;
    let cost = std::sync::Arc::new(std::sync::atomic::AtomicI64::new(0));
    let measured = std::sync::Arc::clone(&cost);
    let order = std::sync::atomic::Ordering::Relaxed;
    match database.sqlite() {
        Some(sqlite) => {
            let write = sqlite.write(move |connection: &Connection| -> Result<(), Error> {
                let mut statement = connection.prepare(PRUNE)?;
                assert_eq!(statement.execute((end, PRUNED_AT_ONCE))?, 1000);
                measured.store(
                    i64::from(statement.get_status(StatementStatus::VmStep)),
                    order,
                );
                Err(Error::Closed)
            });
            write.await.unwrap_err();
        }
        None => {
            let write = database.write(
                move |connection: &DatabaseConnection<'_>| -> Result<(), Error> {
                    let before = blocks(connection)?;
                    let removed = connection.execute(PRUNE, params![end, PRUNED_AT_ONCE])?;
                    assert_eq!(removed, 1000);
                    measured.store(blocks(connection)? - before, order);
                    Err(Error::Closed)
                },
            );
            write.await.unwrap_err();
        }
    }
    cost.load(order)
}

async fn reads_cost_the_same(kind: DatabaseKind) {
    let place = TestDatabase::new(kind);
    let database = &place.database;
    let (few, many) = match std::env::var_os("WHARFINGER_SOAK") {
        Some(_) => (100_000, 1_000_000),
        None => (20_000, 100_000),
    };
    fill(database, 0, few).await;
    let among_few = costs(database, few).await;
    fill(database, few, many).await;
    let among_many = costs(database, many).await;
    let unit = if kind == DatabaseKind::Sqlite {
        "steps"
    } else {
        "blocks"
    };
    println!("| {kind:?}, {unit} | among {few} | among {many} | found |\n|---|---|---|---|");
    for ((name, few, _), (_, many, found)) in among_few.iter().zip(&among_many) {
        println!("| {name} | {few} | {many} | {found} |");
    }
    // What an examined record costs, and one of which `who` looks up the rule, among all tokens that it examines.
    let (per_examined, per_rule) = match kind {
        DatabaseKind::Sqlite => (30, 1500),
        DatabaseKind::Postgres => (3, 120),
    };
    // Of two pages.
    let bound = 2 * (i64::from(MOST_EXAMINED) * per_examined + 100 * per_rule);
    for ((name, few, _), (_, many, found)) in among_few.iter().zip(&among_many) {
        assert!(*many <= bound, "{name}: {many}");
        let per_found = match name.starts_with("who") {
            true => per_rule,
            false => per_examined,
        };
        let expected = 2 * few + per_found * i64::try_from(*found).unwrap() + 100;
        assert!(
            *many <= expected || is_only_bounded(name),
            "{name}: {few} among few, {many} among many"
        );
    }
}

/// What few of many records fit, so that more of them have to be examined, up to the bound.
fn is_only_bounded(name: &str) -> bool {
    [
        "who REPOSITORY --event",
        "who REPOSITORY:TAG, absent",
        "account and repository, absent together",
        "account, repository, event",
        "account, repository, event, time",
        "pruning",
    ]
    .contains(&name)
}

#[tokio::test]
async fn reads_cost_the_same_among_few_and_many_in_sqlite() {
    reads_cost_the_same(DatabaseKind::Sqlite).await;
}

#[tokio::test]
async fn reads_cost_the_same_among_few_and_many_in_postgresql() {
    reads_cost_the_same(DatabaseKind::Postgres).await;
}

#[tokio::test]
async fn pages_of_every_filter_have_what_the_table_has() {
    for kind in [DatabaseKind::Sqlite, DatabaseKind::Postgres] {
        let place = TestDatabase::new(kind);
        let database = &place.database;
        fill(database, 0, 12_000).await;
        let is_sqlite = database.sqlite().is_some();
        for case in cases(12_000) {
            let read = database.read(move |connection: &DatabaseConnection<'_>| {
                let rows = DatabaseRows::of(connection, is_sqlite)?;
                let expected = expected(connection, &case.filter)?;
                let (mut seen, mut before) = (Vec::new(), None);
                loop {
                    let next = list(&rows, &case.filter, before, 700)?;
                    seen.extend(next.records.iter().map(|record| record.id));
                    assert!(
                        next.next
                            .is_none_or(|next| before.is_none_or(|before| next < before))
                    );
                    before = next.next;
                    if before.is_none() {
                        break;
                    }
                }
                assert_eq!(seen, expected, "{kind:?}: {}", case.name);
                let (mut exported, mut after) = (Vec::new(), 0);
                loop {
                    let next = export(&rows, &case.filter, after, 700)?;
                    exported.extend(next.records.iter().map(|record| record.id));
                    match next.next {
                        Some(next) => after = next,
                        None => break,
                    }
                }
                exported.reverse();
                assert_eq!(exported, expected, "{kind:?}: export, {}", case.name);
                Ok::<_, Error>(expected.len())
            });
            read.await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_changes_of_a_tag_are_followed_up_to_a_number() {
    let place = TestDatabase::new(DatabaseKind::Sqlite);
    let sql = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10002)
        INSERT INTO audit (at, kind, account, repository, reference, digest, document)
        SELECT n, 'tag_moved', '', 'app', 'latest', 'sha256:' || n,
            '{\"event\":\"tag_moved\",\"from\":\"sha256:' || (n - 1) || '\"}' FROM numbers";
    let write = place
        .database
        .write(move |connection: &DatabaseConnection<'_>| connection.execute(sql, &[]));
    assert_eq!(write.await.unwrap(), 10_002);
    let read = place.database.read(|connection: &DatabaseConnection<'_>| {
        let rows = DatabaseRows::of(connection, true)?;
        let filter = AuditFilter {
            repository: Some("app".to_owned()),
            tag: Some("latest".to_owned()),
            ..AuditFilter::default()
        };
        digests(&rows, &filter)
    });
    // Those of 10,000 changes, and the one from which the oldest of these has moved the tag.
    let followed = read.await.unwrap();
    assert_eq!(followed.len(), 10_001);
    assert!(!followed.contains(&"sha256:1".to_owned()));
}

/// The numbers of the records that fit, the latest first, by one plain statement.
fn expected(connection: &DatabaseConnection<'_>, filter: &AuditFilter) -> Result<Vec<i64>, Error> {
    let mut conditions = vec!["1 = 1".to_owned()];
    let texts = [
        ("account", &filter.account),
        ("repository", &filter.repository),
        ("digest", &filter.digest),
        ("kind", &filter.kind),
    ];
    for (column, text) in texts {
        conditions.extend(text.as_ref().map(|text| format!("{column} = '{text}'")));
    }
    if let (Some(tag), Some(repository)) = (&filter.tag, &filter.repository) {
        conditions.push(format!(
            "(reference = '{tag}' OR digest IN (SELECT digest FROM audit
              WHERE repository = '{repository}' AND reference = '{tag}'))"
        ));
    }
    conditions.extend(filter.since.map(|since| format!("at >= {since}")));
    conditions.extend(filter.until.map(|until| format!("at < {until}")));
    let sql = format!(
        "SELECT id FROM audit WHERE {} ORDER BY at DESC, id DESC",
        conditions.join(" AND ")
    );
    connection.query(&sql, &[], |row| row.get(0))
}
