//! What a crash, an end and a full disk leave of the events.

use peers::wait_until;

use super::{Audited, FLUSH};
use crate::personal_tokens::basic;
use crate::registry::transfers::disks::Disk;

#[test]
fn a_push_and_administration_that_were_acknowledged_are_recorded_whatever_happens() {
    // No record is written because of time.
    let mut audited = Audited::new("flush: 60s");
    let mut digests = Vec::new();
    for round in 0..4 {
        digests.push(audited.push("team/app", "latest", round));
        let name = format!("user{round}");
        audited
            .run_with_input(
                &["user", "add", "FILE", &name, "--password-stdin"],
                "sesame",
            )
            .succeeded();
        if round % 2 == 1 {
            let scope = "repository:team/app:delete";
            let path = format!("/v2/team/app/manifests/{}", digests[round]);
            assert_eq!(
                audited
                    .send(("DELETE", &path), &audited.admin(scope), "")
                    .status,
                202
            );
        }
        audited.server.kill();
        audited = audited.restart();
    }
    let digest_of = |events: Vec<serde_json::Value>| {
        let digests = events
            .iter()
            .map(|event| event["digest"].as_str().unwrap().to_owned());
        digests.collect::<Vec<_>>()
    };
    assert_eq!(
        digest_of(audited.wait_for("manifest_pushed", 4)),
        digests,
        "each once, in their order"
    );
    assert_eq!(
        digest_of(audited.wait_for("manifest_deleted", 2)),
        [digests[1].clone(), digests[3].clone()]
    );
    assert_eq!(audited.wait_for("tag_moved", 4).len(), 4);
    assert_eq!(audited.events("administration").len(), 4);
    assert!(
        audited.events("token_issued").is_empty(),
        "what waited for a minute is lost"
    );
    // A server that is ended writes all.
    assert_eq!(
        audited.pull(
            &audited.admin("repository:team/app:pull"),
            "team/app",
            &digests[0]
        ),
        200
    );
    audited.server.terminate();
    assert_eq!(audited.events("manifest_pulled").len(), 1);
    assert_eq!(audited.events("manifest_pushed").len(), 4);
}

#[test]
fn a_full_disk_blocks_no_pull_and_its_events_are_recorded_later() {
    let (disk, folder) = (Disk::new(24), tempfile::tempdir().unwrap());
    let mut audited = Audited::with_database(folder, &disk.path(), FLUSH);
    audited.push("team/app", "1", 1);
    let bearer = audited.admin("repository:team/app:pull");
    audited.wait_for("token_issued", 2);
    let filler = disk.fill();
    // Before it is noticed, there may be some room in what SQLite has.
    let mut pulls = 0;
    while !audited
        .server
        .log()
        .contains("the audit table cannot be written")
    {
        for _ in 0..50 {
            assert_eq!(audited.pull(&bearer, "team/app", "1"), 200);
            pulls += 1;
            // Equal pulls are counted in one record; each token has its own.
            audited.login(&basic("eve", "badmin"), "");
        }
    }
    for _ in 0..50 {
        assert_eq!(audited.pull(&bearer, "team/app", "1"), 200);
        pulls += 1;
    }
    std::fs::remove_file(filler).unwrap();
    let recorded = || -> u64 {
        let events = audited.events("manifest_pulled");
        events
            .iter()
            .map(|event| event["count"].as_u64().unwrap_or(1))
            .sum()
    };
    wait_until(|| recorded() >= pulls);
    assert_eq!(recorded(), pulls);
    assert!(audited.events("events_lost").is_empty());
    audited.server.terminate();
}
