//! The envelopes of this registry and of registry 3, which do the same with the same configuration.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use peers::{
    Auth, HttpStub, RegistryConfig, RunningRegistry, StubRequest, http, registry_of, registry3,
    run_with_input,
};
use serde_json::Value;

use super::{PROGRAM, accepting, events_of};

/// bcrypt of `badmin`.
const HASH: &str = "$2y$05$LO.vzwpWC5LZGqThvEfznu8qhb5SGqvBSWY1J3yZ4AxtMRZ3kN5jC";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// SHA-256 of `hello` and of `{}`.
const HELLO: &str = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
const EMPTY: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

/// A registry, and the endpoint that it tells.
struct Side {
    registry: RunningRegistry,
    endpoint: HttpStub,
}

impl Side {
    fn new(folder: &Path, start: impl FnOnce(&RegistryConfig) -> RunningRegistry) -> Self {
        let endpoint = accepting();
        let passwords = folder.join("htpasswd");
        fs::write(&passwords, format!("admin:{HASH}\n")).unwrap();
        let config = RegistryConfig {
            auth: Auth::Htpasswd(passwords),
            more: format!(
                "notifications:\n  events: {{includereferences: true}}\n  endpoints:\n  - name: one\n    \
                 url: {}\n    timeout: 5000000000\n    threshold: 5\n    backoff: 1s\n    headers:\n      \
                 Authorization: [Bearer t]\n      X-Two: [a, b]\n    ignoredmediatypes: [application/ignored]\n",
                endpoint.url("/callback?from=tests")
            ),
            ..RegistryConfig::default()
        };
        let registry = start(&config);
        Self { registry, endpoint }
    }

    /// Sends a request, and returns the status and the digest of the response.
    fn send(&self, method: &str, path: &str, media_type: &str, body: &str) -> (u16, String) {
        let url = match path.starts_with("http") {
            true => path.to_owned(),
            false => self.registry.url(path),
        };
        let content = format!("Content-Type: {media_type}");
        let accept = format!("Accept: {MANIFEST}, {INDEX}");
        let mut words = vec![
            "-u",
            "admin:badmin",
            "-A",
            "tests/1",
            "-H",
            &content,
            "-H",
            &accept,
        ];
        match method {
            "HEAD" => words.push("--head"),
            "GET" => {}
            _ => words.extend(["-X", method, "--data-binary", body]),
        }
        words.push(&url);
        let answer = http::request(&words);
        let location = answer.header("location").unwrap_or_default();
        (answer.status, location.to_owned())
    }

    fn upload(&self, repository: &str, body: &str, digest: &str) {
        let octets = "application/octet-stream";
        let begin = format!("/v2/{repository}/blobs/uploads/");
        let (status, location) = self.send("POST", &begin, octets, "");
        assert_eq!(status, 202);
        let separator = if location.contains('?') { '&' } else { '?' };
        let end = format!("{location}{separator}digest={digest}");
        assert_eq!(self.send("PUT", &end, octets, body).0, 201);
    }

    /// The events since so many requests came, without what must differ.
    fn take(&self, from: usize, count: usize) -> Vec<String> {
        // What is not told never comes.
        for _ in 0..1000 {
            if self.endpoint.requests().len() >= from + count {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        let requests = self.endpoint.requests();
        let events = requests[from..].iter().flat_map(events_of);
        let host = self.registry.host_port();
        events.map(|event| comparable(event, &host)).collect()
    }
}

/// An event as text, so that the order of its members counts. Ids, times, ports and the names of
/// machines differ, and are checked for their form.
fn comparable(mut event: Value, host: &str) -> String {
    let is_uuid = |id: &Value| id.as_str().is_some_and(|id| id.len() == 36);
    assert!(
        is_uuid(&event["id"]) && is_uuid(&event["source"]["instanceID"]),
        "{event}"
    );
    let time = event["timestamp"].as_str().unwrap();
    assert!(time.starts_with("20") && time.contains('T'), "{event}");
    assert!(!event["request"]["id"].as_str().unwrap().is_empty());
    let source = event["source"]["addr"].as_str().unwrap();
    let port = host.rsplit_once(':').unwrap().1;
    assert!(source.ends_with(&format!(":{port}")), "{event}");
    let address = event["request"]["addr"].as_str().unwrap();
    assert_eq!(address.split(':').next(), Some("127.0.0.1"), "{event}");
    for pointer in [
        "/id",
        "/timestamp",
        "/request/id",
        "/request/addr",
        "/source/addr",
        "/source/instanceID",
    ] {
        *event.pointer_mut(pointer).unwrap() = Value::Null;
    }
    event.to_string().replace(host, "HOST")
}

/// An image, with members whose order and characters show how it is read.
fn image() -> String {
    format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{MANIFEST}\",\"config\":{{\"mediaType\":\
         \"application/vnd.oci.image.config.v1+json\",\"digest\":\"{EMPTY}\",\"size\":2}},\"layers\":[{{\
         \"annotations\":{{\"b\":\"<1>\",\"a\":\"&\"}},\"mediaType\":\"application/vnd.oci.image.layer.v1.tar\",\
         \"digest\":\"{HELLO}\",\"size\":5}}]}}"
    )
}

/// An index of one image.
fn index(image: &str) -> String {
    format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{INDEX}\",\"manifests\":[{{\"mediaType\":\"{MANIFEST}\",\
         \"digest\":\"{}\",\"size\":{},\"platform\":{{\"os\":\"linux\",\"architecture\":\"arm64\",\
         \"variant\":\"v8\"}}}}]}}",
        sha256(image),
        image.len()
    )
}

/// What is done, how many events it causes, and how it is done.
type Step = (&'static str, usize, Box<dyn Fn(&Side) -> u16>);

fn steps() -> Vec<Step> {
    let image = image();
    let image_digest = sha256(&image);
    let index = index(&image);
    let index_digest = sha256(&index);
    let by_digest = |digest: &str| format!("/v2/team/app/manifests/{digest}");
    let blob = format!("/v2/team/app/blobs/{HELLO}");
    let mount = format!("/v2/other/app/blobs/uploads/?mount={HELLO}&from=team/app");
    let tagged = "/v2/team/app/manifests/1.0";
    let send = |method: &'static str, path: String, media_type: &'static str, body: String| {
        Box::new(move |side: &Side| side.send(method, &path, media_type, &body).0)
            as Box<dyn Fn(&Side) -> u16>
    };
    let upload = |body: &'static str, digest: &'static str| {
        Box::new(move |side: &Side| {
            side.upload("team/app", body, digest);
            201_u16
        }) as Box<dyn Fn(&Side) -> u16>
    };
    vec![
        ("a blob is pushed", 1, upload("hello", HELLO)),
        ("another one", 1, upload("{}", EMPTY)),
        (
            "a manifest is pushed by tag",
            1,
            send("PUT", tagged.into(), MANIFEST, image.clone()),
        ),
        (
            "an index is pushed by digest",
            1,
            send("PUT", by_digest(&index_digest), INDEX, index),
        ),
        (
            "a manifest is asked for",
            1,
            send("HEAD", tagged.into(), "", String::new()),
        ),
        (
            "it is pulled by tag",
            1,
            send("GET", tagged.into(), "", String::new()),
        ),
        (
            "and by digest",
            1,
            send("GET", by_digest(&image_digest), "", String::new()),
        ),
        (
            "a blob is pulled",
            1,
            send("GET", blob.clone(), "", String::new()),
        ),
        (
            "and asked for",
            1,
            send("HEAD", blob.clone(), "", String::new()),
        ),
        (
            "a blob is mounted",
            1,
            send("POST", mount, "", String::new()),
        ),
        (
            "a push is refused",
            0,
            send(
                "PUT",
                "/v2/team/app/manifests/bad".into(),
                MANIFEST,
                image.replace(HELLO, &image_digest),
            ),
        ),
        (
            "a tag is deleted",
            1,
            send("DELETE", tagged.into(), "", String::new()),
        ),
        (
            "a manifest is deleted",
            1,
            send("DELETE", by_digest(&index_digest), "", String::new()),
        ),
        (
            "a blob is deleted",
            1,
            send("DELETE", blob, "", String::new()),
        ),
        (
            "what is unknown is deleted",
            0,
            send("DELETE", by_digest(&index_digest), "", String::new()),
        ),
        (
            "and asked for",
            0,
            send("GET", by_digest(&index_digest), "", String::new()),
        ),
    ]
}

/// Requires that two requests differ in nothing that an endpoint may look at.
fn requests_are_alike(ours: &StubRequest, theirs: &StubRequest) {
    assert_eq!((&ours.method, &ours.path), (&theirs.method, &theirs.path));
    for name in ["content-type", "authorization"] {
        assert_eq!(ours.header(name), theirs.header(name), "{name}");
    }
    let all = |request: &StubRequest| {
        let fields = request.headers.iter().filter(|(name, _)| name == "x-two");
        fields.map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    assert_eq!(all(ours), all(theirs));
    // Both write three spaces for each level.
    let indented = |body: &str| body.lines().nth(2).map(str::to_owned);
    assert_eq!(indented(&ours.body), indented(&theirs.body));
}

#[test]
fn envelopes_are_those_of_registry_3() {
    let folder = tempfile::tempdir().unwrap();
    let ours = Side::new(folder.path(), |config| {
        registry_of(Path::new(PROGRAM), config)
    });
    let theirs = Side::new(folder.path(), registry3);
    let sides = [&ours, &theirs];
    let mut told = 0;
    for (what, count, step) in steps() {
        let statuses = sides.map(&step);
        assert_eq!(statuses[0] / 100, statuses[1] / 100, "{what}: {statuses:?}");
        let [ours, theirs] = sides.map(|side| side.take(told, count));
        assert_eq!(ours, theirs, "{what}");
        assert_eq!(ours.len(), count, "{what}: {ours:?}");
        told += count;
    }
    // The requests around them.
    let [ours, theirs] = sides.map(|side| side.endpoint.requests().remove(0));
    requests_are_alike(&ours, &theirs);
}

/// What Quiq/registry-ui stores of each event.
#[derive(Debug, PartialEq, Eq)]
struct StoredByRegistryUi {
    action: String,
    repository: String,
    tag: String,
    ip: String,
    user: String,
}

/// As its `ProcessEvents` reads a body.
fn registry_ui(body: &str) -> Vec<StoredByRegistryUi> {
    let body: Value = serde_json::from_str(body).unwrap();
    let events = body["events"].as_array().unwrap().iter();
    let text = |event: &Value, pointer: &str| {
        let text = event.pointer(pointer).and_then(Value::as_str);
        text.unwrap_or_default().to_owned()
    };
    let own = |event: &&Value| text(event, "/request/useragent") != "docker-registry-ui";
    let stored = events.filter(own).map(|event| {
        let tag = match text(event, "/target/tag") {
            tag if tag.is_empty() => text(event, "/target/digest"),
            tag => tag,
        };
        let address = text(event, "/request/addr");
        StoredByRegistryUi {
            action: text(event, "/action"),
            repository: text(event, "/target/repository"),
            tag,
            ip: address.split(':').next().unwrap_or_default().to_owned(),
            user: text(event, "/actor/name"),
        }
    });
    stored.collect()
}

#[test]
fn registry_ui_reads_what_it_shows() {
    let folder = tempfile::tempdir().unwrap();
    let side = Side::new(folder.path(), |config| {
        registry_of(Path::new(PROGRAM), config)
    });
    let index = format!("{{\"schemaVersion\":2,\"mediaType\":\"{INDEX}\",\"manifests\":[]}}");
    let digest = sha256(&index);
    side.send("PUT", "/v2/team/app/manifests/1.0", INDEX, &index);
    side.take(0, 1);
    side.send("GET", &format!("/v2/team/app/manifests/{digest}"), "", "");
    side.take(1, 1);
    side.send("DELETE", "/v2/team/app/manifests/1.0", "", "");
    side.take(2, 1);
    let stored = |action: &str, tag: &str| StoredByRegistryUi {
        action: action.to_owned(),
        repository: "team/app".to_owned(),
        tag: tag.to_owned(),
        ip: "127.0.0.1".to_owned(),
        user: "admin".to_owned(),
    };
    let requests = side.endpoint.requests();
    let read: Vec<_> = requests
        .iter()
        .flat_map(|it| registry_ui(&it.body))
        .collect();
    let expected = [
        stored("push", "1.0"),
        stored("pull", &digest),
        stored("delete", "1.0"),
    ];
    assert_eq!(read, expected);
}

fn sha256(text: &str) -> String {
    let output = run_with_input(&mut Command::new("sha256sum"), text);
    let sum = output.succeeded().split(' ').next();
    format!("sha256:{}", sum.unwrap())
}
