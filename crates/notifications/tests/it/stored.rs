//! What is in the table: it survives, keeps its order, and is bounded.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use database::Administrator;
use notifications::{
    DeliveryFilter, DeliveryList, DeliveryState, EndpointNames, LeftDeliveries, NotificationAction,
    NotificationFilter, RetriedDeliveries,
};
use peers::{HttpStub, ReservedAddress, StubAnswer};

use super::KIND;
use crate::bench::{Bench, endpoint, pushed, received, tag_of, wait_for_events};

fn accepting() -> HttpStub {
    HttpStub::start(|_| StubAnswer::Status(200, String::new()))
}

#[tokio::test]
async fn each_endpoint_gets_what_it_wants_in_order() {
    let (one, two) = (accepting(), accepting());
    let mut second = endpoint("two", &two.url("/"));
    second.filter = NotificationFilter {
        ignored_actions: vec![NotificationAction::Push],
        ..NotificationFilter::default()
    };
    let mut bench = Bench::new(KIND, vec![endpoint("one", &one.url("/")), second]);
    let running = bench.start();
    for tag in ["1", "2", "3"] {
        bench.push(&running.notifier, "a", tag).await;
    }
    bench.wait_for(DeliveryState::Delivered, 3).await;
    assert_eq!(received(&one), ["1", "2", "3"]);
    assert!(two.requests().is_empty());
    let statistics = running.notifier.statistics();
    let first = &statistics.endpoints[0];
    assert_eq!(
        (first.name.as_str(), first.events, first.successes),
        ("one", 3, 3)
    );
    assert_eq!(first.statuses, [(200, 3)].into());
    let delivered = bench.list(DeliveryFilter::default()).await;
    assert!(delivered.iter().all(|entry| entry.attempts == 1
        && entry.status == Some(200)
        && entry.error.is_none()
        && entry.endpoint == "one"));
}

#[tokio::test]
async fn what_waits_survives_and_is_sent_once_per_record() {
    let stub = accepting();
    let mut bench = Bench::new(KIND, vec![endpoint("one", &stub.url("/"))]);
    // It is queued by a server that ends before it delivers, and taken over again by the next one.
    let before = bench.notifier();
    let number = bench.push(&before, "a", "1").await;
    let again = pushed(&before, "a", "1").remove(0);
    drop(before);
    let running = bench.start();
    running
        .notifier
        .take_over(vec![(number, again)])
        .await
        .unwrap();
    bench.push(&running.notifier, "a", "2").await;
    bench.wait_for(DeliveryState::Delivered, 2).await;
    assert_eq!(received(&stub), ["1", "2"]);
}

#[tokio::test]
async fn a_dead_endpoint_gets_everything_when_it_is_back_and_holds_up_no_other() {
    let alive = accepting();
    let address = ReservedAddress::new();
    let url = format!("http://{address}/");
    let mut bench = Bench::new(
        KIND,
        vec![endpoint("dead", &url), endpoint("alive", &alive.url("/"))],
    );
    let running = bench.start();
    for tag in ["1", "2", "3"] {
        bench.push(&running.notifier, "a", tag).await;
    }
    bench.wait_for(DeliveryState::Delivered, 3).await;
    assert_eq!(received(&alive), ["1", "2", "3"]);
    loop {
        let filter = DeliveryFilter {
            endpoint: Some("dead".to_owned()),
            ..DeliveryFilter::default()
        };
        let first = bench.list(filter).await.remove(0);
        if first.attempts > 4 {
            assert_eq!((first.state, first.status), (DeliveryState::Pending, None));
            assert!(first.error.unwrap().contains("the connection failed"));
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let errors = running.notifier.statistics().endpoints[0].errors;
    assert!(errors > 4, "{errors}");
    let back = HttpStub::start_at(address, |_| StubAnswer::Status(202, String::new()));
    bench.wait_for(DeliveryState::Delivered, 6).await;
    assert_eq!(received(&back), ["1", "2", "3"]);
}

#[tokio::test]
async fn a_notification_is_sent_again_as_it_was_until_it_is_accepted() {
    let refused = Arc::new(Mutex::new(0));
    let count = Arc::clone(&refused);
    let stub = HttpStub::start(move |_| {
        let mut count = count.lock().unwrap();
        *count += 1;
        StubAnswer::Status(if *count < 6 { 500 } else { 200 }, String::new())
    });
    let mut bench = Bench::new(KIND, vec![endpoint("one", &stub.url("/"))]);
    let running = bench.start();
    bench.push(&running.notifier, "a", "1").await;
    bench.push(&running.notifier, "a", "2").await;
    bench.wait_for(DeliveryState::Delivered, 2).await;
    assert_eq!(received(&stub), ["1", "1", "1", "1", "1", "1", "2"]);
    let bodies: Vec<String> = stub.requests().into_iter().map(|it| it.body).collect();
    assert!(
        bodies[..6].iter().all(|body| *body == bodies[0]),
        "{bodies:?}"
    );
    let first = bench.list(DeliveryFilter::default()).await.remove(0);
    assert_eq!((first.attempts, first.status), (6, Some(200)));
    let statistics = running.notifier.statistics().endpoints.remove(0);
    assert_eq!((statistics.failures, statistics.statuses[&500]), (5, 5));
}

#[tokio::test]
async fn what_is_not_accepted_in_time_is_set_aside_and_can_be_retried() {
    let is_up = Arc::new(AtomicBool::new(false));
    let up = Arc::clone(&is_up);
    let stub = HttpStub::start(move |request| {
        let is_poison = request.body.contains("\"tag\": \"poison\"");
        let status = if is_poison && !up.load(SeqCst) {
            400
        } else {
            200
        };
        StubAnswer::Status(status, String::new())
    });
    let mut bench = Bench::new(KIND, vec![endpoint("one", &stub.url("/"))]);
    bench.settings.give_up = Duration::from_millis(100);
    let running = bench.start();
    for tag in ["1", "poison", "2"] {
        bench.push(&running.notifier, "a", tag).await;
    }
    bench.wait_for(DeliveryState::Delivered, 2).await;
    assert_eq!(bench.tags(DeliveryState::Failed).await, ["poison"]);
    assert_eq!(running.notifier.statistics().endpoints[0].given_up, 1);
    let failed = bench
        .list(DeliveryFilter {
            state: Some(DeliveryState::Failed),
            ..DeliveryFilter::default()
        })
        .await;
    assert_eq!(
        failed[0].error.as_deref(),
        Some("the endpoint answered 400")
    );

    is_up.store(true, SeqCst);
    let failed = DeliveryFilter {
        state: Some(DeliveryState::Failed),
        ..DeliveryFilter::default()
    };
    let now = std::time::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    let retried = bench.deliveries().retry(&operator(), failed, now).await;
    assert_eq!(retried.unwrap().retried, 1);
    bench.wait_for(DeliveryState::Delivered, 3).await;
    let sent = received(&stub);
    assert_eq!(sent.last().unwrap(), "poison");
    // One that was delivered is sent again by its number.
    let first = bench.list(DeliveryFilter::default()).await.remove(0);
    let by_number = DeliveryFilter {
        ids: vec![first.id],
        ..DeliveryFilter::default()
    };
    let retried = bench.deliveries().retry(&operator(), by_number, now).await;
    assert_eq!(retried.unwrap().retried, 1);
    wait_for_events(&stub, sent.len() + 1).await;
    assert_eq!(received(&stub).last().unwrap(), "1");
}

fn operator() -> Administrator {
    Administrator::SystemUser("root (uid 0)".to_owned())
}

#[tokio::test]
async fn the_table_is_bounded_and_the_oldest_go() {
    let stub = HttpStub::start(|_| StubAnswer::Status(503, String::new()));
    let mut bench = Bench::new(KIND, vec![endpoint("one", &stub.url("/"))]);
    bench.settings.queue = 3;
    let queueing = bench.notifier();
    for tag in 0..8 {
        bench.push(&queueing, "a", &tag.to_string()).await;
    }
    let _running = bench.start();
    bench.wait_for(DeliveryState::Pending, 3).await;
    assert_eq!(bench.tags(DeliveryState::Pending).await, ["5", "6", "7"]);
    // Of those that were set aside, as many are kept.
    bench.wait_for(DeliveryState::Failed, 3).await;
    assert_eq!(bench.tags(DeliveryState::Failed).await, ["2", "3", "4"]);
}

#[tokio::test]
async fn what_is_done_goes_after_its_time() {
    let stub = accepting();
    let mut bench = Bench::new(KIND, vec![endpoint("one", &stub.url("/"))]);
    bench.settings.keep = Duration::ZERO;
    let queueing = bench.notifier();
    bench.push(&queueing, "a", "1").await;
    let running = bench.start();
    wait_for_events(&stub, 1).await;
    bench.wait_for(DeliveryState::Pending, 0).await;
    drop(running);
    let _again = bench.start();
    while !bench.list(DeliveryFilter::default()).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn what_waits_for_an_endpoint_that_is_gone_is_set_aside() {
    let stub = accepting();
    let mut bench = Bench::new(KIND, vec![endpoint("old", &stub.url("/"))]);
    let queueing = bench.notifier();
    bench.push(&queueing, "a", "1").await;
    bench.settings.endpoints = vec![endpoint("new", &stub.url("/"))];
    let _running = bench.start();
    bench.wait_for(DeliveryState::Failed, 1).await;
    let failed = bench.list(DeliveryFilter::default()).await;
    assert_eq!(
        failed[0].error.as_deref(),
        Some("the configuration has no such endpoint")
    );
    assert_eq!(tag_of(&failed[0].event), "1");

    // It would wait for ever, so it is not sent again.
    let now = std::time::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    let all = DeliveryFilter::default;
    let retried = bench.deliveries().retry(&operator(), all(), now).await;
    let left = LeftDeliveries {
        endpoint: "old".to_owned(),
        count: 1,
    };
    let expected = RetriedDeliveries {
        retried: 0,
        left: vec![left],
        ..RetriedDeliveries::default()
    };
    assert_eq!(retried.unwrap(), expected);
    assert_eq!(bench.tags(DeliveryState::Failed).await, ["1"]);
    // Without a registry, a configuration does not say which endpoints there are.
    let elsewhere = DeliveryList::new(bench.store(), EndpointNames::Elsewhere);
    let retried = elsewhere.retry(&operator(), all(), now).await.unwrap();
    assert_eq!((retried.retried, retried.left), (1, Vec::new()));
}
