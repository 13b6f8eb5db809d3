//! Between the content of a blob and its row.

use peers::Signal;

use super::{OTHER, Scene, VICTIM, digest, location, with_digest};

const CONTENT: &[u8] = b"the content of a layer";

#[test]
fn killed_when_the_object_is_stored_and_its_row_is_not() {
    let mut scene = Scene::start();
    let held = scene.database.hold_statement("commit_blob_1");
    let end = with_digest(&scene.upload(VICTIM), &digest(CONTENT));
    let sent = scene.ask_later(VICTIM, "PUT", &end, CONTENT);
    held.wait_until_reached();
    assert_eq!(scene.objects().len(), 1);
    scene.kill();
    held.discard();
    assert!(sent.join().unwrap().is_err());
    assert_eq!(scene.head(OTHER, &digest(CONTENT)), 404);
    // The client begins again.
    scene.push_blob(OTHER, CONTENT);
    scene.tag(CONTENT);
    scene.require_whole(&[CONTENT]);
}

#[test]
fn killed_when_the_row_is_committed_and_the_client_does_not_know() {
    let mut scene = Scene::start();
    let held = scene.database.hold_answer("commit_blob_1");
    let end = with_digest(&scene.upload(VICTIM), &digest(CONTENT));
    let sent = scene.ask_later(VICTIM, "PUT", &end, CONTENT);
    held.wait_until_reached();
    scene.kill();
    held.discard();
    assert!(sent.join().unwrap().is_err());
    assert_eq!(scene.head(OTHER, &digest(CONTENT)), 200);
    scene.push_blob(OTHER, CONTENT);
    scene.tag(CONTENT);
    scene.require_whole(&[CONTENT]);
}

#[test]
fn killed_when_all_parts_are_joined_and_there_is_no_row() {
    let mut scene = Scene::start();
    let content: Vec<u8> = (0..3 << 20).flat_map(u32::to_be_bytes).collect();
    let (first, rest) = content.split_at(7 << 20);
    let patched = scene.ask(VICTIM, "PATCH", &scene.upload(VICTIM), first);
    assert_eq!(patched.status, 202, "{patched:?}");
    let held = scene.database.hold_statement("commit_blob_1");
    let end = with_digest(&location(&patched), &digest(&content));
    let sent = scene.ask_later(VICTIM, "PUT", &end, rest);
    held.wait_until_reached();
    assert_eq!(scene.replicas.gateway.multipart_uploads(), 0);
    scene.kill();
    held.discard();
    assert!(sent.join().unwrap().is_err());
    // The same request succeeds when the lease has ended.
    let put = scene.continue_upload(OTHER, "PUT", &end, rest);
    assert_eq!(put.status, 201, "{put:?}\n{}", scene.replicas.logs());
    scene.tag(&content);
    scene.require_whole(&[&content]);
}

#[test]
fn killed_when_a_part_is_stored_and_its_checkpoint_is_not() {
    let mut scene = Scene::start();
    let held = scene.database.hold_statement("record_upload_1");
    let upload = scene.upload(VICTIM);
    let sent = scene.ask_later(VICTIM, "PATCH", &upload, &CONTENT[..10]);
    held.wait_until_reached();
    scene.kill();
    held.discard();
    assert!(sent.join().unwrap().is_err());
    let patched = scene.continue_upload(OTHER, "PATCH", &upload, &CONTENT[..10]);
    assert_eq!(
        patched.status,
        202,
        "{patched:?}\n{}",
        scene.replicas.logs()
    );
    let end = with_digest(&location(&patched), &digest(CONTENT));
    let put = scene.ask(OTHER, "PUT", &end, &CONTENT[10..]);
    assert_eq!(put.status, 201, "{put:?}");
    scene.tag(CONTENT);
    scene.require_whole(&[CONTENT]);
}

/// What a replica stored before it was paused is no part of an upload that another one has continued.
#[test]
fn paused_before_a_checkpoint_while_another_replica_continues() {
    let scene = Scene::start();
    let held = scene.database.hold_statement("record_upload_1");
    let upload = scene.upload(VICTIM);
    let sent = scene.ask_later(VICTIM, "PATCH", &upload, b"what is not acknowledged");
    held.wait_until_reached();
    scene.replicas.servers[VICTIM].signal(Signal::Stop);
    let patched = scene.continue_upload(OTHER, "PATCH", &upload, &CONTENT[..10]);
    assert_eq!(
        patched.status,
        202,
        "{patched:?}\n{}",
        scene.replicas.logs()
    );
    held.resume();
    scene.replicas.servers[VICTIM].signal(Signal::Continue);
    let refused = sent.join().unwrap();
    let is_refused = refused.as_ref().map_or(true, |answer| answer.status >= 400);
    assert!(is_refused, "{refused:?}\n{}", scene.replicas.logs());
    let end = with_digest(&location(&patched), &digest(CONTENT));
    let put = scene.continue_upload(OTHER, "PUT", &end, &CONTENT[10..]);
    assert_eq!(put.status, 201, "{put:?}\n{}", scene.replicas.logs());
    scene.has(OTHER, CONTENT);
    let mut scene = scene;
    scene.kill();
    scene.tag(CONTENT);
    scene.require_whole(&[CONTENT]);
}
