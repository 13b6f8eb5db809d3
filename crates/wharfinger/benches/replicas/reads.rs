//! What is asked for.

use std::time::Instant;

use crate::common::content::{Content, LARGE};
use crate::common::load::load_over;
use crate::common::number;
use crate::content::{self, APP, FEW, MANY, tag};
use crate::costs::Costs;
use crate::world::{Options, Server, World};
use crate::{Scale, common};

/// A case that only reads.
struct Read {
    case: &'static str,
    goal: &'static str,
    repository: &'static str,
    status: u16,
    /// Whether a server of this kind can be asked: on PostgreSQL, on its own disk, registry 3.
    can_be_asked: [bool; 3],
    /// The path behind the repository's name, for a number that no other request has.
    path: fn(Scale, u64) -> String,
}

const READS: [Read; 6] = [
    Read {
        case: "manifest by tag, remembered",
        goal: "≥ 40,000",
        repository: APP,
        status: 200,
        can_be_asked: [true; 3],
        path: |_, _| "manifests/latest".to_owned(),
    },
    Read {
        case: "manifest by tag, of 500,000 tags, not remembered",
        goal: "≥ 8,000; PostgreSQL ≥ 15,000",
        repository: MANY,
        status: 200,
        can_be_asked: [true, true, false],
        path: |scale, number| format!("manifests/{}", any(scale.tags, number)),
    },
    Read {
        case: "manifest by tag, of 5,000 tags",
        goal: "-",
        repository: FEW,
        status: 200,
        can_be_asked: [true; 3],
        path: |scale, number| format!("manifests/{}", any(scale.tags_of_registry3, number)),
    },
    Read {
        case: "redirect to a blob",
        goal: "≥ 30,000",
        repository: APP,
        status: 307,
        can_be_asked: [true, false, true],
        path: |_, _| format!("blobs/{}", content::layer()),
    },
    Read {
        case: "tags page n=100, from the middle of 500,000",
        goal: "-",
        repository: MANY,
        status: 200,
        can_be_asked: [true, true, false],
        path: |scale, _| page(scale.tags),
    },
    Read {
        case: "tags page n=100, from the middle of 5,000",
        goal: "-",
        repository: FEW,
        status: 200,
        can_be_asked: [true; 3],
        path: |scale, _| page(scale.tags_of_registry3),
    },
];

/// Without it Distribution hides images of this type.
const ACCEPT: &str = "Accept: application/vnd.oci.image.manifest.v1+json\r\n";

/// One tag of many: each request asks for another one, far from the one before (Knuth, 6.4: the
/// golden ratio).
pub(crate) fn any(tags: usize, number: u64) -> String {
    let place = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    tag(place as usize % tags)
}

fn page(tags: usize) -> String {
    format!("tags/list?n=100&last={}", tag(tags / 2))
}

/// Fills the registries, and prints the tables.
pub(crate) fn tables(world: &World, scale: Scale) {
    let servers = [
        world.replica(&Options::default()),
        world.single(),
        world.registry3(false),
    ];
    fill(world, &servers, scale);
    println!(
        "| per CPU-second of the server | PostgreSQL and S3 | SQLite and files | registry 3 on S3 | to SQLite and files | to registry 3 | per CPU-second of PostgreSQL | goal |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for read in &READS {
        let mut best: [Option<Costs>; 3] = [None; 3];
        for _ in 0..scale.rounds {
            for (place, server) in servers.iter().enumerate() {
                if read.can_be_asked[place] {
                    let costs = read.costs(world, server, scale);
                    best[place] = best[place].into_iter().chain([costs]).max_by(|one, other| {
                        let rate = |costs: &Costs| costs.figure.operations_per_cpu_second();
                        rate(one).total_cmp(&rate(other))
                    });
                }
            }
        }
        read.print(best);
    }
    drop(servers);
    proxied(world, scale);
    times(world, scale);
}

fn fill(world: &World, servers: &[Server; 3], scale: Scale) {
    for server in servers {
        content::push(server, APP, "latest");
        content::push(server, FEW, "latest");
        content::push(server, MANY, "latest");
    }
    for (repository, tags) in [(FEW, scale.tags_of_registry3), (MANY, scale.tags)] {
        content::fill_postgres(world, repository, tags);
        content::fill_sqlite(world, repository, tags);
    }
    content::fill_registry3(world, FEW, scale.tags_of_registry3);
}

impl Read {
    fn costs(&self, world: &World, server: &Server, scale: Scale) -> Costs {
        let headers = server.bearer(self.repository, "pull") + ACCEPT;
        Costs::of(world, &[server], scale.load, |connection, number| {
            let path = (self.path)(scale, number);
            let path = format!("/v2/{}/{path}", self.repository);
            let answer = connection.ask("GET", &path, &headers);
            assert_eq!(answer.status, self.status, "{path}");
            answer.length
        })
    }

    fn print(&self, costs: [Option<Costs>; 3]) {
        let [ours, single, third] =
            costs.map(|costs| costs.map(|costs| costs.figure.operations_per_cpu_second()));
        let ours = ours.unwrap();
        let of_database = costs[0].unwrap().per_database_second();
        println!(
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            self.case,
            number(ours),
            shown(single),
            shown(third),
            ratio(ours, single),
            ratio(ours, third),
            shown(of_database),
            self.goal
        );
    }
}

fn shown(figure: Option<f64>) -> String {
    figure.map_or("-".to_owned(), number)
}

fn ratio(ours: f64, other: Option<f64>) -> String {
    other.map_or("-".to_owned(), |other| format!("{:.2}", ours / other))
}

/// A large blob that the servers send themselves.
fn proxied(world: &World, scale: Scale) {
    let options = Options {
        is_proxy: true,
        ..Options::default()
    };
    let servers = [world.replica(&options), world.registry3(true)];
    let content = Content::new(LARGE);
    let path = format!("/v2/{APP}/blobs/{}", content.digest(0));
    let [ours, third] = servers.map(|server| {
        let bearer = server.bearer(APP, "pull,push");
        content.put(&mut server.connect(), APP, &bearer, 0);
        let rounds = (0..scale.rounds).map(|_| {
            // One blob over each of four connections.
            let is_more = |done, _| done == 0;
            let figure = load_over(&server.process, 4, is_more, |connection, _| {
                let answer = connection.ask("GET", &path, &bearer);
                assert_eq!(answer.status, 200);
                answer.length
            });
            figure.megabytes_per_cpu_second()
        });
        rounds.fold(0.0, f64::max)
    });
    println!(
        "| blob 100 MiB through the server, MB | {} | - | {} | - | {:.2} | - | ≥ 1,000 |",
        number(ours),
        number(third),
        ours / third
    );
}

/// How long one request takes while there is no other.
fn times(world: &World, scale: Scale) {
    let (ours, third) = (world.replica(&Options::default()), world.registry3(false));
    let time = |server: &Server, repository: &str, path: &str| {
        let headers = server.bearer(repository, "pull") + ACCEPT;
        let mut connection = server.connect();
        let path = format!("/v2/{repository}/{path}");
        let times = (0..scale.samples).map(|_| {
            let began = Instant::now();
            assert_eq!(connection.ask("GET", &path, &headers).status, 200);
            began.elapsed()
        });
        common::median(times.collect()).as_secs_f64() * 1e3
    };
    println!(
        "\n| median of one request at a time, ms | PostgreSQL and S3 | registry 3 on S3 | goal |"
    );
    println!("|---|---|---|---|");
    let many = time(&ours, MANY, &page(scale.tags));
    println!("| tags page n=100, from the middle of 500,000 | {many:.2} | - | ≤ 5 |");
    let [few, few_of_third] =
        [&ours, &third].map(|server| time(server, FEW, &page(scale.tags_of_registry3)));
    println!("| tags page n=100, from the middle of 5,000 | {few:.2} | {few_of_third:.2} | - |");
}
