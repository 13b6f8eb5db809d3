//! Notifications of the program: beside those of registry 3, through crashes, and by the commands.

mod beside_registry3;
mod commands;
mod crashes;
mod several_servers;

use std::path::Path;
use std::process::Command;

use peers::{HttpStub, Output, Server, StubAnswer, StubRequest, http, run, wait_until};
use serde_json::Value;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A registry for everyone that tells an endpoint of what happens, and the folder of its content.
struct NotifyingServer {
    server: Server,
    folder: TempDir,
}

impl NotifyingServer {
    /// With these keys of `notifications`.
    fn start(notifications: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = config(&folder, notifications);
        let server = Server::start(Path::new(PROGRAM), &config);
        Self { server, folder }
    }

    /// Starts again with other keys of `notifications`.
    fn restart(&mut self, notifications: &str) {
        self.server.terminate();
        let config = config(&self.folder, notifications);
        let address = self.server.host_port();
        self.server.rewrite(&config.replace("@addr@", &address));
        self.server.start_again();
        wait_until_healthy(&self.server);
    }

    /// `wharfinger notifications WORDS`, with the configuration for `FILE`.
    fn run(&self, words: &[&str]) -> Output {
        let file = self.server.config();
        let words = words.iter().map(|word| match *word {
            "FILE" => file.to_str().unwrap(),
            word => word,
        });
        run(Command::new(PROGRAM).arg("notifications").args(words))
    }
}

fn config(folder: &TempDir, notifications: &str) -> String {
    let root = folder.path().display();
    format!(
        "server: {{addr: \"@addr@\"}}\n\
         notifications: {{{notifications}}}\n\
         registry:\n  auth: {{none: true}}\n  storage: {{filesystem: {{root: \"{root}\"}}, delete: true}}\n"
    )
}

/// An endpoint called `name`, which is tried again soon.
fn endpoint(name: &str, url: &str) -> String {
    format!("endpoints: [{{name: {name}, url: '{url}', threshold: 1, backoff: 50ms}}]")
}

fn wait_until_healthy(server: &Server) {
    let is_up = || http::try_request(&[&server.url("/healthz")]);
    wait_until(|| is_up().is_some_and(|answer| answer.status == 200));
}

fn accepting() -> HttpStub {
    HttpStub::start(|_| StubAnswer::Status(200, String::new()))
}

/// Pushes an index that is not there yet, and returns the status.
fn push(server: &Server, repository: &str, tag: &str) -> u16 {
    let body = format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{INDEX}\",\"manifests\":[],\"annotations\":{{\"n\":\"{tag}\"}}}}"
    );
    let (url, media_type) = (
        server.url(&format!("/v2/{repository}/manifests/{tag}")),
        format!("Content-Type: {INDEX}"),
    );
    http::request(&["-X", "PUT", "-H", &media_type, "--data-binary", &body, &url]).status
}

/// The events that an endpoint got, of these actions.
fn events(stub: &HttpStub, action: &str) -> Vec<Value> {
    let requests = stub.requests();
    let events = requests.iter().flat_map(events_of);
    events.filter(|event| event["action"] == action).collect()
}

fn events_of(request: &StubRequest) -> Vec<Value> {
    let body: Value = serde_json::from_str(&request.body).unwrap();
    body["events"].as_array().unwrap().clone()
}

/// `REPOSITORY:TAG` of each push that an endpoint got, in its order.
fn pushed(stub: &HttpStub) -> Vec<String> {
    let events = events(stub, "push");
    let images = events.iter().map(|event| {
        let target = &event["target"];
        let text = |name: &str| target[name].as_str().unwrap_or_default().to_owned();
        format!("{}:{}", text("repository"), text("tag"))
    });
    images.collect()
}

/// Returns when an endpoint has got so many events.
fn wait_for(stub: &HttpStub, events: usize) {
    wait_until(|| stub.requests().iter().flat_map(events_of).count() >= events);
}
