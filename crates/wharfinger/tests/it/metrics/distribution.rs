//! Beside Distribution's own registry, with the same file.

use std::path::Path;

use peers::{RegistryConfig, ReservedAddress, RunningRegistry, http, registry_of, registry3};

use super::{EMPTY_INDEX, INDEX, PROGRAM, families, value};

/// A registry and the address of its second port.
struct Debugged {
    registry: RunningRegistry,
    debug: ReservedAddress,
}

impl Debugged {
    fn start(start: impl FnOnce(&RegistryConfig) -> RunningRegistry) -> Self {
        let debug = ReservedAddress::new();
        let config = RegistryConfig {
            more_http: format!("debug: {{addr: '{debug}', prometheus: {{enabled: true}}}}"),
            ..RegistryConfig::default()
        };
        Self {
            registry: start(&config),
            debug,
        }
    }

    /// Requests of each kind, with the same statuses from both.
    fn use_it(&self) {
        let digest = "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
        let kind = format!("Content-Type: {INDEX}");
        let accept = format!("Accept: {INDEX}");
        let request = |more: &[&str], path: &str, status: u16| {
            let url = self.registry.url(path);
            let answer = http::request(&[more, &[&url]].concat());
            assert_eq!(answer.status, status, "{path}: {}", answer.body);
            answer
        };
        request(&[], "/v2/", 200);
        request(&[], "/v2/_catalog", 200);
        let begun = request(&["-X", "POST", "-d", ""], "/v2/app/blobs/uploads/", 202);
        let place = begun.header("location").unwrap();
        let (_, path) = place.split_once("//").unwrap();
        let (_, path) = path.split_once('/').unwrap();
        let sign = if path.contains('?') { '&' } else { '?' };
        let bytes = "Content-Type: application/octet-stream";
        let put = ["-X", "PUT", "-H", bytes, "-d", "a"];
        request(&put, &format!("/{path}{sign}digest={digest}"), 201);
        let push = ["-X", "PUT", "-H", &kind, "-d", EMPTY_INDEX];
        request(&push, "/v2/app/manifests/latest", 201);
        for _ in 0..2 {
            request(&["-H", &accept], "/v2/app/manifests/latest", 200);
            request(&[], &format!("/v2/app/blobs/{digest}"), 200);
        }
        request(&["-I", "-H", &accept], "/v2/app/manifests/latest", 200);
        request(&[], "/v2/app/manifests/other", 404);
        request(&[], "/v2/app/tags/list", 200);
        request(&["-X", "DELETE"], &format!("/v2/app/blobs/{digest}"), 202);
    }

    fn scrape(&self) -> String {
        let answer = http::get(&format!("http://{}/metrics", self.debug));
        assert_eq!(answer.status, 200);
        answer.body
    }
}

#[test]
fn the_metrics_of_registry_3_are_here_with_their_kinds_and_labels() {
    let theirs = Debugged::start(registry3);
    let ours = Debugged::start(|config| registry_of(Path::new(PROGRAM), config));
    theirs.use_it();
    ours.use_it();
    let (theirs, ours) = (theirs.scrape(), ours.scrape());
    let here = families(&ours);
    let mut compared = 0;
    for (name, (kind, labels)) in families(&theirs) {
        // A cache of another registry, and Go's own, have no equal.
        if !name.starts_with("registry_") || name.starts_with("registry_proxy_") {
            continue;
        }
        let (our_kind, our_labels) = here
            .get(&name)
            .unwrap_or_else(|| panic!("no {name}\n{ours}"));
        assert_eq!(our_kind, &kind, "{name}");
        // Nothing was sent, so there are no labels.
        if !labels.is_empty() {
            assert_eq!(our_labels, &labels, "{name}");
        }
        compared += 1;
    }
    assert!(compared >= 8, "{compared}\n{theirs}");
    let counted = |scrape: &str| {
        let samples = scrape.lines().filter(|line| {
            line.starts_with("registry_http_requests_total")
                || line.starts_with("registry_http_request_duration_seconds_count")
                || line.starts_with("registry_http_response_size_bytes_count")
        });
        // What no request has used is listed by Distribution.
        let mut samples: Vec<_> = samples
            .filter(|line| !line.ends_with(" 0"))
            .map(str::to_owned)
            .collect();
        samples.sort();
        samples
    };
    assert_eq!(counted(&ours), counted(&theirs));
    let bounds = |scrape: &str, name: &str| {
        let prefix = format!("{name}_bucket{{");
        let lines = scrape.lines().filter(|line| line.starts_with(&prefix));
        let bounds = lines.filter_map(|line| line.split_once("le=\"")?.1.split('"').next());
        let mut bounds: Vec<f64> = bounds.filter_map(|bound| bound.parse().ok()).collect();
        bounds.sort_by(f64::total_cmp);
        bounds.dedup();
        bounds
    };
    for name in [
        "registry_http_request_duration_seconds",
        "registry_http_request_size_bytes",
        "registry_http_response_size_bytes",
        "registry_storage_action_seconds",
    ] {
        assert_eq!(bounds(&ours, name), bounds(&theirs, name), "{name}");
    }
    let sent = "registry_http_response_size_bytes_sum{handler=\"blob\"}";
    assert_eq!(value(&ours, sent), value(&theirs, sent));
}
