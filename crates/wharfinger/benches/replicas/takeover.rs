//! A replica stops, and another one continues what it had begun.

use std::io::Write;
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use peers::program;

use crate::common::content::{Content, with_digest};
use crate::world::{Options, Server, World};

const REPOSITORY: &str = "bench/upload";
/// The length of the blob.
const LENGTH: usize = 24 << 20;
/// How much of it was acknowledged before the replica stops.
const ACKNOWLEDGED: usize = 8 << 20;
/// How much more was sent.
const SENT: usize = 4 << 20;
/// How long a client waits before it tries again.
const RETRY: Duration = Duration::from_millis(100);

/// How a replica stops.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// SIGKILL, in the middle of a request.
    Killed,
    /// SIGTERM, between two requests.
    Ended,
}

/// How long it takes until another replica has completed the upload.
pub(crate) fn of_uploads() {
    let world = World::start();
    for (stop, name, goal) in [
        (
            Stop::Killed,
            "replica killed in the middle of an upload",
            "30",
        ),
        (
            Stop::Ended,
            "replica ended between two requests of an upload",
            "1",
        ),
    ] {
        let (time, again) = upload(&world, stop);
        let again = again as f64 / 1e6;
        println!(
            "| {name}: until the upload is complete at another one ({again:.1} MB were sent again) | {:.2} | ≤ {goal} |",
            time.as_secs_f64()
        );
    }
}

/// The time until the upload is complete, and how many acknowledged bytes were sent again.
fn upload(world: &World, stop: Stop) -> (Duration, usize) {
    let [first, second] = [(); 2].map(|()| world.replica(&Options::default()));
    let content = Content::new(LENGTH);
    let number = stop as u64;
    let bytes = content.bytes(number);
    let bearer = first.bearer(REPOSITORY, "pull,push");
    let mut connection = first.connect();
    let begin = format!("/v2/{REPOSITORY}/blobs/uploads/");
    let begun = connection.ask("POST", &begin, &bearer);
    let sent = connection.send("PATCH", &begun.location, &bearer, &[&bytes[..ACKNOWLEDGED]]);
    assert_eq!(sent.status, 202);
    let open = match stop {
        Stop::Killed => Some(send_half(&first, &sent.location, &bearer, &bytes)),
        Stop::Ended => None,
    };
    let began = Instant::now();
    match stop {
        Stop::Killed => drop(first),
        Stop::Ended => first.process.terminate(),
    }
    drop(open);
    loop {
        // The server closes a connection whose request it has refused before it read the body.
        let mut connection = second.connect();
        let status = connection.ask("GET", &sent.location, &bearer);
        assert_eq!(status.status, 204);
        let range = status.header("range").unwrap();
        let last: usize = range.rsplit_once('-').unwrap().1.parse().unwrap();
        let rest = last + 1;
        let headers = format!("{bearer}Content-Range: {rest}-{}\r\n", LENGTH - 1);
        let patched = connection.send("PATCH", &status.location, &headers, &[&bytes[rest..]]);
        if patched.status == 202 {
            let end = with_digest(&patched.location, &content.digest(number));
            assert_eq!(connection.ask("PUT", &end, &bearer).status, 201);
            return (began.elapsed(), ACKNOWLEDGED.saturating_sub(rest));
        }
        assert!(
            matches!(patched.status, 416 | 429 | 503),
            "{}",
            patched.status
        );
        std::thread::sleep(RETRY);
    }
}

/// Sends the beginning of a PATCH, and leaves its connection open.
fn send_half(server: &Server, location: &str, bearer: &str, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(&server.process.address).unwrap();
    let length = LENGTH - ACKNOWLEDGED;
    write!(
        stream,
        "PATCH {location} HTTP/1.1\r\nHost: bench\r\n{bearer}Content-Length: {length}\r\n\r\n"
    )
    .unwrap();
    stream.write_all(&bytes[ACKNOWLEDGED..][..SENT]).unwrap();
    // The server has read it.
    std::thread::sleep(Duration::from_secs(1));
    stream
}

/// How long it takes until another replica collects garbage after the one that did was killed.
pub(crate) fn of_collection() {
    let world = World::start();
    let options = Options {
        gc: "schedule: 1m",
        ..Options::default()
    };
    let first = world.replica(&options);
    let mut lock = hold_collection(&world);
    let holder = wait_for_holder(&world, "");
    let second = world.replica(&options);
    let began = Instant::now();
    drop(first);
    wait_for_holder(&world, &holder);
    println!(
        "| replica killed while it collects garbage, each minute: until another one does | {:.2} | ≤ 30 |",
        began.elapsed().as_secs_f64()
    );
    world.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted",
    );
    let _ = lock.wait();
    drop(second);
}

/// Keeps every pass of collection from its end: it waits for this lock before it removes content.
fn hold_collection(world: &World) -> Child {
    let mut psql = Command::new(program("psql"));
    psql.arg("--host")
        .arg(world.postgres.socket_directory())
        .args(["--port", &world.postgres.port().to_string()])
        .args(["--username", "postgres", "--dbname", "wharfinger"])
        .args([
            "--command",
            "SELECT pg_advisory_lock(1465401680), pg_sleep(3600)",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    psql.spawn().unwrap()
}

/// Waits until another replica than `before` has the duty, and returns which one.
fn wait_for_holder(world: &World, before: &str) -> String {
    let began = Instant::now();
    loop {
        let holder = world.sql(
            "SELECT encode(owner, 'hex') FROM duties WHERE name = 'collection' AND until > now()",
        );
        if !holder.is_empty() && holder != before {
            return holder;
        }
        assert!(
            began.elapsed() < Duration::from_secs(300),
            "no replica collects"
        );
        std::thread::sleep(RETRY);
    }
}
