//! `wharfinger registry backup`: a server that starts from a copy of one moment.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use peers::{Image, Server, http};
use serde_json::{Value, json};

use super::world::{World, pulls, push};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

#[test]
fn a_backup_serves_what_was_there_when_it_was_made() {
    let mut world = World::serving();
    let image = Image::saying("before the backup");
    world.push(&image, "app:1");
    let made = world.json("backup", &[&world.path("copy")]);
    assert_eq!(
        (&made["blobs"], &made["unsettled"]),
        (&json!(2), &json!([]))
    );
    let late = Image::saying("after the backup");
    world.push(&late, "app:2");

    let refused = world.run("backup", &[&world.path("copy")]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        refused
            .stderr
            .contains("exists already and is not overwritten"),
        "{refused}"
    );

    let address = world.server().host_port();
    world.stop();
    fs::remove_dir_all(world.root()).unwrap();
    let config = fs::read_to_string(made["configuration"].as_str().unwrap()).unwrap();
    assert!(
        config.contains(&address) && !config.contains(&world.path("data")),
        "{config}"
    );
    let config = config.replace("${config_dir}", &world.path("copy"));
    let restored = Server::start(Path::new(PROGRAM), &config.replace(&address, "@addr@"));
    pulls(&restored.host_port(), "app:1", &image);
    assert_eq!(http::get(&restored.url("/v2/app/manifests/2")).status, 404);
}

#[test]
fn a_backup_made_during_pushes_is_of_one_moment() {
    let world = World::serving();
    let (host, made) = (world.server().host_port(), AtomicBool::new(false));
    let (began, pushes) = mpsc::channel();
    let (copy, pushed) = std::thread::scope(|scope| {
        let pusher = scope.spawn(|| {
            let mut images = Vec::new();
            while !made.load(Ordering::SeqCst) {
                let image = Image::saying(&format!("number {}", images.len()));
                push(&image, &host, &format!("many:{}", images.len()));
                images.push(image);
                let _ = began.send(());
            }
            images
        });
        (0..3).for_each(|_| pushes.recv().unwrap());
        let copy = world.json("backup", &[&world.path("copy")]);
        made.store(true, Ordering::SeqCst);
        (copy, pusher.join().unwrap())
    });
    let config = fs::read_to_string(copy["configuration"].as_str().unwrap()).unwrap();
    let config = config.replace("${config_dir}", &world.path("copy"));
    let restored = Server::start(Path::new(PROGRAM), &config.replace(&host, "@addr@"));
    let list: Value =
        serde_json::from_str(&http::get(&restored.url("/v2/many/tags/list")).body).unwrap();
    let tags = list["tags"].as_array().unwrap();
    // In the order in which they were pushed none is missing, and each is whole.
    assert!((3..=pushed.len()).contains(&tags.len()), "{tags:?}");
    for (tag, image) in pushed.iter().enumerate().take(tags.len()) {
        pulls(&restored.host_port(), &format!("many:{tag}"), image);
    }
}
