//! A server that is killed at any moment keeps everything that it acknowledged, and nothing partial.
//!
//! The test starts itself again as a child. The child pushes and deletes as fast as it can and prints
//! what was acknowledged. The test kills the child, opens its data, and compares.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use database::SqliteDatabase;
use storage::collection::CollectionPolicy;
use storage::{Error, PageRequest, Storage, StorageSettings, UploadId};

use super::world::{
    SWEEP, clock, content, image, name, new_upload, open_database, push, root, sha256,
};

const DIRECTORY: &str = "WHARFINGER_TEST_DIRECTORY";
const ROUND: &str = "WHARFINGER_TEST_ROUND";
const CLIENTS: u64 = 4;
/// `scripts/soak` sets more than the usual twenty.
const ROUNDS: &str = "WHARFINGER_TEST_KILLS";
const BEGINNING: u64 = 1_800_000_000;

async fn open(directory: &std::path::Path, round: u64) -> (Storage, SqliteDatabase) {
    let database = open_database(directory);
    // Each round is a day later, so that collection finds something.
    let clock = clock(&Arc::new(AtomicU64::new(BEGINNING + round * 90_000)));
    (
        Storage::open(
            database.clone(),
            root(directory),
            StorageSettings::default(),
            clock,
        )
        .await
        .unwrap(),
        database,
    )
}

fn layer(client: u64, number: u64) -> Vec<u8> {
    format!("{client} {number} ").repeat(300).into_bytes()
}

/// Prints that something was acknowledged, in one write so that lines do not mix.
fn print(line: &str) {
    std::io::stdout()
        .write_all(format!("\n@ {line}\n").as_bytes())
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "another test starts it"]
async fn child() {
    let Some(directory) = std::env::var_os(DIRECTORY) else {
        return;
    };
    let round: u64 = std::env::var(ROUND).unwrap().parse().unwrap();
    let (storage, _database) = open(directory.as_ref(), round).await;
    let sweep = CollectionPolicy {
        untagged: Some(Duration::ZERO),
        ..SWEEP
    };
    let collector = storage.clone();
    tokio::spawn(async move {
        loop {
            collector.collect(sweep).await.unwrap();
        }
    });
    let clients = (0..CLIENTS)
        .map(|client| tokio::spawn(push_forever(storage.clone(), client, round * 10_000)));
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
}

async fn push_forever(storage: Storage, client: u64, first: u64) {
    let repository = format!("r{client}");
    for number in first.. {
        let layer = layer(client, number);
        for content in [&b"{}"[..], &layer] {
            let id =
                u128::from(client) << 64 | u128::from(number) << 1 | u128::from(content.len() > 2);
            upload(&storage, &repository, id, content).await;
        }
        print(&format!("blob {client} {number}"));
        let subject = push(
            &storage,
            &repository,
            image(&[&layer], None),
            &[&format!("t{number}")],
        )
        .await
        .unwrap();
        print(&format!("image {client} {number}"));
        push(
            &storage,
            &repository,
            image(&[&layer, b"{}"], Some(subject)),
            &[],
        )
        .await
        .unwrap();
        print(&format!("referrer {client} {number}"));
        if number % 3 == 2 && number > first {
            let tag = format!("t{}", number - 1).parse().unwrap();
            print(&format!("untagging {client} {}", number - 1));
            storage
                .manifests()
                .untag(&name(&repository), &tag)
                .await
                .unwrap();
            print(&format!("untagged {client} {}", number - 1));
        }
    }
}

async fn upload(storage: &Storage, repository: &str, id: u128, content: &[u8]) {
    let new = new_upload(repository, id);
    let id = new.id;
    storage.begin(new).await.unwrap();
    let half = content.len() / 2;
    let mut upload = storage
        .upload(&name(repository), id, Some(0))
        .await
        .unwrap();
    upload.write(content[..half].to_vec().into()).await.unwrap();
    let received = upload.save().await.unwrap();
    print(&format!("saved {repository} {id} {received}"));
    let mut upload = storage
        .upload(&name(repository), id, Some(received))
        .await
        .unwrap();
    upload.write(content[half..].to_vec().into()).await.unwrap();
    print(&format!("finishing {repository} {id}"));
    upload.finish(sha256(content)).await.unwrap();
}

/// What a child acknowledged.
#[derive(Default)]
struct Acknowledged {
    /// By client and number.
    images: BTreeMap<(u64, u64), ImageProgress>,
    /// Saved bytes of uploads that were not being finished, by repository and id.
    uploads: BTreeMap<(String, String), u64>,
}

#[derive(Clone, Copy, Default, PartialEq, PartialOrd, Debug)]
enum ImageProgress {
    #[default]
    Nothing,
    Blob,
    Image,
    Referrer,
    Untagging,
    Untagged,
}

impl Acknowledged {
    fn read(&mut self, line: &str) {
        let words: Vec<_> = line.split(' ').collect();
        let progress = match words[0] {
            "saved" => {
                self.uploads.insert(
                    (words[1].to_owned(), words[2].to_owned()),
                    words[3].parse().unwrap(),
                );
                return;
            }
            "finishing" => {
                self.uploads
                    .remove(&(words[1].to_owned(), words[2].to_owned()));
                return;
            }
            "blob" => ImageProgress::Blob,
            "image" => ImageProgress::Image,
            "referrer" => ImageProgress::Referrer,
            "untagging" => ImageProgress::Untagging,
            "untagged" => ImageProgress::Untagged,
            other => panic!("{other}"),
        };
        self.images.insert(
            (words[1].parse().unwrap(), words[2].parse().unwrap()),
            progress,
        );
    }
}

/// Runs the child, and kills it after some lines.
fn run_and_kill(directory: &std::path::Path, round: u64, acknowledged: &mut Acknowledged) {
    let mut child: Child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "kill::child", "--nocapture"])
        .env(DIRECTORY, directory)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // Another number of lines in each round.
    let enough = 10 + (round * 7919) % 97;
    let mut lines_read = 0;
    for line in lines {
        let Ok(line) = line else { break };
        let Some(line) = line.strip_prefix("@ ") else {
            continue;
        };
        acknowledged.read(line);
        lines_read += 1;
        if lines_read == enough {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(
        lines_read >= enough,
        "the child ended by itself after {lines_read} lines"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_acknowledged_work_is_lost_in_kills() {
    let directory = tempfile::tempdir().unwrap();
    let rounds = std::env::var(ROUNDS).map_or(20, |rounds| rounds.parse().unwrap());
    let mut acknowledged = Acknowledged::default();
    for round in 0..rounds {
        acknowledged.uploads.clear();
        run_and_kill(directory.path(), round, &mut acknowledged);
        let (storage, _database) = open(directory.path(), round).await;
        for ((client, number), progress) in &acknowledged.images {
            check(
                &storage,
                *client,
                *number,
                *progress,
                *number / 10_000 == round,
            )
            .await;
        }
        for ((repository, id), received) in &acknowledged.uploads {
            let id: UploadId = id.parse().unwrap();
            let found = storage.received(&name(repository), id).await.unwrap();
            assert!(found >= *received, "{found} of {received}");
            let resumed = storage
                .upload(&name(repository), id, Some(found))
                .await
                .unwrap();
            resumed.finish(sha256(b"")).await.unwrap_err();
        }
        check_everything_pulls(&storage).await;
    }
}

async fn check(storage: &Storage, client: u64, number: u64, progress: ImageProgress, fresh: bool) {
    let (repository, layer) = (format!("r{client}"), layer(client, number));
    let has_tag = match storage
        .manifests()
        .find(&name(&repository), &format!("t{number}").parse().unwrap())
        .await
    {
        Ok(_) => true,
        Err(Error::ManifestUnknown | Error::RepositoryUnknown) => false,
        Err(error) => panic!("{error}"),
    };
    match progress {
        ImageProgress::Image | ImageProgress::Referrer => {
            assert!(has_tag, "{client} {number}");
        }
        ImageProgress::Untagged => assert!(!has_tag, "{client} {number}"),
        ImageProgress::Nothing | ImageProgress::Blob | ImageProgress::Untagging => {}
    }
    // An image without a tag and a lease may have been collected.
    if fresh || has_tag {
        assert_eq!(
            content(storage, &repository, sha256(&layer)).await.unwrap(),
            layer
        );
    }
    if progress == ImageProgress::Referrer {
        let subject = image(&[&layer], None).digest();
        let page = PageRequest {
            after: None,
            limit: 10,
        };
        let list = storage
            .manifests()
            .referrers(&name(&repository), &subject, None, page)
            .await
            .unwrap();
        assert_eq!(list.entries.len(), 1, "{client} {number}");
    }
}

/// Everything that is visible can be pulled.
async fn check_everything_pulls(storage: &Storage) {
    let all = PageRequest {
        after: None,
        limit: 1_000_000,
    };
    for repository in storage
        .manifests()
        .repositories(all.clone())
        .await
        .unwrap()
        .entries
    {
        for tag in storage
            .manifests()
            .tags(&name(&repository), all.clone())
            .await
            .unwrap()
            .entries
        {
            let stored = storage
                .manifests()
                .find(&name(&repository), &tag.parse().unwrap())
                .await
                .unwrap();
            let manifest = oci::Manifest::parse(Some(&stored.media_type), &stored.bytes).unwrap();
            for blob in manifest.blobs() {
                let bytes = content(storage, &repository, blob.digest).await.unwrap();
                assert_eq!(sha256(&bytes), blob.digest);
            }
        }
    }
}
