//! What is asked for.

use std::time::Duration;

use crate::common::Process;
use crate::common::load::{Figure, warm_load};
use crate::seed::{APP, Image, TAGGED, TAGS, repository, tag};
use crate::servers::{Kind, Server};

/// How long a case is loaded.
pub(crate) const LOAD: Duration = Duration::from_millis(800);

/// A case that only reads.
pub(crate) struct Read {
    pub(crate) name: &'static str,
    pub(crate) case: &'static str,
    pub(crate) goal: &'static str,
    pub(crate) megabytes: bool,
    /// The blob that nginx serves as a file, too.
    pub(crate) blob: Option<usize>,
    url: fn(&Image) -> String,
    scope: (&'static str, &'static str, &'static str),
}

/// How many repositories the catalog has.
pub(crate) const REPOSITORIES: usize = 2_000;

const PULL: (&str, &str, &str) = ("repository", APP, "pull");

/// Every one.
pub(crate) const READS: [Read; 8] = [
    Read {
        name: "tag",
        case: "manifest by tag",
        goal: "≥ 60,000",
        megabytes: false,
        blob: None,
        url: |_| format!("/v2/{APP}/manifests/latest"),
        scope: PULL,
    },
    Read {
        name: "digest",
        case: "manifest by digest",
        goal: "≥ 60,000",
        megabytes: false,
        blob: None,
        url: |image| format!("/v2/{APP}/manifests/{}", image.digest()),
        scope: PULL,
    },
    Read {
        name: "blob-1k",
        case: "blob 1 KiB",
        goal: "≥ 45,000",
        megabytes: false,
        blob: Some(0),
        url: |image| blob(image, 0),
        scope: PULL,
    },
    Read {
        name: "blob-1m",
        case: "blob 1 MiB, MB",
        goal: "≥ nginx",
        megabytes: true,
        blob: Some(1),
        url: |image| blob(image, 1),
        scope: PULL,
    },
    Read {
        name: "blob-100m",
        case: "blob 100 MiB, MB",
        goal: "≥ nginx",
        megabytes: true,
        blob: Some(2),
        url: |image| blob(image, 2),
        scope: PULL,
    },
    Read {
        name: "tags",
        case: "tags page n=100 of 5,000",
        goal: "≥ 10,000",
        megabytes: false,
        blob: None,
        url: |_| tags_page(),
        scope: ("repository", TAGGED, "pull"),
    },
    Read {
        name: "referrers",
        case: "referrers, 100 of them",
        goal: "≥ 8,000",
        megabytes: false,
        blob: None,
        url: referrers,
        scope: PULL,
    },
    Read {
        name: "catalog",
        case: "catalog page n=100 of 2,000, from the middle",
        goal: "≥ 8,000",
        megabytes: false,
        blob: None,
        url: |_| catalog_page(REPOSITORIES / 2),
        scope: ("registry", "catalog", "*"),
    },
];

impl Read {
    /// What `server` answers per CPU-second; none where it does not know the question.
    pub(crate) fn figure(&self, server: &Server, image: &Image) -> Option<f64> {
        if self.name == "referrers" && server.kind != Kind::Ours {
            return None;
        }
        let (url, headers) = self.request(server, image);
        Some(self.rate(get(&server.process, &url, &headers, LOAD)))
    }

    /// Its URL, and the headers that `server` needs.
    pub(crate) fn request(&self, server: &Server, image: &Image) -> (String, String) {
        let (resource, name, actions) = self.scope;
        ((self.url)(image), server.bearer(resource, name, actions))
    }

    pub(crate) fn rate(&self, figure: Figure) -> f64 {
        if self.megabytes {
            figure.megabytes_per_cpu_second()
        } else {
            figure.operations_per_cpu_second()
        }
    }
}

/// Without it Distribution hides images of this type.
pub(crate) const ACCEPT: &str = "Accept: application/vnd.oci.image.manifest.v1+json\r\n";

/// Gets `url` again and again.
pub(crate) fn get(server: &Process, url: &str, headers: &str, time: Duration) -> Figure {
    let headers = format!("{headers}{ACCEPT}");
    warm_load(server, time, |connection, _| {
        let answer = connection.ask("GET", url, &headers);
        assert_eq!(answer.status, 200, "{url}");
        answer.length
    })
}

fn blob(image: &Image, number: usize) -> String {
    format!("/v2/{APP}/blobs/{}", image.blobs[number].digest(0))
}

/// A hundred tags from the middle.
pub(crate) fn tags_page() -> String {
    format!("/v2/{TAGGED}/tags/list?n=100&last={}", tag(TAGS / 2))
}

/// The hundred repositories behind this one of many.
pub(crate) fn catalog_page(number: usize) -> String {
    format!("/v2/_catalog?n=100&last={}", repository(number))
}

/// All that refer to the image.
pub(crate) fn referrers(image: &Image) -> String {
    format!("/v2/{APP}/referrers/{}", image.digest())
}
