//! Between the steps of a collection.

use std::process::Child;
use std::thread;
use std::time::Duration;

use peers::{Breakpoint, Fault};

use super::{OTHER, Scene, VICTIM, digest, image_of};

const CONFIG: &[u8] = b"{}";
const LAYER: &[u8] = b"a layer that nothing refers to";
const PATH: &str = "/v2/app/manifests/latest";
/// A little more than the grace.
const IDLE: Duration = Duration::from_millis(1500);

/// Two blobs that nothing refers to.
fn with_garbage() -> Scene {
    let scene = Scene::start();
    for content in [CONFIG, LAYER] {
        scene.push_blob(VICTIM, content);
    }
    thread::sleep(IDLE);
    scene
}

/// A collection that has come to this step.
fn collector_at(scene: &Scene, held: &Breakpoint) -> Child {
    let mut collector = scene.collect_later();
    for _ in 0..100 {
        if held.is_reached_within(IDLE) {
            return collector;
        }
        // A database on a busy machine may not answer in time, and the command ends.
        if collector.try_wait().unwrap().is_some() {
            collector = scene.collect_later();
        }
    }
    panic!("no collection came to this step");
}

/// A collection that was killed at this step.
fn collector_killed_at(scene: &Scene, held: &Breakpoint) {
    let mut collector = collector_at(scene, held);
    collector.kill().unwrap();
    collector.wait().unwrap();
    held.discard();
}

/// A push makes the marked blobs live again.
#[test]
fn killed_between_mark_and_sweep() {
    let mut scene = with_garbage();
    let held = scene.database.hold_statement("set_horizons_1");
    collector_killed_at(&scene, &held);
    let image = image_of(CONFIG, LAYER);
    let pushed = scene.ask(OTHER, "PUT", PATH, image.as_bytes());
    assert_eq!(pushed.status, 201, "{pushed:?}");
    scene.kill();
    scene.require_whole(&[CONFIG, LAYER]);
}

#[test]
fn killed_between_mark_and_sweep_without_a_push() {
    let mut scene = with_garbage();
    let held = scene.database.hold_answer("mark_blobs_1");
    collector_killed_at(&scene, &held);
    // A marked blob is still served.
    scene.has(OTHER, LAYER);
    scene.kill();
    scene.require_whole(&[]);
}

/// A push that comes between the mark and the sweep of one collection keeps its blobs.
#[test]
fn paused_between_mark_and_sweep_while_an_image_is_pushed() {
    let mut scene = with_garbage();
    let held = scene.database.hold_statement("sweep_blobs_1");
    let mut collector = collector_at(&scene, &held);
    let image = image_of(CONFIG, LAYER);
    let pushed = scene.ask(OTHER, "PUT", PATH, image.as_bytes());
    assert_eq!(pushed.status, 201, "{pushed:?}");
    held.resume();
    collector.wait().unwrap();
    scene.has(OTHER, LAYER);
    scene.kill();
    scene.require_whole(&[CONFIG, LAYER]);
}

/// Blobs that are to be removed from the store, and are pushed again before a collection continues.
fn killed_while_objects_are_removed(hold: impl FnOnce(&Scene) -> Breakpoint) {
    let mut scene = with_garbage();
    scene.collect();
    assert_eq!(scene.head(OTHER, &digest(LAYER)), 404);
    scene.let_a_day_pass();
    let held = hold(&scene);
    collector_killed_at(&scene, &held);
    scene.push_blob(OTHER, LAYER);
    scene.push_blob(OTHER, CONFIG);
    let image = image_of(CONFIG, LAYER);
    let pushed = scene.ask(OTHER, "PUT", PATH, image.as_bytes());
    assert_eq!(pushed.status, 201, "{pushed:?}");
    scene.kill();
    scene.require_whole(&[CONFIG, LAYER]);
}

#[test]
fn killed_between_the_end_of_a_row_and_that_of_its_object() {
    killed_while_objects_are_removed(|scene| {
        let held = Breakpoint::default();
        let fault = Fault::Hold(held.clone());
        scene.replicas.proxy.fail("?delete", 0, fault);
        held
    });
}

#[test]
fn killed_between_the_removal_of_an_object_and_the_end_of_its_row() {
    killed_while_objects_are_removed(|scene| {
        scene
            .database
            .hold_statement("DELETE FROM blobs WHERE generation = ANY")
    });
}
