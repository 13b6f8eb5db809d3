//! The log of what was changed, and by which user of the system or which account.

use std::time::{Duration, UNIX_EPOCH};

use database::{
    AdministrationFilter, AdministrativeChange, Administrator, Database, DatabaseConnection, Error,
    log_change, logged_changes, params,
};
use serde_json::json;

use crate::Bench;

/// The write that inserts `number` and logs it.
fn insert(
    number: i64,
    by: Administrator,
) -> impl FnMut(&DatabaseConnection) -> Result<(), Error> + Send + 'static {
    move |connection| {
        let change = AdministrativeChange {
            action: "number.add",
            object: &number.to_string(),
            details: &json!({ "number": number }),
        };
        log_change(connection, &by, UNIX_EPOCH + Duration::from_secs(7), change)?;
        connection.execute("INSERT INTO numbers (n) VALUES (?1)", params![number])?;
        Ok(())
    }
}

async fn objects(database: &Database, filter: AdministrationFilter, limit: u32) -> Vec<String> {
    let read = database
        .read(move |connection: &DatabaseConnection| logged_changes(connection, &filter, limit));
    let entries = read.await.unwrap();
    entries.into_iter().map(|entry| entry.object).collect()
}

#[tokio::test]
async fn a_change_and_its_entry_are_written_together_or_not_at_all() {
    let bench = Bench::new().await;
    let database = Database::from(bench.database.clone());
    let root = Administrator::SystemUser("root (uid 0)".to_owned());
    database.write(insert(1, root.clone())).await.unwrap();
    // The number exists, so the change fails after its entry was written.
    assert!(database.write(insert(1, root.clone())).await.is_err());
    let read = database.read(|connection: &DatabaseConnection| {
        logged_changes(connection, &AdministrationFilter::default(), 10)
    });
    let entries = read.await.unwrap();
    let [entry] = &entries[..] else {
        panic!("{entries:?}")
    };
    assert_eq!((&entry.by, entry.action.as_str()), (&root, "number.add"));
    assert_eq!(entry.details, json!({ "number": 1 }));
    assert_eq!(entry.at, UNIX_EPOCH + Duration::from_secs(7));
}

#[tokio::test]
async fn entries_are_selected_and_read_page_by_page() {
    let bench = Bench::new().await;
    let database = Database::from(bench.database.clone());
    let root = Administrator::SystemUser("root (uid 0)".to_owned());
    let ann = Administrator::Account("ann".to_owned());
    for (number, by) in [(1, &root), (2, &ann), (3, &root), (4, &ann)] {
        database.write(insert(number, by.clone())).await.unwrap();
    }
    let all = AdministrationFilter::default();
    assert_eq!(
        objects(&database, all.clone(), 10).await,
        ["4", "3", "2", "1"]
    );
    assert_eq!(objects(&database, all.clone(), 2).await, ["4", "3"]);
    let before = AdministrationFilter {
        before: Some(3),
        ..all.clone()
    };
    assert_eq!(objects(&database, before, 2).await, ["2", "1"]);
    let of_ann = AdministrationFilter {
        actor: Some("ann".to_owned()),
        ..all.clone()
    };
    assert_eq!(objects(&database, of_ann.clone(), 10).await, ["4", "2"]);
    let of_both = AdministrationFilter {
        object: Some("2".to_owned()),
        ..of_ann
    };
    assert_eq!(objects(&database, of_both, 10).await, ["2"]);
}
