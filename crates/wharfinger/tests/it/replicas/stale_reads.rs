//! Whatever a client knows, no replica answers with an older state: neither an older image of a tag, nor a
//! tag that was removed.
//!
//! Writers count up: each number is an image that a tag points at, or the removal of the tag. A reader that
//! begins after an acknowledgement must see that number or a later one. `WHARFINGER_TEST_READS` is how many
//! reads there are; `scripts/soak --reads` sets a million.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use super::world::{OPEN, Replicas, SetOnDrop, number};
use crate::wire::Connection;

const READS: &str = "WHARFINGER_TEST_READS";
const USUAL: u64 = 20_000;
const CONNECTIONS: u64 = 8;
const TAGS: usize = 4;
/// Each number that this divides is a removal.
const REMOVAL: u64 = 5;
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What is known of one tag.
#[derive(Default)]
struct Known {
    /// The last number that was acknowledged.
    acknowledged: AtomicU64,
    /// The last number that was sent.
    sent: AtomicU64,
}

#[test]
fn no_replica_answers_with_an_older_state() {
    let replicas = Replicas::start(3, "", OPEN);
    no_read_is_stale(&replicas, number(READS, USUAL));
}

/// As during a change of the configuration: the shortest period counts for answers, the longest for changes.
#[test]
fn no_replica_with_another_period_answers_with_an_older_state() {
    let mut replicas = Replicas::without_servers();
    let config = replicas.config("", OPEN);
    for look in ["0s", "20ms", "300ms"] {
        replicas.add(&config.replace("database: {", &format!("database: {{look: {look}, ")));
    }
    no_read_is_stale(&replicas, USUAL);
    let sql = "SELECT string_agg(look::text, ' ' ORDER BY look) FROM replicas";
    let looks = replicas.postgres.run("wharfinger", sql);
    assert_eq!(looks.trim(), "0 20 300");
}

fn no_read_is_stale(replicas: &Replicas, reads: u64) {
    replicas.wait_until_ready();
    let addresses: Vec<String> = replicas
        .servers
        .iter()
        .map(peers::Server::host_port)
        .collect();
    let known: [Known; TAGS] = Default::default();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..CONNECTIONS)
            .map(|reader| {
                let (addresses, known) = (&addresses, &known);
                scope.spawn(move || read(addresses, known, reader, reads / CONNECTIONS))
            })
            .collect();
        for (tag, known) in known.iter().enumerate() {
            let (addresses, is_over) = (&addresses, &is_over);
            scope.spawn(move || write(addresses, tag, known, is_over));
        }
        let over = SetOnDrop(&is_over);
        let stale: u64 = readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .sum();
        drop(over);
        let changes: u64 = known
            .iter()
            .map(|known| known.acknowledged.load(Ordering::SeqCst))
            .sum();
        println!("{reads} reads, {changes} changes, {stale} stale");
        assert_eq!(stale, 0, "of {reads} reads\n{}", replicas.logs());
    });
}

/// Changes one tag, each time at another replica.
fn write(addresses: &[String], tag: usize, known: &Known, is_over: &AtomicBool) {
    let mut connections: Vec<_> = addresses
        .iter()
        .map(|address| Connection::open(address))
        .collect();
    for number in 1.. {
        if is_over.load(Ordering::SeqCst) {
            return;
        }
        let place = usize::try_from(number).unwrap() % connections.len();
        known.sent.store(number, Ordering::SeqCst);
        let status = match number % REMOVAL {
            0 => ask(&mut connections[place], "DELETE", tag, "").0,
            _ => ask(&mut connections[place], "PUT", tag, &index(number)).0,
        };
        assert!(status == 201 || status == 202, "{status}");
        known.acknowledged.store(number, Ordering::SeqCst);
    }
}

/// How many of so many reads were stale. Each is at another replica.
fn read(addresses: &[String], known: &[Known; TAGS], reader: u64, reads: u64) -> u64 {
    let mut connections: Vec<_> = addresses
        .iter()
        .map(|address| Connection::open(address))
        .collect();
    let mut stale = 0;
    for read in 0..reads {
        let place = usize::try_from(read + reader).unwrap();
        let (tag, place) = (place % TAGS, place % connections.len());
        let acknowledged = known[tag].acknowledged.load(Ordering::SeqCst);
        let (status, body) = ask(&mut connections[place], "GET", tag, "");
        let is_stale = match status {
            200 => number_of(&body) < acknowledged,
            404 => {
                let sent = known[tag].sent.load(Ordering::SeqCst);
                // Until the first image was pushed, and after each removal, the tag is missing.
                acknowledged > 0 && !(acknowledged..=sent).any(|number| number % REMOVAL == 0)
            }
            // On a busy machine, no connection to the database becomes free in time.
            503 => {
                thread::sleep(Duration::from_millis(100));
                false
            }
            status => panic!("{status}: {body}"),
        };
        stale += u64::from(is_stale);
    }
    stale
}

fn ask(connection: &mut Connection, method: &str, tag: usize, body: &str) -> (u16, String) {
    let request = format!(
        "{method} /v2/app/manifests/t{tag} HTTP/1.1\r\nHost: test\r\nContent-Type: {INDEX}\r\n\
         Accept: {INDEX}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.send(request.as_bytes()).unwrap();
    let answer = connection.answer(false).unwrap();
    (answer.status, answer.body)
}

/// An image of nothing that has a number.
fn index(number: u64) -> String {
    format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{INDEX}\",\"manifests\":[],\
         \"annotations\":{{\"number\":\"{number}\"}}}}"
    )
}

fn number_of(index: &str) -> u64 {
    let index: serde_json::Value = serde_json::from_str(index).unwrap();
    index["annotations"]["number"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}
