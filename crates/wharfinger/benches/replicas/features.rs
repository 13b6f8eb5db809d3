//! What features cost that do more for each request.

use crate::Scale;
use crate::common::features::FEATURES;
use crate::content::{self, APP, FEW};
use crate::costs::Costs;
use crate::images;
use crate::reads::any;
use crate::world::{Options, Server, World};

/// What is measured.
const CASES: [(&str, Case); 3] = [
    ("manifest by tag, the same again and again", Case::Tag),
    ("manifest by tag, of 5,000 tags", Case::AnyTag),
    ("small image", Case::Images),
];

#[derive(Clone, Copy)]
enum Case {
    Tag,
    AnyTag,
    Images,
}

pub(crate) fn table(world: &World, scale: Scale) {
    println!(
        "\n| CPU-µs for each | replica without | with | feature | cost | PostgreSQL without | with |"
    );
    println!("|---|---|---|---|---|---|---|");
    let plain = world.replica(&Options::default());
    for repository in [APP, FEW] {
        content::push(&plain, repository, "latest");
    }
    content::fill_postgres(world, FEW, scale.tags_of_registry3);
    for feature in &FEATURES {
        let options = Options {
            feature: Some(feature),
            ..Options::default()
        };
        let servers = [&plain, &world.replica(&options)];
        for (name, case) in CASES {
            // They take turns. The best counts.
            let rounds = (0..2 * scale.rounds)
                .map(|_| servers.map(|server| case.costs(world, server, scale)));
            let best = rounds.reduce(|best, round| {
                [0, 1].map(|place: usize| cheaper(best[place], round[place]))
            });
            let best = best.unwrap();
            let [without, with] = best.map(|costs| costs.figure.cpu_per_operation());
            let [database, database_with] = best.map(|costs| 1e3 * costs.database_milliseconds());
            println!(
                "| {name} | {without:.1} | {with:.1} | {} | {:.1} % | {database:.1} | {database_with:.1} |",
                feature.name,
                100.0 * (with / without - 1.0)
            );
        }
    }
}

impl Case {
    fn costs(self, world: &World, server: &Server, scale: Scale) -> Costs {
        let tags = scale.tags_of_registry3;
        match self {
            Self::Tag => pull(world, server, scale, APP, |_| "latest".to_owned()),
            Self::AnyTag => pull(world, server, scale, FEW, |number| any(tags, number)),
            Self::Images => images::costs(world, &[server], 1, scale),
        }
    }
}

fn pull(
    world: &World,
    server: &Server,
    scale: Scale,
    repository: &str,
    tag: impl Fn(u64) -> String + Sync,
) -> Costs {
    let bearer = server.bearer(repository, "pull");
    Costs::of(world, &[server], scale.load, |connection, number| {
        let path = format!("/v2/{repository}/manifests/{}", tag(number));
        let answer = connection.ask("GET", &path, &bearer);
        assert_eq!(answer.status, 200, "{path}");
        answer.length
    })
}

fn cheaper(one: Costs, other: Costs) -> Costs {
    let [first, second] = [one, other].map(|costs| costs.figure.cpu_per_operation());
    if first <= second { one } else { other }
}
