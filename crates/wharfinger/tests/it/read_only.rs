//! Commands that read, run by a user who may read the server's database and not write it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use peers::{Output, Server, http, run, wait_until};
use tempfile::TempDir;

use crate::operation::without_capabilities;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OWNER: u32 = 65_534;

/// A registry whose database is another user's.
struct OthersRegistry {
    server: Server,
    data: TempDir,
}

impl OthersRegistry {
    fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let root = data.path().display();
        let config = format!(
            "server: {{addr: '@addr@'}}\n\
             audit: {{flush: 100ms}}\n\
             notifications: {{endpoints: [{{name: listener, url: 'http://127.0.0.1:9/'}}]}}\n\
             database: {{url: 'sqlite://{root}/w.db'}}\n\
             registry:\n  \
             storage: {{filesystem: {{root: '{root}/content'}}}}\n  \
             auth: {{none: true}}\n  \
             quotas: [{{prefix: team, tags: 7}}]\n"
        );
        let server = Server::start(Path::new(PROGRAM), &config);
        let started = Self { server, data };
        started.push("1");
        started.give_away();
        // The server still writes.
        started.push("2");
        started
    }

    fn push(&self, tag: &str) {
        let body = format!(
            "{{\"schemaVersion\":2,\"mediaType\":\"{INDEX}\",\"manifests\":[],\"annotations\":{{\"n\":\"{tag}\"}}}}"
        );
        let url = self.server.url(&format!("/v2/team/app/manifests/{tag}"));
        let media_type = format!("Content-Type: {INDEX}");
        let pushed = http::request(&["-X", "PUT", "-H", &media_type, "--data-binary", &body, &url]);
        assert_eq!(pushed.status, 201, "{}", pushed.body);
    }

    /// Everyone may read the database, and its owner is another user. The content is closed.
    fn give_away(&self) {
        let directory = self.data.path();
        let files = fs::read_dir(directory)
            .unwrap()
            .map(|it| it.unwrap().path());
        for path in files.chain([directory.to_owned()]) {
            chown(&path, Some(OWNER), Some(OWNER)).unwrap();
            let mode = match path.is_dir() {
                true if path.ends_with("content") => 0o700,
                true => 0o755,
                false => 0o644,
            };
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        }
    }

    /// `wharfinger WORDS` with the configuration for `FILE`, by a user who owns nothing of it.
    fn run(&self, words: &[&str]) -> Output {
        let file = self.server.config();
        let mut command = without_capabilities(PROGRAM);
        command.args(words.iter().map(|word| match *word {
            "FILE" => file.to_str().unwrap(),
            word => word,
        }));
        run(&mut command)
    }

    fn everything_can_be_read(&self) {
        for (words, expected) in [
            (&["registry", "usage", "FILE"][..], "team "),
            (&["registry", "usage", "FILE", "team/app"], "team/app "),
            (&["audit", "list", "FILE"], "manifest_pushed"),
            (&["audit", "who", "FILE", "team/app:2"], "manifest_pushed"),
            (&["audit", "what", "FILE", ""], "manifest_pushed"),
            (&["audit", "export", "FILE"], "manifest_pushed"),
            (&["audit", "changes", "FILE"], "TIME"),
            (&["notifications", "list", "FILE"], "push team/app:2"),
        ] {
            let mut output = self.run(words);
            // Records come into the tables within a moment.
            for _ in 0..100 {
                if output.stdout.contains(expected) {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(50));
                output = self.run(words);
            }
            assert!(output.succeeded().contains(expected), "{words:?}: {output}");
        }
    }

    fn nothing_can_be_written(&self) {
        let file = self.data.path().join("w.db");
        let expected = format!(
            "root (uid 0) may only read {}: run as its owner",
            file.display()
        );
        for words in [
            &["registry", "usage", "FILE", "--recount"][..],
            &["notifications", "retry", "FILE"],
        ] {
            let refused = self.run(words);
            assert_eq!(refused.status.code(), Some(3), "{words:?}: {refused}");
            assert!(refused.stderr.contains(&expected), "{words:?}: {refused}");
        }
    }
}

#[test]
fn a_user_who_may_only_read_the_database_can_list_what_is_in_it() {
    let mut others = OthersRegistry::start();
    others.everything_can_be_read();
    others.nothing_can_be_written();
    assert!(others.server.terminate().success());
    others.everything_can_be_read();
    others.nothing_can_be_written();
    let file = others.data.path().join("w.db");
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    let refused = others.run(&["audit", "list", "FILE"]);
    let expected = format!(
        "root (uid 0) may not read {}: run as its owner",
        file.display()
    );
    assert!(refused.stderr.contains(&expected), "{refused}");
    // The server is not kept from its database.
    fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    others.server.start_again();
    let url = others.server.url("/healthz");
    wait_until(|| http::try_request(&[&url]).is_some_and(|answer| answer.status == 200));
    others.push("3");
}
