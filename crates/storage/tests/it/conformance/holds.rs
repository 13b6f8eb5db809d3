//! Holds of garbage collection: while one lasts, no content goes.

use std::time::Duration;

use storage::collection::CollectionHold;

use super::bench::{Bench, COLLECT, DAY, HOUR, MakeStores, SECOND};
use crate::world::{name, sha256};

const HOLD: CollectionHold = CollectionHold {
    id: [1; 16],
    lasting: HOUR,
};

pub(crate) async fn a_hold_keeps_all_content(make: MakeStores) {
    let bench = Bench::new(make).await;
    for content in [&b"1"[..], b"2"] {
        bench.blob("a", content).await;
    }
    bench.pass(DAY + SECOND);
    bench
        .blobs()
        .lease(&name("a"), &sha256(b"2"))
        .await
        .unwrap();
    bench.mark(COLLECT).await;
    bench.sweep(COLLECT).await;
    assert_eq!(bench.deletable().await.len(), 1);
    bench.pass(DAY + SECOND);
    bench.collection().hold(HOLD).await.unwrap();
    // What is deleting already stays, and nothing else becomes it.
    assert_eq!(bench.deletable().await, []);
    assert_eq!(bench.mark(COLLECT).await, 1);
    assert_eq!(bench.sweep(COLLECT).await, 0);
    assert!(bench.has_blob("a", b"2").await);
    bench.collection().release(HOLD).await.unwrap();
    assert_eq!(bench.deletable().await.len(), 1);
    assert_eq!(bench.sweep(COLLECT).await, 1);
    assert_eq!(bench.deletable().await.len(), 2);
}

pub(crate) async fn a_hold_ends_by_itself_unless_it_is_renewed(make: MakeStores) {
    let bench = Bench::new(make).await;
    bench.blob("a", b"idle").await;
    bench.pass(DAY + SECOND);
    bench.mark(COLLECT).await;
    bench.collection().hold(HOLD).await.unwrap();
    bench.pass(HOUR - SECOND);
    assert_eq!(bench.sweep(COLLECT).await, 0);
    bench.collection().hold(HOLD).await.unwrap();
    bench.pass(HOUR - SECOND);
    assert_eq!(bench.sweep(COLLECT).await, 0);
    bench.pass(SECOND);
    assert_eq!(bench.sweep(COLLECT).await, 1);
}

pub(crate) async fn the_last_of_several_holds_counts(make: MakeStores) {
    let bench = Bench::new(make).await;
    bench.blob("a", b"idle").await;
    bench.pass(DAY + SECOND);
    bench.mark(COLLECT).await;
    let other = CollectionHold {
        id: [2; 16],
        ..HOLD
    };
    let endless = CollectionHold {
        id: [3; 16],
        lasting: Duration::MAX,
    };
    for hold in [HOLD, other, endless] {
        bench.collection().hold(hold).await.unwrap();
    }
    for released in [HOLD, HOLD, endless] {
        bench.collection().release(released).await.unwrap();
        assert_eq!(bench.sweep(COLLECT).await, 0);
    }
    bench.collection().release(other).await.unwrap();
    assert_eq!(bench.sweep(COLLECT).await, 1);
}
