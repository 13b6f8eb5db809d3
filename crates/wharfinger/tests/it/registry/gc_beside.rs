//! `wharfinger registry gc`, a process of its own, beside a server in the middle of uploads.

use common::SystemClock;
use database::{DatabaseLocation, SqliteDatabase};
use oci::DigestAlgorithm;
use storage::{Storage, StorageSettings, hash};

use super::world::{World, upload};
use crate::wire::{Answer, Connection};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Runtime::new().unwrap()
}

fn path(number: u8) -> String {
    format!("/v2/app/blobs/uploads/{}", upload(number).id)
}

/// Uploads of two days ago with these numbers, which have expired by now, each with the content `hel`.
fn serving_old_uploads(numbers: &[u8]) -> World {
    let mut world = World::new();
    runtime().block_on(async {
        let storage = world.storage_of_two_days_ago().await;
        for &number in numbers {
            let new = upload(number);
            storage.begin(new.clone()).await.unwrap();
            let mut upload = storage
                .upload(&new.repository, new.id, Some(0))
                .await
                .unwrap();
            upload.write("hel".into()).await.unwrap();
            upload.save().await.unwrap();
        }
    });
    world.serve();
    world
}

fn ask(world: &World, request: &str) -> Answer {
    let mut connection = Connection::open(&world.server().host_port());
    connection.send(request.as_bytes()).unwrap();
    connection.answer(false).unwrap()
}

fn patch(world: &World, number: u8, at: u64, content: &str) -> Answer {
    let (path, end, length) = (path(number), at + content.len() as u64 - 1, content.len());
    let head = format!("PATCH {path} HTTP/1.1\r\nHost: test\r\nContent-Range: {at}-{end}\r\n");
    ask(
        world,
        &format!("{head}Content-Length: {length}\r\n\r\n{content}"),
    )
}

fn put(world: &World, number: u8, content: &[u8]) -> Answer {
    let digest = hash::digest(DigestAlgorithm::Sha256, content);
    ask(
        world,
        &format!(
            "PUT {}?digest={digest} HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n",
            path(number)
        ),
    )
}

#[test]
fn what_the_server_goes_on_with_is_left_alone() {
    let world = serving_old_uploads(&[1, 2, 3]);
    // One has had a chunk just now, one has one under way, and one has nothing but its age.
    assert_eq!(patch(&world, 1, 3, "lo").status, 202);
    let mut under_way = Connection::open(&world.server().host_port());
    let head = format!(
        "PATCH {} HTTP/1.1\r\nHost: test\r\nContent-Range: 3-4\r\nContent-Length: 2\r\n\r\n",
        path(2)
    );
    under_way.send(format!("{head}l").as_bytes()).unwrap();
    // Its lease is there when it does not count as garbage any more.
    let mut planned = world.json("gc", &["--dry-run"]);
    while planned["uploads"].as_array().unwrap().len() > 1 {
        planned = world.json("gc", &["--dry-run"]);
    }
    assert_eq!(world.json("gc", &[])["uploads"], 1);
    under_way.send(b"o").unwrap();
    assert_eq!(under_way.answer(false).unwrap().status, 202);
    for number in [1, 2] {
        assert_eq!(put(&world, number, b"hello").status, 201);
    }
    let gone = patch(&world, 3, 3, "lo");
    assert_eq!(gone.status, 404);
    assert!(gone.body.contains("BLOB_UPLOAD_UNKNOWN"), "{}", gone.body);
}

#[test]
fn what_was_ended_behind_the_servers_back_is_unknown() {
    let world = serving_old_uploads(&[1, 2, 3]);
    for number in [1, 2] {
        assert_eq!(
            patch(&world, number, 3, "lo").status,
            202,
            "and the server remembers it"
        );
    }
    let mut under_way = Connection::open(&world.server().host_port());
    let head = format!(
        "PATCH {} HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        path(3)
    );
    under_way.send(head.as_bytes()).unwrap();
    assert_eq!(under_way.answer(false).unwrap().status, 100);
    runtime().block_on(async {
        let database =
            SqliteDatabase::open(&DatabaseLocation::at(world.root().join("wharfinger.db")))
                .unwrap();
        let clock = std::sync::Arc::new(SystemClock);
        let command =
            Storage::open_for_command(database, world.root(), StorageSettings::default(), clock)
                .await
                .unwrap();
        for number in [1, 2, 3] {
            let new = upload(number);
            command.cancel(&new.repository, new.id).await.unwrap();
        }
    });
    under_way.send(b"lo").unwrap();
    for answer in [
        patch(&world, 1, 5, "!"),
        put(&world, 2, b"hello"),
        under_way.answer(false).unwrap(),
    ] {
        assert_eq!(answer.status, 404, "{}", answer.body);
        assert!(
            answer.body.contains("BLOB_UPLOAD_UNKNOWN"),
            "{}",
            answer.body
        );
    }
    assert!(
        !world.server().log().contains("internal"),
        "{}",
        world.server().log()
    );
}
