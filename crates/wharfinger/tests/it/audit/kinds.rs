//! Each kind of event, as real clients cause it.

use peers::{Image, crane};
use serde_json::Value;

use super::{Audited, FLUSH};
use crate::e2e::world::crane_login;
use crate::personal_tokens::basic;

/// Causes an event of each kind. Returns the personal token that the last pull was made with.
fn cause_each_kind(audited: &Audited) -> Value {
    let (host, client) = (audited.server.host_port(), crane());
    crane_login(&client, ("admin", "badmin"), &host);
    let image = Image::saying("audited");
    let tar = audited.folder.path().join("pulled.tar");
    let folder = image.layout();
    let reference = format!("{host}/team/app:1");
    client
        .run(&["push", folder.to_str().unwrap(), &reference])
        .succeeded();
    client
        .run(&["pull", &reference, tar.to_str().unwrap()])
        .succeeded();
    client
        .run(&["copy", &reference, &format!("{host}/team/copy:1")])
        .succeeded();
    client.run(&["catalog", &host]).succeeded();
    audited.push("team/app", "1", 1);
    let digest = audited.push("team/app", "2", 2);
    let bearer = audited.admin("repository:team/app:delete,pull");
    assert_eq!(
        audited
            .send(("DELETE", "/v2/team/app/manifests/2"), &bearer, "")
            .status,
        202
    );
    let path = format!("/v2/team/app/manifests/{digest}");
    assert_eq!(audited.send(("DELETE", &path), &bearer, "").status, 202);
    let login = audited.login(&basic("eve", "badmin"), "offline_token=true&client_id=c");
    assert_eq!(login.status, 200);
    assert_eq!(audited.login(&basic("eve", "wrong"), "").status, 401);
    assert_eq!(
        audited.pull(
            &audited.bearer(&basic("eve", "badmin"), "repository:team/app:pull"),
            "team/app",
            "1"
        ),
        403
    );
    let create = [
        "personal-token",
        "create",
        "FILE",
        "--user",
        "admin",
        "--name",
        "laptop",
        "--unlimited",
        "--json",
    ];
    let created: Value = serde_json::from_str(audited.run(&create).succeeded()).unwrap();
    let secret = created["secret"].as_str().unwrap();
    let bearer = audited.bearer(&basic("", secret), "repository:team/app:pull");
    assert_eq!(audited.pull(&bearer, "team/app", "1"), 200);
    created
}

#[test]
fn each_kind_is_recorded_with_who_caused_it() {
    let audited = Audited::new(FLUSH);
    let created = cause_each_kind(&audited);
    for kind in [
        "token_issued",
        "token_refused",
        "login_accepted",
        "login_refused",
        "session_begun",
        "access_refused",
        "manifest_pulled",
        "manifest_pushed",
        "manifest_deleted",
        "tag_moved",
        "tag_deleted",
        "blob_pulled",
        "blob_pushed",
        "catalog_read",
        "administration",
    ] {
        let events = audited.wait_for(kind, 1);
        for event in events.iter().filter(|_| kind != "administration") {
            assert_eq!(event["address"], "127.0.0.1", "{event}");
            assert!(
                event["request_id"].is_string() && event["user_agent"].is_string(),
                "{event}"
            );
            assert!(
                event["account"] == "admin" || event["account"] == "eve",
                "{event}"
            );
        }
    }
    let by_token = loop {
        let pulled = audited.events("manifest_pulled");
        let found = pulled
            .iter()
            .find(|event| event["personal_token"].is_string());
        if let Some(found) = found {
            break found.clone();
        }
    };
    assert_eq!(
        (&by_token["personal_token"], &by_token["account"]),
        (&created["id"], &"admin".into())
    );
    let issued = audited.events("token_issued");
    let last = issued.last().unwrap();
    assert_eq!(
        (&last["personal_token"], &last["grant"]),
        (&created["id"], &"personal_token".into())
    );
    assert!(last["rules"].as_str().unwrap().contains(".yml:"), "{last}");
    let moved = audited.events("tag_moved");
    assert!(
        moved.iter().any(|event| event["from"].is_string()),
        "{moved:?}"
    );
    let administration = &audited.events("administration")[0];
    assert_eq!(
        (&administration["action"], &administration["origin"]),
        (&"personal_token.create".into(), &"command".into())
    );
    let all = audited.run(&["audit", "export", "FILE"]);
    let secret = created["secret"].as_str().unwrap();
    assert!(!all.succeeded().contains(secret) && !all.succeeded().contains("badmin"));
}

#[test]
fn what_is_personal_can_be_hashed_or_left_out() {
    for (how, finds) in [("hash", true), ("omit", false)] {
        let audited = Audited::new(&format!("{FLUSH}, accounts: {how}, addresses: {how}"));
        audited.push("public/app", "1", 1);
        assert_eq!(
            audited.pull(
                &audited.bearer(&basic("eve", "badmin"), "repository:public/app:pull"),
                "public/app",
                "1"
            ),
            200
        );
        audited.wait_for("manifest_pulled", 1);
        audited.wait_for("manifest_pushed", 1);
        let all = audited.run(&["audit", "export", "FILE"]);
        for personal in ["\"admin\"", "\"eve\"", "127.0.0.1", "by-hand"] {
            assert!(!all.succeeded().contains(personal), "{personal}: {all}");
        }
        let what = audited.run(&[
            "audit",
            "what",
            "FILE",
            "eve",
            "--event",
            "manifest_pulled",
            "--json",
        ]);
        if finds {
            assert_eq!(what.succeeded().lines().count(), 1, "{what}");
            let other = audited.run(&["audit", "what", "FILE", "mallory"]);
            assert_eq!(other.succeeded().lines().count(), 1, "{other}");
        } else {
            assert!(
                what.refused()
                    .contains("the names of accounts are not recorded"),
                "{what}"
            );
        }
        let file = audited.file();
        let file = file.to_str().unwrap();
        let diff = audited.run(&["policy", "diff", file, file, file, "--requests", "database"]);
        assert!(
            diff.refused()
                .contains("the names of accounts are not recorded"),
            "{diff}"
        );
    }
}
