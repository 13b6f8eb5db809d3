//! Before and after the row of a manifest.

use peers::Signal;

use super::{OTHER, Scene, VICTIM, digest, image_of};

const CONFIG: &[u8] = b"{}";
const LAYER: &[u8] = b"a layer of an image";
const PATH: &str = "/v2/app/manifests/latest";

/// A replica that is about to answer a push of an image, and the image.
fn with_blobs() -> (Scene, String) {
    let scene = Scene::start();
    for content in [CONFIG, LAYER] {
        scene.push_blob(VICTIM, content);
    }
    (scene, image_of(CONFIG, LAYER))
}

#[test]
fn killed_before_a_manifest_is_committed() {
    let (mut scene, image) = with_blobs();
    let held = scene.database.hold_statement("push_with_tags_1");
    let sent = scene.ask_later(VICTIM, "PUT", PATH, image.as_bytes());
    held.wait_until_reached();
    scene.kill();
    held.discard();
    assert!(sent.join().unwrap().is_err());
    assert_eq!(scene.ask(OTHER, "GET", PATH, b"").status, 404);
    let pushed = scene.ask(OTHER, "PUT", PATH, image.as_bytes());
    assert_eq!(pushed.status, 201, "{pushed:?}");
    scene.require_whole(&[CONFIG, LAYER]);
}

#[test]
fn killed_when_a_manifest_is_committed_and_the_client_does_not_know() {
    let (mut scene, image) = with_blobs();
    // From now on, the other replica remembers that the manifest is missing.
    assert_eq!(scene.ask(OTHER, "GET", PATH, b"").status, 404);
    let held = scene.database.hold_answer("push_with_tags_1");
    let sent = scene.ask_later(VICTIM, "PUT", PATH, image.as_bytes());
    held.wait_until_reached();
    scene.kill();
    held.discard();
    assert!(sent.join().unwrap().is_err());
    let found = scene.ask(OTHER, "GET", PATH, b"");
    assert_eq!((found.status, found.body), (200, image.into_bytes()));
    scene.require_whole(&[CONFIG, LAYER]);
}

#[test]
fn killed_when_a_manifest_is_removed_and_the_client_does_not_know() {
    let (mut scene, image) = with_blobs();
    let pushed = scene.ask(VICTIM, "PUT", PATH, image.as_bytes());
    assert_eq!(pushed.status, 201, "{pushed:?}");
    assert_eq!(scene.ask(OTHER, "GET", PATH, b"").status, 200);
    let held = scene.database.hold_answer("remove_with_tags_1");
    let manifest = format!("/v2/app/manifests/{}", digest(image.as_bytes()));
    let sent = scene.ask_later(VICTIM, "DELETE", &manifest, b"");
    held.wait_until_reached();
    scene.kill();
    held.discard();
    assert!(sent.join().unwrap().is_err());
    assert_eq!(scene.ask(OTHER, "GET", PATH, b"").status, 404);
    // The client repeats it.
    assert_eq!(scene.ask(OTHER, "DELETE", &manifest, b"").status, 404);
    scene.require_whole(&[]);
}

/// What the manifest needs is removed before its statement runs.
#[test]
fn paused_before_a_manifest_is_committed_while_its_blobs_are_collected() {
    let (mut scene, image) = with_blobs();
    let held = scene.database.hold_statement("push_with_tags_1");
    let sent = scene.ask_later(VICTIM, "PUT", PATH, image.as_bytes());
    held.wait_until_reached();
    scene.replicas.servers[VICTIM].signal(Signal::Stop);
    scene.collect();
    assert_eq!(scene.head(OTHER, &digest(LAYER)), 404);
    held.resume();
    scene.replicas.servers[VICTIM].signal(Signal::Continue);
    let refused = sent.join().unwrap();
    let is_refused = refused.as_ref().map_or(true, |answer| answer.status >= 400);
    assert!(is_refused, "{refused:?}\n{}", scene.replicas.logs());
    assert_eq!(scene.ask(OTHER, "GET", PATH, b"").status, 404);
    scene.kill();
    scene.require_whole(&[]);
}
