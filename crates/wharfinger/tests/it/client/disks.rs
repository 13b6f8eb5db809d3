//! What a transfer takes of a machine: memory, and a disk that has too little room.

use std::fs::{self, File};
use std::process::Command;
use std::thread;
use std::time::Duration;

use peers::{Image, RegistryConfig, Relay, registry3};

use super::runner::{User, code};

/// The large layer, in bytes, and the SHA-256 of so many zeros.
const LARGE: u64 = 2_000_000_000;
const ZEROS: &str = "2e0c654b6cba3a1e816726bae0eac481eb7fd0351633768c3c18392e0f02b619";
/// What it may take of memory, in KiB, beyond what a small image takes.
const MEMORY: u64 = 32 * 1024;

#[test]
fn a_layer_of_2_gb_takes_no_memory_though_the_line_breaks_every_few_megabytes() {
    let (registry, user) = (registry3(&RegistryConfig::default()), User::new());
    let (small, large) = (Image::saying("small"), layout_of_zeros(&user));
    let relay = Relay::breaking(&registry.host_port(), 5_000_000);
    let names =
        |relay: &Relay| ["small", "large"].map(|name| format!("{}/{name}:1", relay.host_port()));
    let [small_name, large_name] = names(&Relay::breaking(&registry.host_port(), u64::MAX));
    let idle = peak(
        &user,
        &[
            "push",
            "-q",
            &format!("oci:{}", small.layout().display()),
            &small_name,
        ],
    );
    let push = peak(&user, &["push", "-q", &format!("oci:{large}"), &large_name]);
    let [_, large_name] = names(&relay);
    let pull = peak(&user, &["pull", "-q", &large_name, "oci:pulled:1"]);
    assert!(relay.breaks() > 300, "{}", relay.breaks());
    assert!(
        push < idle + MEMORY,
        "a push took {push} KiB, an idle one {idle}"
    );
    assert!(
        pull < idle + MEMORY,
        "a pull took {pull} KiB, an idle one {idle}"
    );
    assert_eq!(
        fs::metadata(user.path(&format!("pulled/blobs/sha256/{ZEROS}")))
            .unwrap()
            .len(),
        LARGE
    );
}

/// A layout whose layer is nothing but zeros, which take no room on the disk.
fn layout_of_zeros(user: &User) -> String {
    let directory = user.path("zeros");
    fs::create_dir_all(format!("{directory}/blobs/sha256")).unwrap();
    let layer = format!("{directory}/layer");
    File::create(&layer).unwrap().set_len(LARGE).unwrap();
    let layer = blob(
        &directory,
        "application/vnd.oci.image.layer.v1.tar",
        &layer,
        ZEROS,
    );
    let written = |name: &str, content: String| {
        let path = format!("{directory}/{name}");
        fs::write(&path, content).unwrap();
        path
    };
    let config = written("config", "{}".to_owned());
    let config = blob(
        &directory,
        "application/vnd.oci.image.config.v1+json",
        &config,
        &hash(&config),
    );
    let manifest = format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#);
    let manifest = written("manifest", manifest);
    let manifest = blob(
        &directory,
        oci::media_type::OCI_MANIFEST,
        &manifest,
        &hash(&manifest),
    );
    written(
        "index.json",
        format!(r#"{{"schemaVersion":2,"manifests":[{manifest}]}}"#),
    );
    written("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#.to_owned());
    directory
}

fn hash(file: &str) -> String {
    peers::run(Command::new("sha256sum").arg(file)).succeeded()[..64].to_owned()
}

/// Puts a file among the blobs, and describes it.
fn blob(directory: &str, media_type: &str, file: &str, digest: &str) -> String {
    let size = fs::metadata(file).unwrap().len();
    fs::rename(file, format!("{directory}/blobs/sha256/{digest}")).unwrap();
    format!(r#"{{"mediaType":"{media_type}","digest":"sha256:{digest}","size":{size}}}"#)
}

/// The most memory that a command took until shortly before its end, in KiB.
fn peak(user: &User, arguments: &[&str]) -> u64 {
    let (mut running, mut peak) = (user.start(arguments), 0);
    while !running.has_ended() {
        let status =
            fs::read_to_string(format!("/proc/{}/status", running.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line.map_or(peak, |line| {
            line.split_whitespace().next().unwrap().parse().unwrap()
        });
        thread::sleep(Duration::from_millis(2));
    }
    let (code, said) = running.end();
    assert_eq!(code, Some(0), "{said}");
    peak
}

#[test]
fn a_full_disk_says_so_and_more_room_is_enough() {
    let (registry, user, image) = (
        registry3(&RegistryConfig::default()),
        User::new(),
        Image::saying(&"a".repeat(5_000_000)),
    );
    let name = format!("{}/app:1", registry.host_port());
    user.run(&[
        "push",
        "-q",
        &format!("oci:{}", image.layout().display()),
        &name,
    ])
    .succeeded();
    // A file system of its own, which goes with the shell.
    let script = "set -u; mkdir small; mount -t tmpfs -o size=3m none small
        $IT pull -q $NAME oci:small/out:1; echo \"code $?\"; find small/out/blobs small/out/index.json -type f
        $IT pull -q $NAME small/out.tar; echo \"code $?\"; ls small
        mount -o remount,size=20m small
        $IT pull -q $NAME oci:small/out:1; echo \"code $?\"; $IT push -q oci:small/out:1 $NAME-again";
    let mut command = user.command("unshare");
    command
        .args(["--mount", "sh", "-c", script])
        .env("IT", env!("CARGO_BIN_EXE_wharfinger"))
        .env("NAME", &name);
    let output = peers::run(&mut command);
    let lines: Vec<&str> = output.stdout.lines().collect();
    let full = lines
        .iter()
        .position(|line| *line == "code 3")
        .unwrap_or_else(|| panic!("{output}"));
    // The configuration may have arrived; the layer has not.
    assert!(
        lines[full + 1..]
            .iter()
            .take_while(|line| line.starts_with("small/out/"))
            .count()
            <= 1,
        "{output}"
    );
    assert_eq!(
        lines.iter().filter(|line| **line == "code 3").count(),
        2,
        "{output}"
    );
    assert!(
        output.stderr.contains("No space left on device")
            && output.stderr.contains("hint: the disk is full"),
        "{output}"
    );
    assert!(
        !lines.contains(&"out.tar") && !lines.contains(&"out.tar.unfinished"),
        "{output}"
    );
    assert!(lines.contains(&"code 0"), "{output}");
    assert_eq!(
        user.run(&["digest", &format!("{name}-again")]).succeeded(),
        image.digest()
    );
    assert_eq!(code(&output), 0, "{output}");
}
