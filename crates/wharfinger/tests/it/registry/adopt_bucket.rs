//! The bucket of a registry 2.8 or 3, adopted by a server with the same file and by the command, with
//! real writers, real clients, a slow store and a crash; and the way back.

use std::fs;
use std::path::Path;
use std::process::Command;

use oci::{Digest, DigestAlgorithm};
use peers::{
    Client, Fault, FaultProxy, Image, Output, RegistryConfig, RunningRegistry, Server,
    VersityGateway, crane, http, registry_of, registry2, registry3, run,
};
use serde_json::Value;
use storage::hash;
use tempfile::TempDir;

use super::layout::{Layout, image};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

type Start = fn(&RegistryConfig) -> RunningRegistry;

const REGISTRIES: [Start; 2] = [registry2, registry3];

/// Distribution's file with its data in the bucket, below `/old`.
fn distribution(gateway: &VersityGateway, host_port: &str, more: String) -> RegistryConfig {
    RegistryConfig {
        s3: Some(gateway.driver(host_port, "/old")),
        more,
        ..RegistryConfig::default()
    }
}

/// The same file for our server, which has a database, too.
fn ours(gateway: &VersityGateway, proxy: &FaultProxy, directory: &TempDir) -> RegistryConfig {
    let database = directory.path().join("w.db").display().to_string();
    let more = format!(
        "wharfinger: {{database: {{url: 'sqlite://{database}'}}, registry: {{gc: {{schedule: never}}}}}}\n"
    );
    distribution(gateway, proxy.host_port(), more)
}

fn push(crane: &Client, text: &str, reference: &str) -> String {
    let image = Image::saying(text);
    let layout = image.layout().display().to_string();
    crane
        .run(&["push", "--insecure", &layout, reference])
        .succeeded();
    image.digest().to_owned()
}

fn pull(crane: &Client, reference: &str, digest: &str) {
    let found = crane.run(&["digest", "--insecure", reference]);
    assert_eq!(found.succeeded().trim(), digest, "{reference}");
    let file = crane.home().join("pulled.tar").display().to_string();
    crane
        .run(&["pull", "--insecure", reference, &file])
        .succeeded();
}

fn wait_for_log(registry: &RunningRegistry, text: &str) {
    for _ in 0..600 {
        if registry.log().contains(text) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    panic!("never logged {text:?}:\n{}", registry.log());
}

/// A command, with the file of a server in `directory`.
fn command(directory: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    let (name, rest) = arguments.split_first().unwrap();
    let file = directory.join("config.yml");
    run(command.args(["registry", name]).arg(file).args(rest))
}

/// The requests that write below the other registry's data.
fn writes(proxy: &FaultProxy) -> Vec<String> {
    let mut seen = proxy.take_seen();
    seen.retain(|request| {
        let is_read = request.starts_with("GET ") || request.starts_with("HEAD ");
        !is_read && request.contains("/docker/")
    });
    seen
}

#[test]
fn a_registrys_bucket_is_served_by_the_same_file() {
    for start in REGISTRIES {
        let gateway = VersityGateway::start();
        let proxy = FaultProxy::start(gateway.host_port());
        let crane = crane();
        let old = start(&distribution(&gateway, gateway.host_port(), String::new()));
        let at =
            |registry: &RunningRegistry, name: &str| format!("{}/{name}", registry.host_port());
        let mut images = Vec::new();
        for (text, name) in [
            ("one", "library/app:1"),
            ("two", "library/app:2"),
            ("one", "other:x"),
        ] {
            images.push((name, push(&crane, text, &at(&old, name))));
        }
        push(&crane, "gone", &at(&old, "other:gone"));
        let gone = crane.run(&["digest", "--insecure", &at(&old, "other:gone")]);
        let gone = at(&old, &format!("other@{}", gone.succeeded().trim()));
        crane.run(&["delete", "--insecure", &gone]).succeeded();
        drop(old);
        let before = gateway.keys("old/docker/");

        let directory = tempfile::tempdir().unwrap();
        let config = ours(&gateway, &proxy, &directory);
        let server = registry_of(Path::new(PROGRAM), &config);
        for (name, digest) in &images {
            pull(&crane, &at(&server, name), digest);
        }
        wait_for_log(&server, "adopted;");
        assert_eq!(
            http::get(&server.url("/v2/other/manifests/gone")).status,
            404
        );
        let new = push(&crane, "new", &at(&server, "other:new"));
        // Its layer is another repository's, in the old bucket.
        let shared = push(&crane, "two", &at(&server, "third:2"));
        assert_eq!(writes(&proxy), [""; 0]);
        drop(server);
        assert_eq!(gateway.keys("old/docker/"), before);

        let server = registry_of(Path::new(PROGRAM), &config);
        images.push(("other:new", new));
        images.push(("third:2", shared));
        for (name, digest) in &images {
            pull(&crane, &at(&server, name), digest);
        }
        assert!(!server.log().contains("adopting"), "{}", server.log());
        let last = command(
            server.directory(),
            &["adopt", "s3://content/old", "--final"],
        );
        last.succeeded();
        drop(server);
        // What the old registry had is still its own.
        let old = start(&distribution(&gateway, gateway.host_port(), String::new()));
        pull(&crane, &at(&old, "library/app:1"), &images[0].1);
    }
}

/// Images by the hundred in a bucket, made behind the server's back.
fn many(gateway: &VersityGateway, repositories: usize) -> Vec<Digest> {
    let layout = Layout::new();
    let digests = (0..repositories).map(|number| {
        let name = format!("team{}/app{number}", number % 7);
        let config = layout.layer(&name, format!("{{\"n\":{number}}}").as_bytes());
        let length = format!("{{\"n\":{number}}}").len();
        layout.manifest(&name, image(&config, length).as_bytes(), "1")
    });
    let digests = digests.collect();
    copy_into(&layout, gateway);
    digests
}

/// Puts a data directory into the bucket.
fn copy_into(layout: &Layout, gateway: &VersityGateway) {
    let mut open = vec![layout.path().to_owned()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let key = path.strip_prefix(layout.path()).unwrap();
            let content = fs::read_to_string(&path).unwrap();
            gateway.write_file(&format!("old/{}", key.display()), &content);
        }
    }
}

#[test]
fn images_are_pulled_while_a_slow_bucket_is_read_and_a_kill_loses_nothing() {
    const REPOSITORIES: usize = 150;
    let gateway = VersityGateway::start();
    let digests = many(&gateway, REPOSITORIES);
    let proxy = FaultProxy::start(gateway.host_port());
    let directory = tempfile::tempdir().unwrap();
    let config = ours(&gateway, &proxy, &directory);
    let slow = || proxy.fail_all(Some(Fault::Delay(std::time::Duration::from_millis(40))));
    slow();
    for round in 0..3 {
        let server = registry_of(Path::new(PROGRAM), &config);
        // The last ones first: their turn would come later.
        let number = REPOSITORIES - 1 - round;
        let digest = digests[number];
        let url = format!("/v2/team{}/app{number}", number % 7);
        let found = http::get(&server.url(&format!("{url}/manifests/1")));
        assert_eq!(found.status, 200, "{}", server.log());
        assert_eq!(
            found.header("docker-content-digest"),
            Some(digest.to_string().as_str())
        );
        let content = format!("{{\"n\":{number}}}");
        let blob = hash::digest(DigestAlgorithm::Sha256, content.as_bytes());
        let found = http::get(&server.url(&format!("{url}/blobs/{blob}")));
        assert_eq!((found.status, found.body), (200, content));
        // SIGKILL.
    }
    proxy.fail_all(None);
    let server = registry_of(Path::new(PROGRAM), &config);
    wait_for_log(&server, "adopted;");
    for (number, digest) in digests.iter().enumerate() {
        let url = format!("/v2/team{}/app{number}/manifests/{digest}", number % 7);
        assert_eq!(http::get(&server.url(&url)).status, 200, "{number}");
    }
    assert_eq!(writes(&proxy), [""; 0]);
    let again = command(server.directory(), &["adopt", "s3://content/old", "--json"]);
    let report: Value = serde_json::from_str(again.succeeded()).unwrap();
    assert_eq!(report["repositories"], REPOSITORIES);
    assert_eq!(report["manifests"], REPOSITORIES);
    assert_eq!(report["problems"], Value::Array(Vec::new()));
}

#[test]
fn the_command_says_what_cannot_be_adopted() {
    let gateway = VersityGateway::start();
    let proxy = FaultProxy::start(gateway.host_port());
    let directory = tempfile::tempdir().unwrap();
    let config = ours(&gateway, &proxy, &directory);
    let server = registry_of(Path::new(PROGRAM), &config);
    let adopt = |data: &str| command(server.directory(), &["adopt", data]);
    let nothing = adopt("s3://content/nowhere");
    assert_eq!(nothing.status.code(), Some(2), "{nothing}");
    assert!(
        nothing
            .stderr
            .contains("name the bucket and the rootdirectory"),
        "{nothing}"
    );
    let no_url = adopt("s3://content/../x");
    assert!(
        no_url.stderr.contains("write s3://BUCKET/PREFIX"),
        "{no_url}"
    );
    let in_files = adopt(&directory.path().display().to_string());
    assert!(
        in_files.stderr.contains("if the registry stores files"),
        "{in_files}"
    );
    // And the other way round.
    let world = Server::start(
        Path::new(PROGRAM),
        &format!(
            "server: {{addr: '@addr@'}}\nregistry:\n  storage: {{filesystem: {{root: {}}}}}\n  auth: {{none: true}}\n",
            directory.path().join("files").display()
        ),
    );
    let mut program = Command::new(PROGRAM);
    let file = world.config();
    let refused = run(program
        .args(["registry", "adopt"])
        .arg(file)
        .arg("s3://content/old"));
    assert!(
        refused.stderr.contains("names a bucket of the same store"),
        "{refused}"
    );
}

#[test]
fn an_export_to_a_bucket_is_served_by_registry_2_and_3() {
    let gateway = VersityGateway::start();
    let proxy = FaultProxy::start(gateway.host_port());
    let crane = crane();
    let at = |host: &str, name: &str| format!("{host}/{name}");
    // An adopted image, one of our own, and a layer of several parts.
    let old = registry3(&distribution(&gateway, gateway.host_port(), String::new()));
    let adopted = push(&crane, "adopted", &at(&old.host_port(), "library/app:1"));
    drop(old);
    let directory = tempfile::tempdir().unwrap();
    let server = registry_of(Path::new(PROGRAM), &ours(&gateway, &proxy, &directory));
    let host = server.host_port();
    wait_for_log(&server, "adopted;");
    let new = push(&crane, "new", &at(&host, "team/app:new"));
    let large = directory.path().join("large.tar");
    let layer: Vec<u8> = (0..12_000_000_u32).map(|n| (n % 251) as u8).collect();
    fs::write(&large, layer).unwrap();
    let reference = at(&host, "team/large:1");
    let large = large.display().to_string();
    crane
        .run(&["append", "--insecure", "-f", &large, "-t", &reference])
        .succeeded();
    let digest = crane.run(&["digest", "--insecure", &reference]);
    let large = digest.succeeded().trim().to_owned();
    let images = [
        ("library/app:1", adopted),
        ("team/app:new", new),
        ("team/large:1", large),
    ];
    let target = |host_port: &str, root: &str| RegistryConfig {
        s3: Some(gateway.driver(host_port, root)),
        ..RegistryConfig::default()
    };
    let write = |config: RegistryConfig, name: &str| {
        let place = directory.path().join(name);
        fs::create_dir(&place).unwrap();
        config
            .write(&place, "127.0.0.1:0".parse().unwrap())
            .display()
            .to_string()
    };

    // Within the bucket, the store copies.
    let file = write(target(proxy.host_port(), "/back"), "back");
    proxy.take_seen();
    let exported = command(server.directory(), &["export", &file, "--json"]);
    let report: Value = serde_json::from_str(exported.succeeded()).unwrap();
    assert_eq!(report["directory"], "s3://content/back");
    assert_eq!(
        (&report["repositories"], &report["tags"]),
        (&Value::from(3), &Value::from(3))
    );
    let seen = proxy.take_seen();
    let read = |request: &String| request.starts_with("GET ") && request.contains("blobs/");
    assert!(!seen.iter().any(read), "{seen:#?}");
    // Again, and nothing is copied.
    command(server.directory(), &["export", &file]).succeeded();
    let seen = proxy.take_seen();
    let blobs = |request: &&String| request.starts_with("PUT ") && request.contains("/data");
    assert_eq!(
        seen.iter().filter(blobs).count(),
        3,
        "manifests only: {seen:#?}"
    );

    // With another address, it is another store: content passes through the command.
    let file = write(target(gateway.host_port(), "/far"), "far");
    command(server.directory(), &["export", &file]).succeeded();
    assert!(proxy.take_seen().iter().any(read));

    for (start, root) in [
        (registry2 as Start, "/back"),
        (registry3, "/far"),
        (registry3, "/back"),
    ] {
        let back = start(&target(gateway.host_port(), root));
        for (name, digest) in &images {
            pull(&crane, &at(&back.host_port(), name), digest);
        }
        let listed = crane.run(&["ls", "--insecure", &at(&back.host_port(), "team/app")]);
        assert_eq!(listed.succeeded().trim(), "new");
    }

    // Back to where it came from: only what is new is added.
    let before = gateway.keys("old/docker/");
    let file = write(target(proxy.host_port(), "/old"), "home");
    command(server.directory(), &["export", &file]).succeeded();
    let after = gateway.keys("old/docker/");
    assert!(before.iter().all(|key| after.contains(key)));
    let back = registry2(&target(gateway.host_port(), "/old"));
    for (name, digest) in &images {
        pull(&crane, &at(&back.host_port(), name), digest);
    }
}
