//! Whether a lookup costs more in a full registry than in an empty one. It must not.

use std::time::Duration;

use crate::common::Process;
use crate::common::load::warm_load;
use crate::reads::{catalog_page, get, referrers, tags_page};
use crate::seed::{self, APP, Image, repository};
use crate::servers::{Kind, Server, directory};

/// How many repositories there are.
pub(crate) const SIZES: [usize; 3] = [100, 10_000, 100_000];

/// What is looked up.
pub(crate) const CASES: [&str; 5] = [
    "manifest by tag, the same again and again",
    "manifest by tag, of any repository, read anew each time",
    "tags page n=100 of 5,000",
    "catalog page n=100, from the middle",
    "referrers, 100 of them",
];

/// How long a case is loaded in one round.
const LOAD: Duration = Duration::from_millis(500);
/// How often each is, all registries taking turns. The best counts.
const ROUNDS: usize = 3;

/// What each of [`CASES`] costs among each of [`SIZES`], in millionths of a CPU-second.
pub(crate) fn costs() -> [[f64; 5]; 3] {
    let image = Image::new(&[crate::content::SMALL, 2 * crate::content::SMALL]);
    let full = SIZES.map(|repositories| {
        let directory = directory();
        seed::ours(directory.path(), &image, repositories);
        // A token names its repositories; without authentication, any of them can be
        // asked for.
        (
            Server::start(Kind::OursOpen, directory.path()),
            directory,
            repositories,
        )
    });
    let mut best = [[f64::INFINITY; 5]; 3];
    for _ in 0..ROUNDS {
        for (best, (server, _, repositories)) in best.iter_mut().zip(&full) {
            let round = round(&server.process, &image, *repositories);
            *best = std::array::from_fn(|case| best[case].min(round[case]));
        }
    }
    best
}

fn round(server: &Process, image: &Image, repositories: usize) -> [f64; 5] {
    let of = |url: &str| get(server, url, "", LOAD).cpu_per_operation();
    [
        of(&format!("/v2/{APP}/manifests/latest")),
        uncached(server, repositories),
        of(&tags_page()),
        // So that there are as many behind it, with few of them as with many.
        of(&catalog_page(repositories / 2 - 50)),
        of(&referrers(image)),
    ]
}

/// A HEAD of a manifest by a client that may push is always answered from the database.
fn uncached(server: &Process, repositories: usize) -> f64 {
    let figure = warm_load(server, LOAD, |connection, number| {
        // Far apart, and soon every one of them (Knuth, 6.4: the golden ratio).
        let any = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
        let url = format!(
            "/v2/{}/manifests/latest",
            repository(any as usize % repositories)
        );
        assert_eq!(connection.ask("HEAD", &url, "").status, 200, "{url}");
        0
    });
    figure.cpu_per_operation()
}
