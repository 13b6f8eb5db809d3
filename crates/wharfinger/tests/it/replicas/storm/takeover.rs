//! How long it takes until another replica, or another database server, continues. The times are printed, and
//! not required: `scripts/soak --takeover` shows them.

use std::thread;
use std::time::{Duration, Instant};

use super::World;
use super::database::Step;
use crate::replicas::image::digest;
use crate::replicas::wire::{self, BYTES, location, with_digest};

/// Collects as often as the configuration allows.
const REGISTRY: &str = "  auth: {none: true}\n  gc: {schedule: 1m, grace: 1s}\n";
const CONTENT: &[u8] = b"the content of a layer";
/// Much longer than all that is waited for here.
const PATIENCE: Duration = Duration::from_secs(150);
const INTERVAL: Duration = Duration::from_millis(20);

/// How long until `probe` returns `true`.
fn time_until(what: &str, mut probe: impl FnMut() -> bool) {
    let start = Instant::now();
    while !probe() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        thread::sleep(INTERVAL);
    }
    println!("{what}: {:.1} s", start.elapsed().as_secs_f64());
}

/// The status of a request, if there is an answer.
fn status(address: &str, method: &str, path: &str, body: &[u8]) -> Option<u16> {
    let answer = wire::send(address, method, path, BYTES, body).ok()?;
    Some(answer.status)
}

fn begin_upload(address: &str) -> Option<String> {
    let begun = wire::send(address, "POST", "/v2/app/blobs/uploads/", BYTES, b"").ok()?;
    (begun.status == 202).then(|| location(&begun))
}

/// Whether a blob can be pushed.
fn pushes(address: &str, content: &str) -> bool {
    let end = begin_upload(address).map(|upload| with_digest(&upload, &digest(content.as_bytes())));
    end.is_some_and(|end| status(address, "PUT", &end, content.as_bytes()) == Some(201))
}

fn fence_of_collection(world: &World) -> String {
    let sql = "SELECT fence FROM duties WHERE name = 'collection'";
    world.replicas.postgres.run("wharfinger", sql)
}

#[test]
fn takeover_times() {
    let mut world = World::start(1, REGISTRY);
    world.replicas.wait_until_ready();
    let victim = world.replicas.servers[0].host_port();
    // The first replica collects, and has an upload, when it is killed.
    let collects = world.hosts.hold(0, Step::Before("mark_blobs_1"));
    collects.wait_until_reached();
    let config = world.config(1, REGISTRY);
    world.replicas.add(&config);
    world.replicas.wait_until_ready();
    let other = world.replicas.servers[1].host_port();
    let upload = begin_upload(&victim).unwrap();
    let end = with_digest(&upload, &digest(CONTENT));
    let writes = world.hosts.hold(0, Step::Before("record_upload_1"));
    let sent = {
        let (victim, upload) = (victim.clone(), upload.clone());
        thread::spawn(move || status(&victim, "PATCH", &upload, CONTENT))
    };
    writes.wait_until_reached();
    let fence = fence_of_collection(&world);
    world.replicas.servers[0].kill();
    writes.discard();
    collects.discard();
    assert_eq!(sent.join().unwrap(), None);
    let killed = Instant::now();
    time_until(
        "a replica is killed: its upload ends at another one",
        || status(&other, "PUT", &end, CONTENT) == Some(201),
    );
    time_until("… and then another one collects", || {
        fence_of_collection(&world) != fence
    });
    println!("… together {:.1} s", killed.elapsed().as_secs_f64());

    world.replicas.servers[0].start_again();
    world.replicas.wait_until_ready();
    let upload = begin_upload(&victim).unwrap();
    let end = with_digest(&upload, &digest(CONTENT));
    assert_eq!(status(&victim, "PATCH", &upload, CONTENT), Some(202));
    world.replicas.servers[0].signal_end();
    time_until(
        "a replica is told to end: its upload ends at another one",
        || status(&other, "PUT", &end, b"") == Some(201),
    );
    world.replicas.servers[0].wait();

    world.replicas.postgres.stop_immediately();
    world.replicas.postgres.start_again();
    time_until("PostgreSQL has restarted: the first 201", || {
        pushes(&other, "after the restart")
    });

    let World { replicas, hosts } = &mut world;
    hosts.fail_over(&mut replicas.postgres, || {
        time_until("a standby was promoted: the first 201", || {
            pushes(&other, "after the promotion")
        });
    });
}
