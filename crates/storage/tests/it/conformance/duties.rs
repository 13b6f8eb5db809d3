//! Work that is done again and again, by one server for all.

use std::time::Duration;

use storage::Duty;

use super::bench::{Bench, HOUR, MakeStores, SECOND};

const WORK: Duty = Duty {
    name: "work",
    every: HOUR,
    lease: Duration::from_secs(60),
};

pub(crate) async fn work_is_due_again_after_its_period(make: MakeStores) {
    let bench = Bench::new(make).await;
    let (here, there) = (bench.duties(), bench.other_handle());
    let lease = here.take(&WORK).await.unwrap().unwrap();
    here.renew(&lease).await.unwrap();
    here.finish(lease).await.unwrap();
    bench.pass(HOUR - SECOND);
    for duties in [here, there.duties()] {
        assert_eq!(duties.take(&WORK).await.unwrap(), None);
    }
    let other = Duty {
        name: "other",
        ..WORK
    };
    assert!(here.take(&other).await.unwrap().is_some(), "not done yet");
    bench.pass(SECOND);
    let lease = there.duties().take(&WORK).await.unwrap().unwrap();
    there.duties().finish(lease).await.unwrap();
    assert_eq!(here.take(&WORK).await.unwrap(), None);
}

pub(crate) async fn work_that_failed_is_due(make: MakeStores) {
    let bench = Bench::new(make).await;
    let duties = bench.duties();
    for _ in 0..2 {
        let lease = duties.take(&WORK).await.unwrap().unwrap();
        duties.give_up(lease).await.unwrap();
    }
    let lease = duties.take(&WORK).await.unwrap().unwrap();
    duties.finish(lease).await.unwrap();
    bench.pass(HOUR);
    let lease = duties.take(&WORK).await.unwrap().unwrap();
    duties.give_up(lease).await.unwrap();
    assert!(duties.take(&WORK).await.unwrap().is_some());
}
