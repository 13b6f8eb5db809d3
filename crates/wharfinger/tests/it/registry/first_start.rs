//! `registry:2` is stopped, and this program is started in its place, on the same file and the same
//! data directory.

use std::fs;
use std::path::Path;

use oci::Digest;
use peers::{Image, http, program};

use super::layout::{Layout, image};
use super::registry_2::Running;
use super::world::{pulls, push};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

const BEGINS: &str = "adopting the existing registry data in place";
const ENDS: &str = "adopted; the files stay as they are";

fn ours(data: &Path) -> Running {
    Running::start_on(Path::new(PROGRAM), data)
}

#[test]
fn what_another_registry_has_left_pulls_at_once() {
    for theirs in ["docker-registry", "registry"] {
        let data = tempfile::tempdir().unwrap();
        let (one, two) = (Image::saying("one"), Image::saying("two"));
        {
            let before = Running::start_on(&program(theirs), data.path());
            push(&one, before.host_port(), "team/app:1");
            push(&one, before.host_port(), "team/app:moved");
            push(&two, before.host_port(), "team/app:moved");
            push(&two, before.host_port(), "other:2");
            let begun = http::request(&["-X", "POST", &before.url("/v2/other/blobs/uploads/")]);
            let place = begun.header("location").unwrap();
            let half = [
                "-X",
                "PATCH",
                "-H",
                "Content-Type: application/octet-stream",
                "--data-binary",
                "half",
                place,
            ];
            assert_eq!(http::request(&half).status, 202);
        }
        let server = ours(data.path());
        for (name, image) in [
            ("team/app:1", &one),
            ("team/app:moved", &two),
            ("other:2", &two),
        ] {
            pulls(server.host_port(), name, image);
            let (repository, _) = name.split_once(':').unwrap();
            pulls(
                server.host_port(),
                &format!("{repository}@{}", image.digest()),
                image,
            );
        }
        let tags = http::get(&server.url("/v2/team/app/tags/list"));
        assert_eq!(tags.body, r#"{"name":"team/app","tags":["1","moved"]}"#);
        let three = Image::saying("three");
        push(&three, server.host_port(), "team/app:3");
        server.wait_for_log(ENDS);
        let log = server.log();
        assert!(
            log.contains(BEGINS) && log.contains("an upload that was never finished"),
            "{log}"
        );
        assert!(
            log.contains("repositories=2 tags=3 manifests=3 blobs=6 problems=1"),
            "{log}"
        );
        let gone = ["-X", "DELETE", &server.url("/v2/team/app/manifests/1")];
        assert_eq!(http::request(&gone).status, 202);
        drop(server);
        // Once is enough: what was deleted here stays deleted.
        let server = ours(data.path());
        assert_eq!(
            http::get(&server.url("/v2/team/app/manifests/1")).status,
            404
        );
        pulls(server.host_port(), "team/app:3", &three);
        pulls(server.host_port(), "team/app:moved", &two);
        assert!(!server.log().contains(BEGINS), "{}", server.log());
    }
}

/// A data directory with many small repositories.
struct Many {
    data: Layout,
    digests: Vec<(Digest, Digest)>,
}

impl Many {
    fn new(repositories: usize) -> Self {
        let mut many = Self {
            data: Layout::in_memory(),
            digests: Vec::new(),
        };
        (0..repositories).for_each(|number| many.add(number));
        many
    }

    fn add(&mut self, number: usize) {
        let (repository, config) = (
            format!("team/r{number}"),
            format!("{{\"number\":{number}}}"),
        );
        let blob = self.data.layer(&repository, config.as_bytes());
        let manifest =
            self.data
                .manifest(&repository, image(&blob, config.len()).as_bytes(), "latest");
        self.digests.push((manifest, blob));
    }

    /// What needs all of it is refused, with what to do first.
    #[track_caller]
    fn is_not_taken_for_whole(&self) {
        let folder = tempfile::tempdir().unwrap();
        let (file, data) = (
            folder.path().join("config.yml"),
            self.data.path().display().to_string(),
        );
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {data}}}}}\nhttp: {{addr: ':1'}}\n"
        );
        fs::write(&file, config).unwrap();
        let to = folder.path().join("to").display().to_string();
        let first = format!("wharfinger registry adopt {} {data}\n", file.display());
        for (words, code) in [
            (["adopt", &data, "--final"], 1),
            (["backup", &to, "--json"], 3),
            (["export", &to, "--json"], 3),
        ] {
            let mut run = std::process::Command::new(PROGRAM);
            let output = peers::run(
                run.args(["registry", words[0]])
                    .arg(&file)
                    .args(&words[1..]),
            );
            assert_eq!(output.status.code(), Some(code), "{output}");
            let told = format!("run this first: {first}");
            assert!(
                format!("{}\n", output.refused()).contains(&told),
                "{output}"
            );
        }
    }

    /// Asks for everything of one repository, in one of the orders in which that can be done.
    #[track_caller]
    fn pull(&self, server: &Running, number: usize) {
        let (manifest, blob) = &self.digests[number];
        let at = |rest: &str| server.url(&format!("/v2/team/r{number}/{rest}"));
        let mut asked = [
            at("manifests/latest"),
            at(&format!("manifests/{manifest}")),
            at(&format!("blobs/{blob}")),
            at("tags/list"),
        ];
        asked.rotate_left(number % 4);
        for url in asked {
            let answer = http::get(&url);
            assert_eq!(answer.status, 200, "{url}: {}", answer.body);
        }
    }
}

#[test]
fn nothing_is_missing_while_it_is_read_and_after_a_kill() {
    let many = Many::new(3000);
    let server = ours(many.data.path());
    // The reading goes from the first on, in the order of their names.
    for number in [999, 998, 997] {
        many.pull(&server, number);
    }
    let gone = server.url("/v2/team/r996/manifests/latest");
    assert_eq!(http::request(&["-X", "DELETE", &gone]).status, 202);
    let pushed = Image::saying("pushed meanwhile");
    push(&pushed, server.host_port(), "team/r995:new");
    // With SIGKILL, and in the middle.
    drop(server);
    many.is_not_taken_for_whole();

    let server = ours(many.data.path());
    assert!(
        server.log().contains(BEGINS),
        "it was not interrupted: {}",
        server.log()
    );
    for number in [994, 999, 1500, 2999, 1, 2] {
        many.pull(&server, number);
    }
    let gone = server.url("/v2/team/r996/manifests/latest");
    assert_eq!(
        http::get(&gone).status,
        404,
        "what was deleted stays deleted"
    );
    pulls(server.host_port(), "team/r995:new", &pushed);
    server.wait_for_log(ENDS);
    for number in (0..3000).step_by(61) {
        many.pull(&server, number);
    }
    assert_eq!(
        http::get(&gone).status,
        404,
        "what was deleted stays deleted"
    );
    // r99 to r999: itself, and ten with a digit more.
    let catalog = http::get(&server.url("/v2/_catalog?n=1000&last=team/r98999"));
    assert_eq!(
        catalog.body.matches("team/r").count(),
        11,
        "{}",
        catalog.body
    );
}
