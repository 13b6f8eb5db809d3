//! What lies in the registries before they are measured.

use std::sync::LazyLock;

use oci::Digest;

use crate::Content;
use crate::common::content::{IMAGE, MEDIUM, SMALL, digest, image, put_manifest};
use crate::world::{Server, World};

/// The repository of one image.
pub(crate) const APP: &str = "bench/app";
/// The repository of as many tags as registry 3 has.
pub(crate) const FEW: &str = "bench/few";
/// The repository of many tags. Registry 3 has none.
pub(crate) const MANY: &str = "bench/many";

/// How many tags each manifest has.
const TAGS_OF_EACH: usize = 5;
/// What stands for a number in the text of a manifest.
const NUMBER: &str = "@number@";

/// The name of one tag of many.
pub(crate) fn tag(number: usize) -> String {
    format!("v1.{number:06}")
}

/// The digest of the blob of 1 MiB. It is computed once: a client that hashes the blob for each request
/// is so slow that the figure is what a server costs that waits.
pub(crate) fn layer() -> Digest {
    static LAYER: LazyLock<Digest> = LazyLock::new(|| Content::new(MEDIUM).digest(0));
    *LAYER
}

/// Pushes the image: a small configuration, and a layer of 1 MiB.
pub(crate) fn push(server: &Server, repository: &str, tag: &str) {
    let bearer = server.bearer(repository, "pull,push");
    let mut connection = server.connect();
    let blobs = [SMALL, MEDIUM].map(|size| {
        let content = Content::new(size);
        content.put(&mut connection, repository, &bearer, 0);
        (content.digest(0), size)
    });
    let manifest = image(blobs[0], &blobs[1..], None);
    put_manifest(&mut connection, repository, tag, &bearer, &manifest);
}

/// The text of a manifest, with a place for its number.
fn manifest() -> String {
    let blob = |size| (Content::new(size).digest(0), size);
    let manifest = image(blob(SMALL), &[blob(MEDIUM)], None);
    let text = String::from_utf8(manifest).unwrap();
    let members = text.strip_prefix('{').unwrap();
    format!("{{\n  \"annotations\": {{\"org.example.number\": \"{NUMBER}\"}},{members}")
}

/// Gives a repository so many tags, of different manifests, in the tables of the replicas, unless it
/// has them.
pub(crate) fn fill_postgres(world: &World, repository: &str, tags: usize) {
    let (manifests, text) = (tags.div_ceil(TAGS_OF_EACH), manifest());
    world.sql(&format!(
        "INSERT INTO manifests (repository, digest, media_type, leased_at, bytes)
         SELECT id, '\\x01'::bytea || sha256(bytes), '{IMAGE}', now(), bytes FROM repositories, (
             SELECT convert_to(replace('{text}', '{NUMBER}', number::text), 'UTF8') AS bytes
             FROM generate_series(0, {manifests} - 1) AS number
         ) AS made WHERE name = '{repository}' ON CONFLICT DO NOTHING"
    ));
    world.sql(&format!(
        "INSERT INTO tags (repository, name, manifest, updated_at)
         SELECT repository, 'v1.' || lpad(number::text, 6, '0'), id, now() FROM (
             SELECT m.repository, m.id, row_number() OVER (ORDER BY m.id) - 1 AS place FROM manifests m
             JOIN repositories r ON r.id = m.repository AND r.name = '{repository}'
             WHERE NOT EXISTS (SELECT 1 FROM tags t WHERE t.manifest = m.id)
         ) AS m JOIN generate_series(0, {tags} - 1) AS number ON number % {manifests} = place"
    ));
    world.sql("VACUUM ANALYZE manifests, tags, repositories");
}

/// The same in the SQLite file.
pub(crate) fn fill_sqlite(world: &World, repository: &str, tags: usize) {
    let mut database = world.sqlite();
    let transaction = database.transaction().unwrap();
    let id: i64 = transaction
        .query_row(
            "SELECT id FROM repositories WHERE name = ?1",
            [repository],
            |row| row.get(0),
        )
        .unwrap();
    let text = manifest();
    let mut add_manifest = transaction
        .prepare(
            "INSERT INTO manifests (repository, digest, media_type, leased_at, bytes)
             VALUES (?1, ?2, ?3, unixepoch(), ?4) RETURNING id",
        )
        .unwrap();
    let mut add_tag = transaction
        .prepare("INSERT INTO tags (repository, name, manifest, updated_at) VALUES (?1, ?2, ?3, unixepoch())")
        .unwrap();
    let manifests = tags.div_ceil(TAGS_OF_EACH);
    for number in 0..manifests {
        let bytes = text.replace(NUMBER, &number.to_string()).into_bytes();
        let packed = [&[1], digest(&bytes).hash()].concat();
        let manifest: i64 = add_manifest
            .query_row((id, packed, IMAGE, bytes), |row| row.get(0))
            .unwrap();
        for number in (number..tags).step_by(manifests) {
            add_tag.execute((id, tag(number), manifest)).unwrap();
        }
    }
    drop((add_manifest, add_tag));
    transaction.commit().unwrap();
}

/// The same in the bucket of registry 3, whose manifests are all the pushed one: another one would be
/// an object more for each.
pub(crate) fn fill_registry3(world: &World, repository: &str, tags: usize) {
    let blob = |size| (Content::new(size).digest(0), size);
    let pushed = digest(&image(blob(SMALL), &[blob(MEDIUM)], None)).to_string();
    for number in 0..tags {
        let tag = tag(number);
        let key = format!("repositories/{repository}/_manifests/tags/{tag}/current/link");
        world.write_object(&key, &pushed);
    }
}
