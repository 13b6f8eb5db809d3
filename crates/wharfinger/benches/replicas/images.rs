//! Small images: two blobs of 1 KiB and a manifest, each pushed with a tag of its own.

use crate::Scale;
use crate::common::content::{Content, SMALL, image, put_manifest};
use crate::common::http::Connection;
use crate::costs::Costs;
use crate::world::{Options, Server, World};

/// Repositories into which images are pushed at once.
const REPOSITORIES: u64 = 16;

pub(crate) fn table(world: &World, scale: Scale) {
    println!(
        "\n| small images, durable | a second | to registry 3 | CPU-ms each: servers | PostgreSQL | store |"
    );
    println!("|---|---|---|---|---|---|");
    for repositories in [1, REPOSITORIES] {
        let into = match repositories {
            1 => "into one repository",
            _ => "into sixteen repositories",
        };
        // The servers take turns, one row after the other.
        let replicas = |count| -> Vec<Server> {
            let options = Options::default();
            (0..count).map(|_| world.replica(&options)).collect()
        };
        let starts: [(&str, &dyn Fn() -> Vec<Server>); 4] = [
            ("registry 3", &|| vec![world.registry3(false)]),
            ("one replica", &|| replicas(1)),
            ("three replicas", &|| replicas(3)),
            ("SQLite and files", &|| vec![world.single()]),
        ];
        let mut third = None;
        for (name, start) in starts {
            let servers = start();
            let servers: Vec<&Server> = servers.iter().collect();
            let rounds = (0..scale.rounds).map(|_| costs(world, &servers, repositories, scale));
            let rate = |costs: &Costs| costs.figure.operations_per_second();
            let costs = rounds.max_by(|one, other| rate(one).total_cmp(&rate(other)));
            let costs = costs.unwrap();
            let rate = costs.figure.operations_per_second();
            let third = *third.get_or_insert(rate);
            println!(
                "| {name}, {into} | {rate:.0} | {:.2} | {:.2} | {:.2} | {:.2} |",
                rate / third,
                costs.figure.cpu_per_operation() / 1e3,
                costs.database_milliseconds(),
                costs.store_milliseconds(),
            );
        }
    }
}

/// Pushes images into so many repositories.
pub(crate) fn costs(world: &World, servers: &[&Server], repositories: u64, scale: Scale) -> Costs {
    let content = Content::new(SMALL);
    let targets: Vec<(String, String)> = (0..repositories)
        .map(|number| {
            let repository = format!("bench/push-{number}");
            let bearer = servers[0].bearer(&repository, "pull,push");
            (repository, bearer)
        })
        .collect();
    Costs::of(world, servers, scale.load, |connection, number| {
        let (repository, bearer) = &targets[(number % repositories) as usize];
        push(&content, connection, repository, bearer, number)
    })
}

/// Pushes an image that no other push has, and returns how many bytes its blobs have.
fn push(
    content: &Content,
    connection: &mut Connection,
    repository: &str,
    bearer: &str,
    number: u64,
) -> u64 {
    // The numbers of two blobs that no other image has.
    let blobs = [number << 1, number << 1 | 1].map(|number| {
        content.put(connection, repository, bearer, number);
        (content.digest(number), SMALL)
    });
    let manifest = image(blobs[0], &blobs[1..], None);
    let tag = format!("t{number}");
    put_manifest(connection, repository, &tag, bearer, &manifest);
    2 * SMALL as u64
}
