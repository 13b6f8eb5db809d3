//! Several events in one request.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use notifications::{DeliveryFilter, DeliveryState, EventBatching};
use peers::{HttpStub, StubAnswer};

use super::KIND;
use crate::bench::{
    Bench, endpoint, events_of, pull, push_blob, received, tag_of, wait_for_events,
};

fn accepting() -> HttpStub {
    HttpStub::start(|_| StubAnswer::Status(200, String::new()))
}

/// The tags of each request that an endpoint got.
fn requests(stub: &HttpStub) -> Vec<Vec<String>> {
    let requests = stub.requests();
    let tags = requests
        .iter()
        .map(|request| events_of(request).iter().map(tag_of).collect());
    tags.collect()
}

fn bench(stub: &HttpStub, batching: EventBatching) -> Bench {
    let mut bench = Bench::new(KIND, vec![endpoint("one", &stub.url("/"))]);
    bench.settings.batching = batching;
    bench.settings.memory_queue = 1000;
    bench
}

#[tokio::test]
async fn pulls_and_blobs_share_requests_and_pushes_do_not() {
    let stub = accepting();
    let mut bench = bench(&stub, EventBatching::PullsAndBlobs);
    let queueing = bench.notifier();
    bench.push_all(&queueing, "a", &["p1", "p2", "p3"]).await;
    let running = bench.start();
    for number in 0..250 {
        pull(&running.notifier, "a", &number.to_string());
    }
    push_blob(&running.notifier, "a");
    wait_for_events(&stub, 254).await;
    let requests = requests(&stub);
    let (pushes, others): (Vec<_>, Vec<_>) = requests
        .into_iter()
        .partition(|tags| tags[0].starts_with('p'));
    assert_eq!(pushes, [["p1"], ["p2"], ["p3"]]);
    // A body of a hundred events would be longer than it may be.
    let sizes: Vec<usize> = others.iter().map(Vec::len).collect();
    assert!(
        sizes.len() < 10 && *sizes.iter().max().unwrap() <= 100,
        "{sizes:?}"
    );
    let longest = stub.requests().iter().map(|it| it.body.len()).max();
    assert!(longest.unwrap() < 100_000, "{longest:?}");
    let mut expected: Vec<String> = (0..250).map(|number| number.to_string()).collect();
    expected.push(String::new());
    assert_eq!(others.concat(), expected);
    // The last answer may still be on its way. The pushes were counted by the notifier that queued them.
    let statistics = || running.notifier.statistics().endpoints.remove(0);
    while statistics().successes < 254 {
        tokio::task::yield_now().await;
    }
    assert_eq!((statistics().events, statistics().successes), (251, 254));
}

#[tokio::test]
async fn without_batching_each_event_has_a_request() {
    let stub = accepting();
    let mut bench = bench(&stub, EventBatching::None);
    let running = bench.start();
    for number in 0..20 {
        pull(&running.notifier, "a", &number.to_string());
    }
    bench.push_all(&running.notifier, "a", &["p1", "p2"]).await;
    wait_for_events(&stub, 22).await;
    assert!(requests(&stub).iter().all(|tags| tags.len() == 1));
}

#[tokio::test]
async fn pushes_share_requests_if_all_may() {
    let stub = accepting();
    let mut bench = bench(&stub, EventBatching::All);
    let queueing = bench.notifier();
    let tags: Vec<String> = (0..150).map(|number| number.to_string()).collect();
    let all: Vec<&str> = tags.iter().map(String::as_str).collect();
    bench.settings.queue = 1000;
    bench.push_all(&queueing, "a", &all).await;
    let _running = bench.start();
    bench.wait_for(DeliveryState::Delivered, 150).await;
    assert_eq!(received(&stub), tags);
    assert!(requests(&stub).len() < 5);
    // The list has each of them.
    let entries = bench.list(DeliveryFilter::default()).await;
    assert!(
        entries
            .iter()
            .all(|entry| (entry.attempts, entry.status) == (1, Some(200)))
    );
}

#[tokio::test]
async fn a_request_that_fails_is_sent_again_as_it_was() {
    let failing = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&failing);
    let stub = HttpStub::start(move |_| match count.fetch_add(1, SeqCst) {
        0 => StubAnswer::Status(503, String::new()),
        1 => StubAnswer::Close,
        2 => StubAnswer::Raw(b"garbage\r\n\r\n".to_vec()),
        _ => StubAnswer::Status(200, String::new()),
    });
    let mut bench = bench(&stub, EventBatching::All);
    let queueing = bench.notifier();
    bench.push_all(&queueing, "a", &["1", "2", "3"]).await;
    let running = bench.start();
    bench.wait_for(DeliveryState::Delivered, 3).await;
    let bodies: Vec<String> = stub.requests().into_iter().map(|it| it.body).collect();
    assert_eq!(bodies.len(), 4);
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    assert_eq!(requests(&stub)[0], ["1", "2", "3"]);
    let entries = bench.list(DeliveryFilter::default()).await;
    assert!(
        entries.iter().all(|entry| entry.attempts == 4),
        "{entries:?}"
    );
    let statistics = running.notifier.statistics().endpoints.remove(0);
    assert_eq!(
        (statistics.failures, statistics.errors, statistics.successes),
        (3, 6, 3)
    );
}

#[tokio::test]
async fn a_receiver_that_rejects_several_events_gets_them_one_by_one() {
    let stub = HttpStub::start(move |request| {
        let is_single = events_of(request).len() == 1;
        let status = if is_single { 200 } else { 413 };
        StubAnswer::Status(status, String::new())
    });
    let mut bench = bench(&stub, EventBatching::All);
    let queueing = bench.notifier();
    bench.push_all(&queueing, "a", &["p1", "p2", "p3"]).await;
    let running = bench.start();
    bench.wait_for(DeliveryState::Delivered, 3).await;
    for tag in ["1", "2", "3"] {
        pull(&running.notifier, "a", tag);
    }
    wait_for_events(&stub, 12).await;
    let single: Vec<String> = requests(&stub)
        .into_iter()
        .filter(|tags| tags.len() == 1)
        .flatten()
        .collect();
    assert_eq!(single, ["p1", "p2", "p3", "1", "2", "3"]);
}

#[tokio::test]
async fn an_event_that_is_never_accepted_takes_no_other_with_it() {
    let is_up = Arc::new(AtomicBool::new(false));
    let up = Arc::clone(&is_up);
    let stub = HttpStub::start(move |request| {
        let is_poison = request.body.contains("\"tag\": \"poison\"");
        let status = if is_poison && !up.load(SeqCst) {
            500
        } else {
            200
        };
        StubAnswer::Status(status, String::new())
    });
    let mut bench = bench(&stub, EventBatching::All);
    bench.settings.give_up = Duration::from_millis(200);
    let queueing = bench.notifier();
    bench.push_all(&queueing, "a", &["1", "poison", "2"]).await;
    let _running = bench.start();
    bench.wait_for(DeliveryState::Delivered, 2).await;
    assert_eq!(bench.tags(DeliveryState::Failed).await, ["poison"]);
    assert_eq!(bench.tags(DeliveryState::Delivered).await, ["1", "2"]);
}
