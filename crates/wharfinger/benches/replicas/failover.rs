//! PostgreSQL stops, and clients push until one succeeds.

use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::common::content::{Content, SMALL, with_digest};
use crate::common::http::Connection;
use crate::common::load::next;
use crate::world::{Options, Server, World};

const REPOSITORY: &str = "bench/failover";
/// Clients that push at once.
const CLIENTS: usize = 4;
/// How long a client waits before it tries again.
const RETRY: Duration = Duration::from_millis(50);

pub(crate) fn lines() {
    let time = first_push(
        World::start(),
        |world| world.postgres.stop_immediately(),
        |world| world.postgres.start_again(),
    );
    line("PostgreSQL stops at once and starts again", time);
    let time = first_push(
        World::start_with_standby(),
        |world| world.postgres.kill(),
        |world| world.standby.as_ref().unwrap().promote(),
    );
    line("PostgreSQL is killed and a standby promoted", time);
}

fn line(name: &str, time: Duration) {
    println!(
        "| {name}: from its first write to the first 201 of a push | {:.2} | ≤ 1 |",
        time.as_secs_f64()
    );
}

/// How long after `start`, which returns when the database takes writes again, a push first
/// succeeds that began after `stop`.
fn first_push(mut world: World, stop: fn(&mut World), start: fn(&mut World)) -> Duration {
    let server = world.replica(&Options::default());
    let content = Content::new(SMALL);
    let bearer = server.bearer(REPOSITORY, "pull,push");
    assert_eq!(push(&content, &server, &bearer).unwrap(), 201);
    let is_stopped = AtomicBool::new(false);
    let succeeded = OnceLock::new();
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while succeeded.get().is_none() {
                    let counts = is_stopped.load(Ordering::SeqCst);
                    let pushed = push(&content, &server, &bearer);
                    if counts && matches!(pushed, Ok(201)) {
                        succeeded.get_or_init(Instant::now);
                    }
                    std::thread::sleep(RETRY);
                }
            });
        }
        stop(&mut world);
        is_stopped.store(true, Ordering::SeqCst);
        start(&mut world);
        let takes_writes = Instant::now();
        // A client may notice before this program does.
        succeeded.wait().saturating_duration_since(takes_writes)
    })
}

/// Pushes a small blob over a connection of its own, and returns the last status.
fn push(content: &Content, server: &Server, bearer: &str) -> io::Result<u16> {
    let number = next();
    let mut connection = Connection::try_open(&server.process.address)?;
    let begin = format!("/v2/{REPOSITORY}/blobs/uploads/");
    let begun = connection.try_send("POST", &begin, bearer, &[])?;
    if begun.status != 202 {
        return Ok(begun.status);
    }
    let end = with_digest(&begun.location, &content.digest(number));
    let pushed = connection.try_send("PUT", &end, bearer, &[&content.bytes(number)])?;
    Ok(pushed.status)
}
