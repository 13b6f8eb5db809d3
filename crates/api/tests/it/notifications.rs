//! `/notifications`: what became of notifications, the latest first, and sending them again.

use database::{AdministrationFilter, DatabaseConnection, Error, logged_changes, params};
use serde_json::{Value, json};

use crate::bench::Bench;

/// Six notifications for two endpoints: each third one was set aside, and each third one waits.
async fn queue(bench: &Bench) {
    let write = bench.database.write(|connection: &DatabaseConnection<'_>| {
        for number in 1..=6_i64 {
            let endpoint = if number <= 4 { "one" } else { "two" };
            let state = ["failed", "pending", "delivered"][usize::try_from(number % 3).unwrap()];
            let event = json!({"id": number.to_string(), "action": "push"}).to_string();
            let sql = "INSERT INTO notification_deliveries
                (endpoint, state, action, repository, event, queued_at, changed_at)
                VALUES (?1, ?2, 'push', 'team/app', ?3, ?4, ?4)";
            connection.execute(sql, params![endpoint, state, event, number * 1000])?;
        }
        Ok::<_, Error>(())
    });
    write.await.unwrap();
}

/// The numbers of a page, and the cursor of the next one.
async fn page(bench: &Bench, query: &str) -> (Vec<i64>, Value) {
    let path = format!("/notifications{query}");
    let scopes = ["notifications:read"];
    let answer = bench.ask("root", &scopes, ("GET", &path), &[], None).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let items = answer.body["items"].as_array().unwrap();
    let ids = items.iter().map(|item| item["id"].as_i64().unwrap());
    (ids.collect(), answer.body["next"].clone())
}

async fn retry(bench: &Bench, chosen: Value) -> (u16, Value) {
    let scopes = ["notifications:write"];
    let operation = ("POST", "/notifications/retries");
    let answer = bench
        .ask("root", &scopes, operation, &[], Some(&chosen))
        .await;
    (answer.status, answer.body)
}

#[tokio::test]
async fn notifications_are_listed_by_endpoint_and_state_page_by_page() {
    let bench = Bench::new();
    queue(&bench).await;
    assert_eq!(page(&bench, "").await.0, [6, 5, 4, 3, 2, 1]);
    assert_eq!(page(&bench, "?endpoint=two").await.0, [6, 5]);
    assert_eq!(page(&bench, "?state=failed").await.0, [6, 3]);
    assert_eq!(page(&bench, "?state=pending&endpoint=one").await.0, [4, 1]);
    assert_eq!(page(&bench, "?endpoint=idle").await.0, [0; 0]);
    let (first, next) = page(&bench, "?endpoint=one&limit=3").await;
    assert_eq!(first, [4, 3, 2]);
    let after = format!("?endpoint=one&limit=3&after={}", next.as_str().unwrap());
    assert_eq!(page(&bench, &after).await, (vec![1], Value::Null));
    for wrong in ["?state=lost", "?after=Ym9i", "?limit=0", "?unknown=1"] {
        let path = format!("/notifications{wrong}");
        let scopes = ["notifications:read"];
        let answer = bench.ask("root", &scopes, ("GET", &path), &[], None).await;
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.body);
    }
}

/// What `wharfinger notifications` says of the same name.
#[tokio::test]
async fn the_name_of_an_endpoint_must_be_one() {
    let bench = Bench::new();
    queue(&bench).await;
    let words = "no endpoint has the name \"three\": the configuration has one, idle; there are also \
                 notifications for two, not configured any more";
    let operation = ("GET", "/notifications?endpoint=three");
    let scopes = ["notifications:read"];
    let answer = bench.ask("root", &scopes, operation, &[], None).await;
    assert_eq!(
        (answer.status, &answer.body["detail"]),
        (400, &words.into())
    );
    assert_eq!(answer.body["errors"][0]["parameter"], "endpoint");
    let (status, body) = retry(&bench, json!({"endpoint": "three"})).await;
    assert_eq!((status, &body["detail"]), (422, &words.into()));
    assert_eq!(body["errors"][0]["pointer"], "/endpoint");
    // One that was removed from the configuration still has what was for it.
    assert_eq!(page(&bench, "?endpoint=two").await.0, [6, 5]);
}

#[tokio::test]
async fn what_was_set_aside_is_sent_again_and_the_log_says_by_whom() {
    let bench = Bench::new();
    queue(&bench).await;
    let retried = |count: usize, left: usize| {
        let left = (left > 0).then(|| json!({"endpoint": "two", "count": left}));
        let left = Vec::from_iter(left);
        (
            200,
            json!({"retried": count, "left": left, "waiting": [], "unknown": []}),
        )
    };
    let one = json!({"endpoint": "one"});
    assert_eq!(retry(&bench, one.clone()).await, retried(1, 0));
    assert_eq!(retry(&bench, one).await, retried(0, 0));
    assert_eq!(page(&bench, "?state=failed").await.0, [6]);
    // One that was delivered is only sent again by its number; one that waits is not.
    let named = json!({"ids": [1, 2, 99]});
    let body = json!({"retried": 1, "left": [], "waiting": [1], "unknown": [99]});
    assert_eq!(retry(&bench, named).await, (200, body));
    assert_eq!(page(&bench, "?state=delivered").await.0, [5]);
    // What is for an endpoint that is not configured would wait for ever.
    assert_eq!(retry(&bench, json!({})).await, retried(0, 1));
    assert_eq!(retry(&bench, json!({"ids": [5, 6]})).await, retried(0, 2));
    let (status, body) = retry(&bench, json!({"endpoint": "two"})).await;
    let words = "the endpoint \"two\" is not configured, so nothing can be sent to it: the configuration has \
                 one, idle";
    assert_eq!((status, &body["detail"]), (422, &words.into()));
    assert_eq!(page(&bench, "?state=failed").await.0, [6]);
    assert_eq!(page(&bench, "?state=delivered").await.0, [5]);
    let many: Vec<i64> = (0..1001).collect();
    assert_eq!(retry(&bench, json!({"ids": many})).await.0, 422);

    let read = bench.database.read(|connection: &DatabaseConnection<'_>| {
        logged_changes(connection, &AdministrationFilter::default(), 10)
    });
    let logged = read.await.unwrap();
    let logged: Vec<_> = logged
        .iter()
        .map(|entry| (entry.action.as_str(), entry.object.as_str()))
        .collect();
    let again = "notifications.retry";
    assert_eq!(logged, [(again, ""), (again, "one")]);
}
