//! What the commands select, refuse and record.

use super::{Audited, FLUSH};
use crate::personal_tokens::basic;

#[test]
fn an_unknown_event_is_refused_with_all_kinds() {
    let audited = Audited::new(FLUSH);
    for command in [
        &["audit", "list", "FILE", "--event", "manifest_puled"][..],
        &["audit", "export", "FILE", "--event", "manifest_puled"],
        &["audit", "what", "FILE", "eve", "--event", "manifest_puled"],
    ] {
        let refused = audited.run(command);
        assert_eq!(refused.status.code(), Some(2), "{refused}");
        assert!(
            refused
                .stderr
                .contains("there is no event `manifest_puled`: use token_issued, ")
                && refused.stderr.contains(", administration or events_lost"),
            "{refused}"
        );
    }
    let known = ["audit", "list", "FILE", "--event", "administration"];
    audited.run(&known).succeeded();
}

#[test]
fn an_export_has_the_filters_of_a_list() {
    let audited = Audited::new(FLUSH);
    audited.push("team/app", "1", 1);
    audited.push("team/other", "1", 2);
    audited.login(&basic("eve", "badmin"), "");
    audited.wait_for("manifest_pushed", 2);
    let count = |words: &[&str]| {
        let words = [&["audit", "export", "FILE"], words].concat();
        audited.run(&words).succeeded().lines().count()
    };
    let pushes = ["--event", "manifest_pushed"];
    assert_eq!(count(&pushes), 2);
    let one = ["--repository", "team/app"];
    assert_eq!(count(&[&pushes[..], &one].concat()), 1);
    // It is written a little later.
    while count(&["--account", "eve", "--event", "login_accepted"]) == 0 {}
    assert_eq!(
        count(&["--account", "eve", "--event", "manifest_pushed"]),
        0
    );
}

#[test]
fn a_collection_by_the_command_is_recorded() {
    let audited = Audited::new(FLUSH);
    audited.run(&["registry", "gc", "FILE"]).succeeded();
    let events = audited.events("collection");
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["blobs"], 0);
    let list = ["audit", "list", "FILE", "--event", "collection"];
    let listed = audited.run(&list);
    let expected = "removed 0 manifests, 0 blobs, 0 uploads: 0 bytes";
    assert!(listed.succeeded().contains(expected), "{listed}");
    audited
        .run(&["registry", "gc", "FILE", "--dry-run"])
        .succeeded();
    assert_eq!(audited.events("collection").len(), 1);
}
