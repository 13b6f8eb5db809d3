//! Distribution's `validation.manifests`, beside a registry 3 with the same file: both take and refuse
//! the same manifests.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use oci::{DigestAlgorithm, media_type};
use peers::{ReservedAddress, http, program};
use storage::hash;
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// A registry that ends with its test.
struct Running {
    child: Child,
    base: String,
    _address: ReservedAddress,
    _folder: TempDir,
}

impl Running {
    fn start(program: &Path, validation: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = ReservedAddress::new();
        let file = folder.path().join("config.yml");
        let root = folder.path().join("data");
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{address}'}}\n{validation}",
            root.display(),
        );
        std::fs::write(&file, config).unwrap();
        let child = Command::new(program)
            .arg("serve")
            .arg(&file)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let running = Self {
            child,
            base: format!("http://{address}"),
            _address: address.clone(),
            _folder: folder,
        };
        for _ in 0..200 {
            if std::net::TcpStream::connect(address.address()).is_ok() {
                return running;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("{} does not listen", program.display());
    }

    fn put(&self, tag: &str, kind: &str, manifest: &str) -> u16 {
        let url = format!("{}/v2/a/manifests/{tag}", self.base);
        let kind = format!("Content-Type: {kind}");
        http::request(&["-X", "PUT", "-H", &kind, "--data-binary", manifest, &url]).status
    }

    /// A blob that manifests refer to.
    fn blob(&self, content: &str) {
        let url = format!("{}/v2/a/blobs/uploads/", self.base);
        let begun = http::request(&["-X", "POST", &url]);
        let location = begun.header("location").unwrap().to_owned();
        let location = match location.strip_prefix('/') {
            Some(path) => format!("{}/{path}", self.base),
            None => location,
        };
        let mark = if location.contains('?') { '&' } else { '?' };
        let digest = hash::digest(DigestAlgorithm::Sha256, content.as_bytes());
        let url = format!("{location}{mark}digest={digest}");
        let kind = "Content-Type: application/octet-stream";
        let put = http::request(&["-X", "PUT", "-H", kind, "--data-binary", content, &url]);
        assert_eq!(put.status, 201, "{}", put.body);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn descriptor(kind: &str, content: &str, more: &str) -> String {
    let digest = hash::digest(DigestAlgorithm::Sha256, content.as_bytes());
    format!(
        r#"{{"mediaType":"{kind}","digest":"{digest}","size":{}{more}}}"#,
        content.len()
    )
}

/// An image whose layer has this URL.
fn with_url(url: &str) -> String {
    let layer = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]}}"#,
        media_type::OCI_MANIFEST,
        descriptor("application/vnd.oci.image.config.v1+json", "{}", ""),
        descriptor(layer, url, &format!(r#","urls":["{url}"]"#)),
    )
}

/// An index of an image for linux/amd64 that is there if `has_linux`, and one for windows that is not.
fn index(linux: &str) -> String {
    let on = |os: &str| format!(r#","platform":{{"os":"{os}","architecture":"amd64"}}"#);
    format!(
        r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{},{}]}}"#,
        media_type::OCI_INDEX,
        descriptor(media_type::OCI_MANIFEST, linux, &on("linux")),
        descriptor(media_type::OCI_MANIFEST, "not there", &on("windows")),
    )
}

#[test]
fn the_same_manifests_are_taken_as_by_a_registry_3() {
    let urls = "urls: {allow: ['^https?://([^/]+\\.)*example\\.com/'], deny: ['^https?://www\\.example\\.com/']}";
    let platforms = "indexes: {platforms: list, platformlist: [{os: linux, architecture: amd64}]}";
    for validation in [
        format!("validation: {{manifests: {{{urls}}}}}"),
        format!("validation: {{manifests: {{{urls}, {platforms}}}}}"),
        "validation: {manifests: {urls: {deny: ['bad']}, indexes: {platforms: none}}}".to_owned(),
        "validation: {manifests: {urls: {allow: []}, indexes: {platforms: all}}}".to_owned(),
        "validation: {disabled: true}".to_owned(),
    ] {
        let both = [program("registry"), PROGRAM.into()].map(|program| {
            let running = Running::start(&program, &validation);
            running.blob("{}");
            let mut taken = Vec::new();
            for url in [
                "https://a.example.com/x",
                "https://www.example.com/x",
                "https://other/x",
                "https://bad/x",
                "ftp://a.example.com/x",
            ] {
                let status = running.put("image", media_type::OCI_MANIFEST, &with_url(url));
                // Theirs looks at the scheme even then.
                if validation.contains("disabled") && url.starts_with("ftp:") {
                    continue;
                }
                taken.push((url.to_owned(), status == 201));
            }
            let linux = format!(
                r#"{{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[]}}"#,
                media_type::OCI_MANIFEST,
                descriptor("application/vnd.oci.image.config.v1+json", "{}", ""),
            );
            // Without its image for linux, then with it.
            for name in ["none", "linux"] {
                let status = running.put(name, media_type::OCI_INDEX, &index(&linux));
                taken.push((name.to_owned(), status == 201));
                let pushed = running.put("linux-image", media_type::OCI_MANIFEST, &linux);
                assert_eq!(pushed, 201, "{validation}");
            }
            taken
        });
        let [theirs, ours] = both;
        // Without `indexes`, ours accepts what the specification allows.
        let compared = match validation.contains("indexes") || validation.contains("disabled") {
            true => theirs.len(),
            false => theirs.len() - 2,
        };
        assert_eq!(ours[..compared], theirs[..compared], "{validation}");
    }
}
