//! Metrics and health checks: their names beside Distribution's, who may read them, and what is made of
//! them.

mod dashboard;
mod distribution;
mod health;

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use peers::{
    Prometheus, ReservedAddress, Server, TestCertificate, TestKeyKind, check_metrics, http, run,
};
use tempfile::TempDir;

use crate::personal_tokens::basic;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// bcrypt of `badmin`.
const ADMIN: &str = "$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const EMPTY_INDEX: &str = "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[]}";
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// Both servers in one process, with everything on that has metrics.
struct Measured {
    server: Server,
    _folder: TempDir,
}

impl Measured {
    /// With these settings of `server.metrics`, and this database.
    fn start(metrics: &str, database: Option<&str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
        let place = folder.path().display();
        let file = format!("sqlite://{place}/w.db");
        let config = format!(
            "server: {{addr: '@addr@', metrics: {{{metrics}}}}}\n\
             token: {{issuer: i, expiration: 900, certificate: {}, key: {}}}\n\
             users: {{admin: {{password: '{ADMIN}'}}}}\n\
             acl: [{{match: {{account: admin}}, actions: ['*']}}]\n\
             database: {{url: '{}'}}\n\
             audit: {{flush: 100ms}}\n\
             notifications: {{endpoints: [{{name: away, url: 'http://127.0.0.1:9/'}}]}}\n\
             registry:\n  \
             storage: {{filesystem: {{root: '{place}/content'}}, delete: true}}\n  \
             quotas: [{{prefix: app, bytes: 1GiB, tags: 100}}, {{prefix: team, tags: 5}}]\n",
            pair.certificate.display(),
            pair.key.display(),
            database.unwrap_or(&file),
        );
        let server = Server::start(Path::new(PROGRAM), &config);
        // A server listens before it has reached PostgreSQL.
        for _ in 0..600 {
            if http::get(&server.url("/readyz")).status == 200 {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        Self {
            server,
            _folder: folder,
        }
    }

    fn token(&self, scope: &str) -> String {
        let service = http::get(&self.server.url("/v2/"));
        let challenge = service.header("www-authenticate").unwrap();
        let service = challenge.split("service=\"").nth(1).unwrap();
        let service = service.split('"').next().unwrap().replace(' ', "%20");
        let url = self
            .server
            .url(&format!("/auth?service={service}&scope={scope}"));
        let login = format!("Authorization: {}", basic("admin", "badmin"));
        let answer = http::request(&["-H", &login, &url]);
        answer.json_string("token").unwrap().to_owned()
    }

    /// Pushes an index and a blob, and pulls both.
    fn push_and_pull(&self, repository: &str) {
        let token = self.token(&format!("repository:{repository}:pull,push,delete"));
        let login = format!("Authorization: Bearer {token}");
        let kind = format!("Content-Type: {INDEX}");
        let request = |more: &[&str], path: &str, status: u16| {
            let url = self.server.url(&format!("/v2/{repository}/{path}"));
            let answer = http::request(&[&["-H", &login], more, &[&url]].concat());
            assert_eq!(answer.status, status, "{path}: {}", answer.body);
        };
        // The SHA-256 of `a`.
        let digest = "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";
        let upload = format!("blobs/uploads/?digest={digest}");
        let bytes = "Content-Type: application/octet-stream";
        request(&["-X", "POST", "-H", bytes, "-d", "a"], &upload, 201);
        let push = ["-X", "PUT", "-H", &kind, "-d", EMPTY_INDEX];
        request(&push, "manifests/latest", 201);
        for _ in 0..3 {
            request(&[], "manifests/latest", 200);
            request(&[], &format!("blobs/{digest}"), 200);
        }
        request(&[], "manifests/nothing", 404);
        request(&["-I"], "manifests/latest", 200);
    }

    fn scrape(&self, arguments: &[&str]) -> http::Answer {
        let url = self.server.url("/metrics");
        let login = format!("Authorization: Bearer {TOKEN}");
        http::request(&[&["-H", &login], arguments, &[&url]].concat())
    }
}

/// The metrics of a scrape: their kinds, and the names of their labels, by their names. A histogram
/// has no `le` here.
fn families(scrape: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
    let mut families = BTreeMap::new();
    let mut current = None;
    for line in scrape.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            let labels = BTreeSet::new();
            families.insert(name.to_owned(), (kind.to_owned(), labels));
            current = Some(name.to_owned());
        } else if !line.starts_with('#')
            && let Some((_, rest)) = line.split_once('{')
            && let Some((_, labels)) = current.as_ref().and_then(|name| families.get_mut(name))
        {
            let names = rest.split('}').next().unwrap().split("\",");
            let names = names.map(|label| label.split('=').next().unwrap().to_owned());
            labels.extend(names.filter(|name| name != "le"));
        }
    }
    families
}

/// The value of the sample that begins like this.
fn value(scrape: &str, sample: &str) -> f64 {
    let found = scrape.lines().find_map(|line| line.strip_prefix(sample));
    let found = found.unwrap_or_else(|| panic!("{sample} is not in\n{scrape}"));
    found.split_whitespace().next().unwrap().parse().unwrap()
}

#[test]
fn a_token_opens_the_metrics_on_the_main_address() {
    let measured = Measured::start(&format!("token: {TOKEN}"), None);
    let url = measured.server.url("/metrics");
    for headers in [
        &[][..],
        &["-H", "Authorization: Bearer wrong"],
        &["-H", "Authorization: Bearer "],
        &["-u", "admin:badmin"],
    ] {
        let answer = http::request(&[headers, &[&url]].concat());
        assert_eq!(answer.status, 401, "{headers:?}");
        assert!(!answer.body.contains("registry_"), "{}", answer.body);
        let challenge = answer.header("www-authenticate");
        assert_eq!(challenge, Some("Bearer realm=\"metrics\""));
    }
    let answer = measured.scrape(&[]);
    assert_eq!(answer.status, 200);
    let kind = answer.header("content-type").unwrap();
    assert_eq!(kind, "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(measured.scrape(&["-X", "POST"]).status, 405);
    // Health is for the address of operators.
    assert_eq!(http::get(&measured.server.url("/debug/health")).status, 404);
}

#[test]
fn the_address_of_operators_has_nothing_else_and_no_other_has_the_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("operators.sock");
    let socket = socket.to_str().unwrap();
    let measured = Measured::start(&format!("addr: '{socket}'"), None);
    let operators = |path: &str| {
        let url = format!("http://operators{path}");
        http::request(&["--unix-socket", socket, &url])
    };
    assert_eq!(operators("/metrics").status, 200);
    assert_eq!(operators("/debug/health").body, "{}");
    assert_eq!(operators("/livez").status, 200);
    assert_eq!(operators("/readyz").status, 200);
    for path in ["/", "/v2/", "/auth", "/auth/token", "/api/v1/accounts"] {
        assert_eq!(operators(path).status, 404, "{path}");
    }
    for path in ["/metrics", "/debug/health"] {
        let answer = http::get(&measured.server.url(path));
        assert!(!answer.body.contains("registry_http"), "{path}");
        assert_eq!(answer.status, 404, "{path}");
    }
}

/// More connections than the address has room for, all from one client and without a request.
#[test]
fn idle_connections_to_the_address_of_operators_shut_no_one_out() {
    let operators = ReservedAddress::new();
    let _measured = Measured::start(&format!("addr: '{operators}'"), None);
    let idle: Vec<_> = (0..80)
        .map(|_| TcpStream::connect(operators.address()).unwrap())
        .collect();
    for path in ["/livez", "/metrics", "/readyz", "/debug/health"] {
        let answer = http::get(&format!("http://{operators}{path}"));
        assert_eq!(answer.status, 200, "{path}");
    }
    drop(idle);
}

#[test]
fn metrics_that_everyone_could_read_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("w.yml");
    let rest = "registry: {auth: {none: true}, storage: {inmemory: true}}\n";
    for (metrics, message) in [
        ("{}", "everyone could read the metrics"),
        ("{path: /m}", "everyone could read the metrics"),
        ("{token: short}", "too short"),
        ("{addr: ':9090', path: metrics}", "must be a path such as"),
    ] {
        let text = format!("server: {{addr: ':5000', metrics: {metrics}}}\n{rest}");
        std::fs::write(&file, text).unwrap();
        let output = run(Command::new(PROGRAM).arg("check").arg(&file));
        assert!(!output.status.success(), "{metrics}: {output}");
        assert!(output.stdout.contains(message), "{metrics}: {output}");
    }
}

#[test]
fn what_happens_is_counted_and_promtool_accepts_the_scrape() {
    let measured = Measured::start(&format!("token: {TOKEN}"), None);
    measured.push_and_pull("team/app");
    let scrape = measured.scrape(&[]).body;
    // Distribution's name for a gauge, which promtool does not like.
    let ours: Vec<&str> = scrape
        .lines()
        .filter(|line| !line.contains("registry_notifications_pending_total"))
        .collect();
    let lint = check_metrics(&(ours.join("\n") + "\n"));
    assert!(lint.status.success() && lint.stderr.is_empty(), "{lint}");
    for (sample, expected) in [
        (
            "registry_http_requests_total{code=\"200\",handler=\"manifest\",method=\"get\"}",
            3.0,
        ),
        (
            "registry_http_requests_total{code=\"200\",handler=\"manifest\",method=\"head\"}",
            1.0,
        ),
        (
            "registry_http_requests_total{code=\"201\",handler=\"manifest\",method=\"put\"}",
            1.0,
        ),
        (
            "registry_http_requests_total{code=\"404\",handler=\"manifest\",method=\"get\"}",
            1.0,
        ),
        (
            "registry_http_requests_total{code=\"201\",handler=\"blob_upload\",method=\"post\"}",
            1.0,
        ),
        (
            "registry_http_requests_total{code=\"401\",handler=\"base\",method=\"get\"}",
            1.0,
        ),
        (
            "registry_http_request_duration_seconds_count{handler=\"manifest\",method=\"get\"}",
            4.0,
        ),
        (
            "registry_http_in_flight_requests{handler=\"manifest\"}",
            0.0,
        ),
        (
            "registry_http_response_size_bytes_sum{handler=\"blob\"}",
            3.0,
        ),
        (
            "wharfinger_http_requests_total{code=\"200\",handler=\"token\",method=\"get\"}",
            1.0,
        ),
        (
            "wharfinger_tokens_total{backend=\"users\",outcome=\"issued\"}",
            1.0,
        ),
        (
            "wharfinger_logins_total{backend=\"users\",outcome=\"accepted\"}",
            1.0,
        ),
        ("wharfinger_events_total{event=\"manifest_pushed\"}", 1.0),
        (
            "wharfinger_repository_pulls_total{repository=\"team/app\"}",
            3.0,
        ),
        (
            "wharfinger_repository_pulls_total{repository=\"_other\"}",
            0.0,
        ),
        ("wharfinger_blob_bytes_total{action=\"pull\"}", 3.0),
        ("wharfinger_blob_bytes_total{action=\"push\"}", 1.0),
        (
            "wharfinger_token_verifications_total{outcome=\"verified\"}",
            1.0,
        ),
        ("wharfinger_login_cache_total{outcome=\"miss\"}", 1.0),
        ("wharfinger_build_info", 1.0),
    ] {
        let name = match sample {
            "wharfinger_build_info" => "wharfinger_build_info{version=\"0.1.0\"}",
            other => other,
        };
        assert_eq!(value(&scrape, name), expected, "{sample}\n{scrape}");
    }
    let remembered = value(
        &scrape,
        "wharfinger_token_verifications_total{outcome=\"remembered\"}",
    );
    assert!(remembered >= 9.0, "{remembered}");
    assert!(value(&scrape, "wharfinger_database_commit_writes_count") >= 2.0);
    assert!(value(&scrape, "process_resident_memory_bytes") > 1e6);
}

#[test]
fn what_strangers_write_becomes_no_label() {
    let measured = Measured::start(&format!("token: {TOKEN}"), None);
    let before = measured.scrape(&[]).body.lines().count();
    for number in 0..50 {
        for path in [
            format!("/v2/stranger{number}/manifests/latest"),
            format!("/v2/stranger{number}/nothing/here"),
            format!("/auth?service=stranger{number}&account=stranger{number}"),
            format!("/stranger{number}"),
        ] {
            let method = format!("METHOD{number}");
            let url = measured.server.url(&path);
            let user = format!("stranger{number}:secret");
            let _ = http::try_request(&["-u", &user, &url]);
            let _ = http::try_request(&["-X", &method, &url]);
        }
    }
    let scrape = measured.scrape(&[]).body;
    assert!(!scrape.to_lowercase().contains("stranger"), "{scrape}");
    assert!(!scrape.contains("METHOD"), "{scrape}");
    let after = scrape.lines().count();
    assert!(after < before + 250, "{before} and {after} lines");
}

#[test]
fn a_real_prometheus_reads_it_and_finds_the_request_of_an_exemplar() {
    let measured = Measured::start(&format!("token: {TOKEN}"), None);
    measured.push_and_pull("app");
    let prometheus = Prometheus::start(&format!(
        "- {{job_name: wharfinger, scrape_interval: 1s, authorization: {{credentials: '{TOKEN}'}}, \
         static_configs: [{{targets: ['{}']}}]}}\n",
        measured.server.host_port()
    ));
    let found = (0..60).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(500));
        let up = prometheus.api("query?query=up");
        up.contains(",\"1\"]").then_some(up)
    });
    assert!(found.is_some(), "{}", prometheus.api("targets"));
    let pulls = prometheus.api("query?query=wharfinger_repository_pulls_total");
    assert!(
        pulls.contains("\"repository\":\"app\"") && pulls.contains(",\"3\"]"),
        "{pulls}"
    );
    let exemplars = prometheus.api(
        "query_exemplars?query=registry_http_request_duration_seconds_bucket&start=1&end=9999999999",
    );
    let (_, id) = exemplars
        .split_once("\"request_id\":\"")
        .unwrap_or_else(|| panic!("no exemplar in {exemplars}"));
    let id = id.split('"').next().unwrap();
    let log = measured.server.log();
    assert!(
        log.contains(&format!("request_id=\"{id}\"")) || log.contains(id),
        "{id}\n{log}"
    );
}
