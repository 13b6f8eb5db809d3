//! What is written is read again: in order, page by page, and once.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use audit::{AuditFilter, AuditReader, AuditRecord, PersonalData, Pseudonyms, Recording};
use database::{AdministrativeChange, Administrator, DatabaseConnection, log_change};
use serde_json::{Value, json};

use crate::Bench;

fn record(at: i64, kind: &str, account: &str, members: &Value) -> AuditRecord {
    let mut document = json!({"event": kind, "account": account});
    let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
    for (name, value) in members.as_object().unwrap() {
        document[name] = value.clone();
    }
    AuditRecord {
        at,
        kind: kind.to_owned(),
        account: account.to_owned(),
        repository: text("repository"),
        reference: text("reference").or_else(|| text("tag")),
        digest: text("digest").or_else(|| text("to")),
        document: document.to_string(),
    }
}

fn reader(bench: &Bench, accounts: Recording) -> AuditReader {
    let data = PersonalData {
        accounts,
        ..PersonalData::default()
    };
    AuditReader::new(
        bench.store.clone(),
        Arc::new(Pseudonyms::new(data, &[0; 32])),
    )
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap() {
    let bench = Bench::new(super::KIND);
    // Of the same moment, and not in the order of their times.
    let records = (0..25).map(|number| {
        record(
            100 - number / 3,
            "catalog_read",
            "ann",
            &json!({"n": number}),
        )
    });
    bench.store.insert(records.collect()).await.unwrap();
    let reader = reader(&bench, Recording::Keep);
    let (mut seen, mut before) = (Vec::new(), None);
    loop {
        let page = reader
            .page(AuditFilter::default(), before, 7)
            .await
            .unwrap();
        seen.extend(page.entries.iter().map(|entry| entry.id));
        before = page.next;
        if before.is_none() {
            break;
        }
        assert_eq!(before.unwrap().to_string().parse(), Ok(before.unwrap()));
    }
    let mut sorted = seen.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (1..=25).collect::<Vec<i64>>());
    let all = bench
        .store
        .list(AuditFilter::default(), None, 100)
        .await
        .unwrap();
    assert_eq!(seen, all.iter().map(|record| record.id).collect::<Vec<_>>());
    assert!(all.is_sorted_by(|a, b| (a.at, a.id) > (b.at, b.id)));
    let exported = bench
        .store
        .export(AuditFilter::default(), 20, 100)
        .await
        .unwrap();
    assert_eq!(
        exported.iter().map(|record| record.id).collect::<Vec<_>>(),
        [21, 22, 23, 24, 25]
    );
    assert!(
        exported[0]
            .line()
            .starts_with("{\"id\":21,\"event\":\"catalog_read\""),
        "{}",
        exported[0].line()
    );
}

#[tokio::test]
async fn a_tag_stands_for_all_that_it_has_pointed_at_and_each_access_has_its_rule() {
    let bench = Bench::new(super::KIND);
    let token =
        json!({"granted": "repository:a:pull repository:b:pull", "rules": "auth.yml:3 rule#7"});
    let records = [
        record(
            1,
            "tag_moved",
            "ann",
            &json!({"repository": "a", "tag": "one", "to": "sha256:1"}),
        ),
        record(
            2,
            "tag_moved",
            "ann",
            &json!({"repository": "a", "tag": "one", "to": "sha256:2"}),
        ),
        record(3, "token_issued", "bob", &token),
        record(
            4,
            "manifest_pulled",
            "bob",
            &json!({"repository": "a", "reference": "sha256:1", "digest": "sha256:1"}),
        ),
        record(
            5,
            "manifest_pulled",
            "bob",
            &json!({"repository": "a", "reference": "two", "digest": "sha256:9"}),
        ),
        record(
            6,
            "manifest_pulled",
            "bob",
            &json!({"repository": "b", "reference": "one", "digest": "sha256:1"}),
        ),
        record(
            7,
            "blob_pulled",
            "",
            &json!({"repository": "a", "digest": "sha256:7"}),
        ),
    ];
    bench.store.insert(Arc::new(records)).await.unwrap();
    let reader = reader(&bench, Recording::Keep);
    let times = async |filter: AuditFilter| {
        let page = reader.page(filter, None, 100).await.unwrap();
        page.entries
            .iter()
            .map(|entry| entry.id)
            .collect::<Vec<_>>()
    };
    let of = |repository: &str| AuditFilter {
        repository: Some(repository.to_owned()),
        ..AuditFilter::default()
    };
    assert_eq!(times(of("a")).await, [7, 5, 4, 2, 1]);
    assert_eq!(
        times(AuditFilter {
            tag: Some("one".to_owned()),
            ..of("a")
        })
        .await,
        [4, 2, 1]
    );
    assert_eq!(
        times(AuditFilter {
            digest: Some("sha256:9".to_owned()),
            ..of("a")
        })
        .await,
        [5]
    );
    assert_eq!(
        times(AuditFilter {
            kind: Some("blob_pulled".to_owned()),
            ..of("a")
        })
        .await,
        [7]
    );
    assert_eq!(
        times(AuditFilter {
            since: Some(4),
            until: Some(7),
            ..of("a")
        })
        .await,
        [5, 4]
    );
    let anonymous = AuditFilter {
        account: Some(String::new()),
        ..AuditFilter::default()
    };
    assert_eq!(times(anonymous).await, [7]);
    let page = reader.page(of("b"), None, 100).await.unwrap();
    assert_eq!(page.entries[0].event["rule"], "rule#7");
    let page = reader.page(of("a"), None, 100).await.unwrap();
    assert_eq!(
        (
            page.entries[1].event.get("rule"),
            page.entries[0].event.get("rule")
        ),
        (Some(&"auth.yml:3".into()), None)
    );
}

#[tokio::test]
async fn a_record_of_the_outbox_is_taken_over_once() {
    let bench = Bench::new(super::KIND);
    let one = (
        7,
        record(1, "manifest_pushed", "ann", &json!({"repository": "a"})),
    );
    let two = (
        8,
        record(2, "manifest_pushed", "ann", &json!({"repository": "a"})),
    );
    bench
        .store
        .take_over(Arc::new([one.clone()]))
        .await
        .unwrap();
    bench.store.take_over(Arc::new([one, two])).await.unwrap();
    assert_eq!(
        bench
            .store
            .list(AuditFilter::default(), None, 10)
            .await
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn administration_is_recorded_in_its_transaction() {
    let bench = Bench::new(super::KIND);
    let change = |is_kept: bool, by: Administrator| {
        bench
            .database
            .write(move |connection: &DatabaseConnection<'_>| {
                let details = json!({"labels": {"team": ["red"]}});
                let change = AdministrativeChange {
                    action: "user.add",
                    object: "bob",
                    details: &details,
                };
                log_change(
                    connection,
                    &by,
                    UNIX_EPOCH + Duration::from_secs(90),
                    change,
                )?;
                match is_kept {
                    true => Ok(()),
                    false => Err(database::Error::Closed),
                }
            })
    };
    let root = Administrator::SystemUser("root (uid 0)".to_owned());
    change(true, root.clone()).await.unwrap();
    change(false, root).await.unwrap_err();
    change(true, Administrator::Account("ann".to_owned()))
        .await
        .unwrap();
    let page = reader(&bench, Recording::Keep)
        .page(AuditFilter::default(), None, 10)
        .await
        .unwrap();
    let events: Vec<Value> = page
        .entries
        .iter()
        .map(|entry| json!(entry.event))
        .collect();
    let expected = |origin: &str, actor: &str| {
        json!({
            "time": "1970-01-01T00:01:30Z", "event": "administration", "origin": origin, "actor": actor,
            "action": "user.add", "object": "bob", "details": {"labels": {"team": ["red"]}},
        })
    };
    assert_eq!(
        events,
        [expected("api", "ann"), expected("command", "root (uid 0)")]
    );
    let of_ann = AuditFilter {
        account: Some("ann".to_owned()),
        ..AuditFilter::default()
    };
    assert_eq!(bench.store.list(of_ann, None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn old_records_are_removed_and_numbers_are_not_used_again() {
    let bench = Bench::new(super::KIND);
    let records = (0..2500).map(|at| record(at * 1000, "catalog_read", "ann", &json!({})));
    bench.store.insert(records.collect()).await.unwrap();
    let end = UNIX_EPOCH + Duration::from_secs(1200);
    let mut rounds = 1;
    while bench.store.prune(end).await.unwrap() {
        rounds += 1;
    }
    assert_eq!(rounds, 2);
    assert_eq!(
        bench
            .store
            .export(AuditFilter::default(), 0, 5000)
            .await
            .unwrap()
            .len(),
        1300
    );
    while bench
        .store
        .prune(UNIX_EPOCH + Duration::from_secs(9999))
        .await
        .unwrap()
    {}
    bench
        .store
        .insert(Arc::new([record(1, "catalog_read", "ann", &json!({}))]))
        .await
        .unwrap();
    assert_eq!(
        bench
            .store
            .export(AuditFilter::default(), 0, 10)
            .await
            .unwrap()[0]
            .id,
        2501
    );
}

#[tokio::test]
async fn a_hashed_account_is_found_by_its_name() {
    let bench = Bench::new(super::KIND);
    let names = reader(&bench, Recording::Hash);
    let data = PersonalData {
        accounts: Recording::Hash,
        ..PersonalData::default()
    };
    let hashed = Pseudonyms::new(data, &[0; 32]).account("ann").into_owned();
    bench
        .store
        .insert(Arc::new([record(1, "catalog_read", &hashed, &json!({}))]))
        .await
        .unwrap();
    let filter = AuditFilter {
        account: Some("ann".to_owned()),
        ..AuditFilter::default()
    };
    assert_eq!(names.page(filter, None, 10).await.unwrap().entries.len(), 1);
    assert_eq!(bench.store.existing_key().await.unwrap(), None);
    assert_eq!(bench.store.key([5; 32]).await.unwrap(), [5; 32]);
    assert_eq!(bench.store.key([6; 32]).await.unwrap(), [5; 32], "it stays");
}
