//! Ctrl-C in the middle of a transfer: nothing that looks whole is left, and the same command again
//! goes on.

use std::fs;
use std::path::{Path, PathBuf};

use peers::{Image, RegistryConfig, Relay, registry2, registry3, wait_until};

use super::runner::{User, code};

/// How large the layers are, in bytes, and after how many the line falls silent.
const LARGE: usize = 20_000_000;
const SILENT: u64 = 6_000_000;

fn image() -> Image {
    Image::saying(&"all work and no play ".repeat(LARGE / 21))
}

fn layout(image: &Image) -> String {
    format!("oci:{}", image.layout().display())
}

/// Runs it over a line that falls silent, waits until `ready`, and then interrupts it.
fn interrupt(user: &User, relay: &Relay, arguments: &[&str], ready: impl Fn() -> bool) {
    let running = user.start(arguments);
    relay.wait_until_silent();
    wait_until(&ready);
    running.interrupt();
    let (code, said) = running.end();
    assert_eq!(code, Some(130), "{said}");
    assert!(said.ends_with("error: interrupted\n"), "{said}");
}

#[test]
fn a_pull_goes_on_where_it_ended() {
    let (registry, image, user) = (registry3(&RegistryConfig::default()), image(), User::new());
    let host = registry.host_port();
    user.run(&["push", "-q", &layout(&image), &format!("{host}/large:1")])
        .succeeded();
    let relay = Relay::stopping(&host, SILENT);
    let pull = [
        "pull",
        "-q",
        &format!("{}/large:1", relay.host_port()),
        "oci:out:1",
    ];
    // What is on the line when it falls silent has still to arrive.
    let unfinished = PathBuf::from(user.path("out/.wharfinger"));
    let arrived = || {
        fs::read_dir(&unfinished)
            .unwrap()
            .flatten()
            .map(|entry| entry.metadata().unwrap().len())
            .sum::<u64>()
    };
    interrupt(&user, &relay, &pull, || arrived() > SILENT - 500_000);
    let blobs = user.path("out/blobs/sha256");
    assert!(whole(Path::new(&blobs)) < 3, "not all of it was there yet");
    assert_eq!(user.file("out/index.json"), "");
    assert_eq!(
        code(&user.run(&["push", "-q", "oci:out:1", &format!("{host}/other:1")])),
        6
    );
    relay.mend();
    user.run(&pull).succeeded();
    assert!(
        relay.carried() < LARGE as u64 + 1_000_000,
        "what had come did not come again: {}",
        relay.carried()
    );
    assert_eq!(whole(Path::new(&blobs)), 3);
    assert!(!Path::new(&user.path("out/.wharfinger")).exists());

    let relay = Relay::stopping(&host, SILENT);
    let pull = [
        "pull",
        "-q",
        &format!("{}/large:1", relay.host_port()),
        "archive.tar",
    ];
    interrupt(&user, &relay, &pull, || true);
    let left: Vec<_> = fs::read_dir(user.path("."))
        .unwrap()
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert_eq!(left, ["out"], "nothing is left of half an archive");
}

#[test]
fn a_push_leaves_no_image_and_succeeds_the_next_time() {
    for registry in [
        registry2(&RegistryConfig::default()),
        registry3(&RegistryConfig::default()),
    ] {
        let (image, user, relay) = (
            image(),
            User::new(),
            Relay::stopping(&registry.host_port(), SILENT),
        );
        let name = format!("{}/large:1", registry.host_port());
        let push = [
            "push",
            "-q",
            &layout(&image),
            &format!("{}/large:1", relay.host_port()),
        ];
        interrupt(&user, &relay, &push, || true);
        assert_eq!(code(&user.run(&["digest", &name])), 6);
        relay.mend();
        user.run(&push).succeeded();
        assert_eq!(user.run(&["digest", &name]).succeeded(), image.digest());
    }
}

#[test]
fn a_copy_leaves_no_image_and_succeeds_the_next_time() {
    let (from, to) = (
        registry2(&RegistryConfig::default()),
        registry3(&RegistryConfig::default()),
    );
    let (image, user, relay) = (
        image(),
        User::new(),
        Relay::stopping(&to.host_port(), SILENT),
    );
    let (source, target) = (
        format!("{}/large:1", from.host_port()),
        format!("{}/large:1", to.host_port()),
    );
    user.run(&["push", "-q", &layout(&image), &source])
        .succeeded();
    let copy = [
        "copy",
        "-q",
        &source,
        &format!("{}/large:1", relay.host_port()),
    ];
    interrupt(&user, &relay, &copy, || true);
    assert_eq!(code(&user.run(&["digest", &target])), 6);
    relay.mend();
    user.run(&copy).succeeded();
    assert_eq!(user.run(&["digest", &target]).succeeded(), image.digest());
}

/// How many blobs there are, each of them what its name says.
fn whole(blobs: &Path) -> usize {
    let files: Vec<_> = fs::read_dir(blobs)
        .unwrap()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    for file in &files {
        let sum = peers::run(std::process::Command::new("sha256sum").arg(file));
        assert!(
            sum.succeeded()
                .starts_with(file.file_name().unwrap().to_str().unwrap()),
            "{sum}"
        );
    }
    files.len()
}
