//! What is pushed. Every answer is counted after the server has said that it is safe.

use std::time::Duration;

use crate::common::load::{Figure, load};
use crate::content::{Content, LARGE, MEDIUM, SMALL, image, put_manifest};
use crate::servers::{Kind, Server, directory};

const REPOSITORY: &str = "bench/push";

/// A case that pushes.
pub(crate) struct Push {
    pub(crate) name: &'static str,
    pub(crate) case: &'static str,
    pub(crate) goal: &'static str,
    pub(crate) limit: Limit,
    size: usize,
    how: How,
    time: Duration,
}

/// What cannot be passed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// How fast SHA-256 is.
    Hash,
    /// How fast a file is made, named and safe.
    Disk,
}

enum How {
    Put,
    Patch,
    Image,
}

/// Every one. The largest are pushed once over each connection.
pub(crate) static PUSHES: [Push; 5] = [
    Push {
        name: "push-1k",
        case: "push 1 KiB blob, per second, durable",
        goal: "≥ 2,000",
        limit: Limit::Disk,
        size: SMALL,
        how: How::Put,
        time: Duration::from_secs(3),
    },
    Push {
        name: "push-1m",
        case: "push 1 MiB, MB",
        goal: "≥ 600",
        limit: Limit::Hash,
        size: MEDIUM,
        how: How::Put,
        time: Duration::from_secs(2),
    },
    Push {
        name: "push-100m",
        case: "push 100 MiB, one PUT, MB",
        goal: "≥ 700",
        limit: Limit::Hash,
        size: LARGE,
        how: How::Put,
        time: Duration::ZERO,
    },
    Push {
        name: "patch-100m",
        case: "push 100 MiB, PATCH + PUT, MB",
        goal: "≥ 700",
        limit: Limit::Hash,
        size: LARGE,
        how: How::Patch,
        time: Duration::ZERO,
    },
    Push {
        name: "image",
        case: "small image (two blobs and a manifest), per second, durable",
        goal: "≥ 900",
        limit: Limit::Disk,
        size: SMALL,
        how: How::Image,
        time: Duration::from_secs(3),
    },
];

impl Push {
    /// What a new server of this kind takes in: MB per CPU-second, or operations per second of the
    /// clock.
    pub(crate) fn figure(&self, kind: Kind) -> f64 {
        let directory = directory();
        let server = Server::start(kind, directory.path());
        let figure = self.load(&server);
        match self.limit {
            Limit::Hash => figure.megabytes_per_cpu_second(),
            Limit::Disk => figure.operations_per_second(),
        }
    }

    /// The case of this name.
    pub(crate) fn named(name: &str) -> &'static Self {
        PUSHES.iter().find(|push| push.name == name).unwrap()
    }

    /// Pushes to a server.
    pub(crate) fn load(&self, server: &Server) -> Figure {
        let content = Content::new(self.size);
        let bearer = server.bearer("repository", REPOSITORY, "pull,push");
        load(
            &server.process,
            self.time,
            |connection, number| match self.how {
                How::Put => content.put(connection, REPOSITORY, &bearer, number),
                How::Patch => content.patch(connection, REPOSITORY, &bearer, number),
                How::Image => {
                    // The numbers of two blobs, which no other connection uses.
                    let (config, layer) = (number << 1, number << 1 | 1);
                    content.put(connection, REPOSITORY, &bearer, config);
                    content.put(connection, REPOSITORY, &bearer, layer);
                    let [config, layer] =
                        [config, layer].map(|number| (content.digest(number), self.size));
                    put_manifest(
                        connection,
                        REPOSITORY,
                        &format!("t{number}"),
                        &bearer,
                        &image(config, &[layer], None),
                    );
                    2 * self.size as u64
                }
            },
        )
    }
}
