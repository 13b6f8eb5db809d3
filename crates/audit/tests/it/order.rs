//! Numbers become visible in their order, however long a transaction takes.

use std::time::Duration;

use audit::AuditRecord;
use database::params;

use crate::Bench;
use crate::test_database::DatabaseKind;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_later_number_is_not_visible_before_an_earlier_one() {
    let bench = Bench::new(DatabaseKind::Postgres);
    let database = bench.database.clone();
    let slow = tokio::spawn(async move {
        let write = database.write(|connection| {
            let sql =
                "INSERT INTO audit (at, kind, account, document) VALUES (1, 'slow', '', '{}')";
            connection.execute(sql, params![])?;
            std::thread::sleep(Duration::from_millis(500));
            Ok::<(), database::Error>(())
        });
        write.await.unwrap();
    });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let store = bench.store.clone();
    let fast = tokio::spawn(async move {
        let record = AuditRecord {
            at: 2,
            kind: "fast".to_owned(),
            account: String::new(),
            repository: None,
            reference: None,
            digest: None,
            document: "{}".to_owned(),
        };
        store.insert(vec![record].into()).await.unwrap();
    });
    let mut last: Vec<i64> = Vec::new();
    while last.len() < 2 {
        let read = bench.database.read(|connection| {
            let sql = "SELECT id FROM audit ORDER BY id";
            connection.query(sql, params![], |row| row.get::<i64>(0))
        });
        let now: Vec<i64> = read.await.unwrap();
        assert!(now.starts_with(&last), "{now:?} after {last:?}");
        last = now;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    slow.await.unwrap();
    fast.await.unwrap();
}
