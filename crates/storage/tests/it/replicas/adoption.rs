//! Adoption by one of several servers at a time.

use std::time::Duration;

use storage::distribution::{AdoptionCheck, AdoptionTurn, OngoingAdoption};
use storage::{Duty, DutyStore, Storage};

use super::super::data_directory::DataDirectory;
use super::super::world::{index, name};
use super::{Arc, Replicas};

#[tokio::test]
async fn one_server_reads_at_a_time_and_another_continues() {
    let (replicas, old) = (Replicas::new().await, DataDirectory::new());
    for number in 0..3 {
        old.manifest(&format!("team/r{number}"), &index(&[]), &["x"]);
    }
    let [here, there] = &replicas.storages;
    let begin = async |storage: &Storage| {
        let begun = storage.begin_adoption(old.path(), AdoptionCheck::Manifests);
        begun.await.unwrap()
    };
    let (first, second) = (begin(here).await, begin(there).await);
    let turn = async |storage: &Storage, adoption: &Arc<OngoingAdoption>| {
        let turn = storage.complete_adoption_in_turn(adoption, |_| {});
        turn.await.unwrap()
    };
    // Another server reads, and stops without a word.
    let duty = Duty {
        name: "adoption",
        every: Duration::ZERO,
        lease: Duration::from_secs(30),
    };
    replicas.metadata[0].take(&duty).await.unwrap().unwrap();
    let waits = turn(there, &second).await;
    assert!(matches!(waits, AdoptionTurn::Elsewhere), "{waits:?}");
    // What a client asks for is read at once.
    there.ensure_adopted(&name("team/r0")).await.unwrap();
    replicas.pass(duty.lease);
    let AdoptionTurn::Complete(report) = turn(there, &second).await else {
        panic!("the duty is free");
    };
    assert_eq!((report.of, report.tags), (3, 3));
    let over = turn(here, &first).await;
    assert!(matches!(over, AdoptionTurn::CompleteElsewhere), "{over:?}");
}
