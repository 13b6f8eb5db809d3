//! Replicas are replaced one after the other while clients push and pull, and nothing fails.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use oci::media_type::OCI_INDEX;
use peers::{Docker, Image, Server, crane, wait_until};

use super::cluster::Cluster;
use super::world::SetOnDrop;
use crate::e2e::world::{ADMIN, login};
use crate::token_login::basic;
use crate::wire::Connection;

/// How often each replica is replaced.
const ROUNDS: usize = 1;
/// How many runs of a client end while a replica is replaced, and after.
const RUNS: usize = 1;
/// Longer than a part of the store's, so that requests are under way when a replica stops.
const LAYER: usize = 6 << 20;

/// An image of nothing.
const INDEX: &str =
    r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}"#;

/// What a replica responds that listens before it has its database.
const STARTING: &str = "has not reached its database yet";

/// A client that runs again and again.
#[derive(Default)]
struct Progress {
    runs: AtomicUsize,
    has_ended: AtomicBool,
}

impl Progress {
    /// Runs a client until `is_over`. `run` gets the number of the run.
    fn repeat(
        &self,
        is_over: &AtomicBool,
        mut run: impl FnMut(usize) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut outcome = Ok(());
        while outcome.is_ok() && !is_over.load(Ordering::SeqCst) {
            outcome = run(self.runs.load(Ordering::SeqCst));
            self.runs.fetch_add(1, Ordering::SeqCst);
        }
        self.has_ended.store(true, Ordering::SeqCst);
        outcome
    }

    /// Waits until the client has run some more times, or has failed.
    fn wait_for_more(&self) {
        let until = self.runs.load(Ordering::SeqCst) + RUNS;
        wait_until(|| {
            self.runs.load(Ordering::SeqCst) >= until || self.has_ended.load(Ordering::SeqCst)
        });
    }
}

fn docker_pushes_and_pulls(docker: &Docker, host: &str, number: usize) -> Result<(), String> {
    let client = docker.client();
    let reference = format!("{host}/docker/app:{number}");
    let imported = docker.import(&Image::saying(&format!("docker {number}")), &reference);
    imported.succeeded();
    // Each client is a new one, so that it logs in.
    for output in [
        login(&client, &[], ADMIN, host),
        client.run(&["push", &reference]),
        client.run(&["rmi", &reference]),
        client.run(&["pull", &reference]),
        client.run(&["rmi", &reference]),
    ] {
        success(&output)?;
    }
    Ok(())
}

fn crane_pushes_and_pulls(host: &str, number: usize) -> Result<(), String> {
    let crane = crane();
    let text = format!("crane {number} ");
    let image = Image::saying(&text.repeat(LAYER / text.len()));
    let layout = image.layout().display().to_string();
    let reference = format!("{host}/crane/app:{number}");
    let archive = crane.home().join("pulled.tar").display().to_string();
    let login = ["auth", "login", host, "-u", ADMIN.0, "--password-stdin"];
    for output in [
        crane.run_with_input(&login, ADMIN.1),
        crane.run(&["push", &layout, &reference]),
        crane.run(&["pull", &reference, &archive]),
    ] {
        success(&output)?;
    }
    let digest = crane.run(&["digest", &reference]);
    success(&digest)?;
    match digest.stdout.trim() == image.digest() {
        true => Ok(()),
        false => Err(format!("{digest}: it should be {}", image.digest())),
    }
}

/// Requests that neither this client nor nginx repeats, as docker's push of a manifest: each must succeed.
fn requests_without_a_second_try(host: &str, token: &str, number: usize) -> Result<(), String> {
    let mut connection = Connection::open(host);
    let mut send = |line: &str, body: &str, expected: u16| {
        let head = format!(
            "{line} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: {OCI_INDEX}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let sent = connection.send(head.as_bytes());
        let sent = sent.and_then(|()| connection.send(body.as_bytes()));
        match sent.and_then(|()| connection.answer(false)) {
            Ok(answer) if answer.status == expected => Ok(()),
            // On a machine that is very busy, the database does not answer in time.
            Ok(answer) if answer.status == 503 && !answer.body.contains(STARTING) => Ok(()),
            other => Err(format!("{line}: {other:?}")),
        }
    };
    for _ in 0..10 {
        send("POST /v2/plain/app/blobs/uploads/", "", 202)?;
        send(&format!("PUT /v2/plain/app/manifests/{number}"), INDEX, 201)?;
    }
    Ok(())
}

fn token(host: &str) -> String {
    let url = "/auth?service=wharfinger&scope=repository:plain/app:pull,push";
    let login = basic(ADMIN.0, ADMIN.1);
    let headers = [("Authorization", login.as_str())];
    let answer = Connection::open(host).request("GET", url, &headers, None);
    answer.json()["token"].as_str().unwrap().to_owned()
}

fn success(output: &peers::Output) -> Result<(), String> {
    match output.status.success() {
        true => Ok(()),
        false => Err(output.to_string()),
    }
}

#[test]
fn a_rolling_restart_fails_no_run_of_docker_or_crane() {
    let mut cluster = Cluster::start(", drain: 1s", "    redirect: {enabled: false}\n");
    let host = cluster.host();
    let docker = Docker::start();
    let token = token(&host);
    let [docker_progress, crane_progress, plain_progress] = [(); 3].map(|()| Progress::default());
    let is_over = AtomicBool::new(false);
    let outcomes = thread::scope(|scope| {
        let running = [
            scope.spawn(|| {
                docker_progress.repeat(&is_over, |number| {
                    docker_pushes_and_pulls(&docker, &host, number)
                })
            }),
            scope.spawn(|| {
                crane_progress.repeat(&is_over, |number| crane_pushes_and_pulls(&host, number))
            }),
            scope.spawn(|| {
                plain_progress.repeat(&is_over, |number| {
                    requests_without_a_second_try(&host, &token, number)
                })
            }),
        ];
        let over = SetOnDrop(&is_over);
        for number in (0..ROUNDS).flat_map(|_| 0..3) {
            let server: &mut Server = &mut cluster.replicas.servers[number];
            let ended = server.terminate();
            assert!(ended.success(), "{}", server.log());
            assert!(!server.log().contains("aborted"), "{}", server.log());
            docker_progress.wait_for_more();
            server.start_again();
            cluster.wait_until_ready(number);
            crane_progress.wait_for_more();
        }
        drop(over);
        running.map(|client| client.join().unwrap())
    });
    for outcome in outcomes {
        assert!(
            outcome.is_ok(),
            "{}\n{}",
            outcome.unwrap_err(),
            cluster.logs()
        );
    }
    println!(
        "{} runs of docker, {} of crane, {} of plain requests",
        docker_progress.runs.into_inner(),
        crane_progress.runs.into_inner(),
        plain_progress.runs.into_inner()
    );
    // No replica has lost a request that nginx had sent.
    let nginx = cluster.nginx.log();
    let mut lost = nginx
        .lines()
        .filter(|line| line.contains("[error]") && !line.contains("Connection refused"));
    assert_eq!(lost.next(), None);
    let verify = cluster.replicas.command(&["registry", "verify"]);
    verify.succeeded();
}
