//! A registry whose tags go by rules, and what is required of it after a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::Duration;

use peers::{Breakpoint, HttpStub, Output, Postgres, PostgresProxy, Server, StubAnswer, http};
use serde_json::Value;
use tempfile::TempDir;

use super::{GRACE, INDEX, REPOSITORY};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");
/// Every tag goes, but these.
const RULES: &str = "{repositories: 'team/**', keep: {tags: ['keep-*']}}";

/// A registry whose tags go by the rules, and an endpoint that it tells.
pub(super) struct Scene {
    pub(super) server: Server,
    stub: HttpStub,
    /// The tags that were pushed, and whether that was acknowledged.
    pub(super) pushed: Mutex<BTreeMap<String, bool>>,
    proxy: Option<PostgresProxy>,
    _postgres: Option<Postgres>,
    _folder: TempDir,
}

impl Scene {
    pub(super) fn in_sqlite(schedule: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = format!("sqlite://{}/wharfinger.db", folder.path().display());
        Self::start(folder, &database, schedule, None)
    }

    pub(super) fn in_postgresql(schedule: &str) -> Self {
        let postgres = Postgres::start();
        postgres.run("postgres", "CREATE ROLE wharfinger LOGIN PASSWORD 'sesame'");
        postgres.run("postgres", "CREATE DATABASE wharfinger OWNER wharfinger");
        Self::beside(postgres, schedule)
    }

    pub(super) fn beside(postgres: Postgres, schedule: &str) -> Self {
        let proxy = PostgresProxy::start(postgres.port());
        let database = format!(
            "postgres://wharfinger:sesame@127.0.0.1:{}/wharfinger?sslmode=disable",
            proxy.port()
        );
        let folder = tempfile::tempdir().unwrap();
        Self::start(folder, &database, schedule, Some((postgres, proxy)))
    }

    pub(super) fn start(
        folder: TempDir,
        database: &str,
        schedule: &str,
        postgres: Option<(Postgres, PostgresProxy)>,
    ) -> Self {
        let stub = HttpStub::start(|_| StubAnswer::Status(200, String::new()));
        let config = format!(
            "server: {{addr: '@addr@'}}\n\
             database: {{url: '{database}'}}\n\
             audit: {{flush: 100ms}}\n\
             notifications: {{endpoints: [{{name: one, url: '{}', threshold: 1, backoff: 50ms}}]}}\n\
             registry:\n  storage: {{filesystem: {{root: '{}/content'}}}}\n  auth: {{none: true}}\n  \
             gc: {{grace: 1s, schedule: never}}\n  retention: {{schedule: {schedule}, rules: [{RULES}]}}\n",
            stub.url("/"),
            folder.path().display()
        );
        let server = Server::start(Path::new(PROGRAM), &config);
        let (postgres, proxy) = postgres.unzip();
        let scene = Self {
            server,
            stub,
            pushed: Mutex::default(),
            proxy,
            _postgres: postgres,
            _folder: folder,
        };
        scene.wait_until_ready();
        scene
    }

    fn wait_until_ready(&self) {
        let url = self.server.url("/readyz");
        while http::try_request(&[&url]).is_none_or(|answer| answer.status != 200) {
            sleep(Duration::from_millis(50));
        }
    }

    pub(super) fn start_again(&mut self) {
        self.server.start_again();
        self.wait_until_ready();
    }

    /// Kills the server, and starts it again without a schedule: from now on, no tag goes by itself.
    pub(super) fn kill_for_good(&mut self) {
        self.server.kill();
        if let Some(proxy) = &self.proxy {
            proxy.hold_nothing();
        }
        let config = std::fs::read_to_string(self.server.config()).unwrap();
        let config = config.replace("schedule: 1m", "schedule: off");
        self.server.rewrite(&config);
        self.start_again();
    }

    /// Holds the next statement of a process that runs this function of the database, or its answer.
    pub(super) fn hold(&self, function: &str, is_done: bool) -> Breakpoint {
        let proxy = self.proxy.as_ref().unwrap();
        match is_done {
            true => proxy.hold_answer(function),
            false => proxy.hold_statement(function),
        }
    }

    fn url(&self, reference: &str) -> String {
        self.server
            .url(&format!("/v2/{REPOSITORY}/manifests/{reference}"))
    }

    /// Pushes a manifest of this tag's own.
    pub(super) fn push(&self, tag: &str) -> bool {
        self.pushed.lock().unwrap().insert(tag.to_owned(), false);
        let (url, body) = (self.url(tag), content(tag));
        let kind = format!("Content-Type: {INDEX}");
        let words = ["-X", "PUT", "-H", &kind, "--data-binary", &body, &url];
        let is_stored = http::try_request(&words).is_some_and(|answer| answer.status == 201);
        if is_stored {
            self.pushed.lock().unwrap().insert(tag.to_owned(), true);
        }
        is_stored
    }

    /// Pushes these, and waits until they may go.
    pub(super) fn push_all(&self, tags: &[&str]) {
        for tag in tags {
            assert!(self.push(tag), "{}", self.server.log());
        }
        sleep(GRACE);
    }

    /// What a client gets; `None` if the server is away, or its database is.
    fn pull(&self, tag: &str) -> Option<String> {
        let answer = http::try_request(&[&self.url(tag)])?;
        match answer.status {
            200 => Some(answer.body),
            404 => Some(String::new()),
            _ => None,
        }
    }

    pub(super) fn has(&self, tag: &str) -> bool {
        loop {
            match self.pull(tag) {
                Some(body) if body.is_empty() => return false,
                Some(body) => {
                    assert_eq!(body, content(tag));
                    return true;
                }
                None => sleep(Duration::from_millis(50)),
            }
        }
    }

    fn command(&self, words: &[&str]) -> Command {
        let file = self.server.config();
        let mut command = Command::new(PROGRAM);
        command.args(words.iter().map(|word| match *word {
            "FILE" => file.to_str().unwrap(),
            word => word,
        }));
        command
    }

    pub(super) fn run(&self, words: &[&str]) -> Output {
        peers::run(&mut self.command(words))
    }

    pub(super) fn begin(&self, words: &[&str]) -> Child {
        let mut command = self.command(words);
        let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
        quiet.spawn().unwrap()
    }

    /// The tags that can be restored.
    pub(super) fn restorable(&self) -> BTreeSet<String> {
        let listed = self.run(&["registry", "undelete", "FILE", "--json"]);
        let listed: Value = serde_json::from_str(listed.succeeded()).unwrap();
        let tombstones = listed["tombstones"].as_array().unwrap();
        tombstones.iter().map(tag_of).collect()
    }

    /// How often each tag has an event of this kind.
    fn events(&self, kind: &str) -> BTreeMap<String, usize> {
        let exported = self.run(&["audit", "export", "FILE", "--event", kind]);
        let mut counts = BTreeMap::new();
        for line in exported.succeeded().lines() {
            let event: Value = serde_json::from_str(line).unwrap();
            if kind == "tag_removed_by_retention" {
                assert_eq!(event["reason"], "rule 1 does not keep it");
            }
            *counts.entry(tag_of(&event)).or_default() += 1;
        }
        counts
    }

    /// How many different notifications of this action the endpoint got for each tag.
    fn told(&self, action: &str) -> BTreeMap<String, usize> {
        let mut ids = BTreeMap::<String, BTreeSet<String>>::new();
        for request in self.stub.requests() {
            let body: Value = serde_json::from_str(&request.body).unwrap();
            for event in body["events"].as_array().unwrap() {
                if event["action"] == action {
                    let tag = event["target"]["tag"].as_str().unwrap_or_default();
                    let id = event["id"].as_str().unwrap().to_owned();
                    ids.entry(tag.to_owned()).or_default().insert(id);
                }
            }
        }
        ids.into_iter().map(|(tag, ids)| (tag, ids.len())).collect()
    }

    /// Requires that nothing is lost, and restores all that is gone. Returns how often each tag was removed.
    pub(super) fn require_consistent(&mut self) -> BTreeMap<String, usize> {
        // A server that is ended has recorded all.
        self.server.terminate();
        self.start_again();
        self.wait_for_records();
        let [removed, restored] =
            ["tag_removed_by_retention", "tag_restored"].map(|kind| self.events(kind));
        let restorable = self.restorable();
        let pushed = self.pushed.lock().unwrap().clone();
        let mut gone = Vec::new();
        for (tag, is_acknowledged) in &pushed {
            let count = |events: &BTreeMap<String, usize>| events.get(tag).copied().unwrap_or(0);
            let (removals, returns) = (count(&removed), count(&restored));
            if self.has(tag) {
                assert_eq!(removals, returns, "{tag} is there");
            } else if restorable.contains(tag) {
                assert!(!tag.starts_with("keep-"), "{tag} was not planned to go");
                assert_eq!(removals, returns + 1, "{tag} is gone");
                gone.push(tag.clone());
            } else {
                assert!(!is_acknowledged, "{tag} is lost");
                assert_eq!((removals, returns), (0, 0), "{tag} was never there");
            }
        }
        assert!(removed.keys().all(|tag| pushed.contains_key(tag)));
        assert!(restorable.iter().all(|tag| gone.contains(tag)));
        for tag in gone {
            let image = format!("{REPOSITORY}:{tag}");
            self.run(&["registry", "undelete", "FILE", &image])
                .succeeded();
            assert!(self.has(&tag), "{tag} came back");
        }
        self.run(&["registry", "verify", "FILE"]).succeeded();
        removed
    }

    /// Waits until the audit table has what was stored with changes.
    fn wait_for_records(&self) {
        let tag = format!("keep-{}", self.pushed.lock().unwrap().len());
        while !self.push(&tag) {}
        while !self.events("tag_moved").contains_key(&tag) {
            sleep(Duration::from_millis(50));
        }
    }

    /// Requires that the endpoint was told of all pushes that were acknowledged, and of these removals.
    pub(super) fn require_told(&self, removed: &BTreeMap<String, usize>) {
        while !self.push("keep-last") {}
        // What happens to a repository is told in its order.
        while !self.told("push").contains_key("keep-last") {
            sleep(Duration::from_millis(50));
        }
        assert_eq!(&self.told("delete"), removed);
        let told = self.told("push");
        for (tag, is_acknowledged) in &*self.pushed.lock().unwrap() {
            let is_there = self.has(tag);
            assert!(is_there || !is_acknowledged, "{tag}");
            assert_eq!(told.contains_key(tag), is_there, "{tag}: {told:?}");
        }
    }
}

/// The manifest of a tag.
pub(super) fn content(tag: &str) -> String {
    format!(
        "{{\"schemaVersion\":2,\"mediaType\":\"{INDEX}\",\"manifests\":[],\"annotations\":{{\"n\":\"{tag}\"}}}}"
    )
}

fn tag_of(object: &Value) -> String {
    object["tag"].as_str().unwrap().to_owned()
}
