//! Large transfers over real connections: HTTP/1.1 and HTTP/2, clients that stop in the middle,
//! disks that take no more, and the end of the server.

pub(crate) mod disks;
mod ending;
mod http2;
mod stalls;

use std::path::Path;

use oci::{Digest, DigestAlgorithm};
use peers::Server;
use tempfile::TempDir;

use crate::wire::{Answer, Connection};

const MIB: usize = 1 << 20;

/// An open registry, and the folder with its content.
struct Open {
    server: Server,
    folder: TempDir,
}

impl Open {
    /// With these settings beside its address.
    fn start(settings: &str) -> Self {
        Self::again(tempfile::tempdir().unwrap(), settings)
    }

    /// With the content in `folder`.
    fn again(folder: TempDir, settings: &str) -> Self {
        let root = folder.path().to_owned();
        Self::at(&root, folder, settings)
    }

    /// With its content under `root`.
    fn at(root: &Path, folder: TempDir, settings: &str) -> Self {
        let (root, database) = (root.display(), folder.path().join("w.db"));
        let config = format!(
            "server: {{addr: \"@addr@\"{settings}}}\nregistry:\n  auth: {{none: true}}\n  storage: {{filesystem: {{root: \"{root}\"}}}}\ndatabase: {{url: \"sqlite://{}\"}}\n",
            database.display()
        );
        Self {
            server: Server::start(Path::new(env!("CARGO_BIN_EXE_wharfinger")), &config),
            folder,
        }
    }

    fn connect(&self) -> Connection {
        Connection::open(&self.server.host_port())
    }

    fn ask(&self, method: &str, url: &str, headers: &[(&str, &str)]) -> Answer {
        self.connect().request(method, url, headers, None)
    }

    /// The path of a new upload.
    fn begin(&self) -> String {
        let answer = self.ask("POST", "/v2/a/blobs/uploads/", &[("Content-Length", "0")]);
        assert_eq!(answer.status, 202, "{}", answer.body);
        answer
            .header("location")
            .unwrap()
            .strip_prefix("http://test")
            .unwrap()
            .to_owned()
    }

    /// How much of an upload is there, in bytes.
    fn received(&self, upload: &str) -> usize {
        let answer = self.ask("GET", upload, &[]);
        assert_eq!(answer.status, 204, "{}", answer.body);
        let (_, last) = answer.header("range").unwrap().split_once('-').unwrap();
        // Nothing and one byte read alike.
        match last.parse::<usize>().unwrap() {
            0 => 0,
            last => last + 1,
        }
    }

    /// Ends an upload with what is left of `content`.
    fn go_on(&self, upload: &str, content: &[u8]) {
        let rest = &content[self.received(upload)..];
        let head = head(
            "PUT",
            &format!("{upload}?digest={}", digest(content)),
            rest.len(),
        );
        let mut connection = self.connect();
        connection.send(head.as_bytes()).unwrap();
        connection.send(rest).unwrap();
        let answer = connection.answer(false).unwrap();
        assert_eq!(answer.status, 201, "{}", answer.body);
    }

    /// Pushes a blob and says where it is.
    fn push(&self, content: &[u8]) -> String {
        let url = format!("/v2/a/blobs/uploads/?digest={}", digest(content));
        let mut connection = self.connect();
        connection
            .send(head("POST", &url, content.len()).as_bytes())
            .unwrap();
        connection.send(content).unwrap();
        assert_eq!(connection.answer(false).unwrap().status, 201);
        format!("/v2/a/blobs/{}", digest(content))
    }
}

/// The head of a request with a body of this length.
fn head(method: &str, url: &str, length: usize) -> String {
    format!("{method} {url} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n")
}

fn digest(content: &[u8]) -> Digest {
    storage::hash::digest(DigestAlgorithm::Sha256, content)
}

/// Bytes that are not all the same.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 7 % 251) as u8).collect()
}
