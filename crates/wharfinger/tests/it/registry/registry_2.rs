//! `registry:2`'s place: the same file and the same variables start docker-registry and this
//! program, and a client sees no difference.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use peers::{Output, ReservedAddress, TestCertificate, TestKeyKind, http, program};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

/// The file of the image registry:2, which every one of its manuals builds on.
const IMAGE: &str = include_str!("../../../src/config/distribution/tests/registry-2.8-image.yml");

/// bcrypt of `secret`, as `htpasswd -nbB` writes it.
const HTPASSWD: &str = "alice:$2y$05$46GincwW0k5Lk.a4CjT2y.ebjWYrk14U9s2/fNwBCUtpZ1mWvjW3u\n";

const DIGEST: &str = "sha256:ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb";

/// A registry that ends with its test.
pub(crate) struct Running {
    child: Child,
    /// Its URL, without a path.
    pub(crate) base: String,
    _address: ReservedAddress,
    /// Its data, unless they are elsewhere, and the file that configured it.
    folder: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// Starts `program` under the name `registry` with the image's file and `variables`; `@dir@` is
    /// its folder.
    pub(crate) fn start(program: &Path, variables: &[(&str, &str)]) -> Self {
        let data = ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", "@dir@/data");
        Self::start_with(program, &[&[data], variables].concat())
    }

    /// Starts `program` with the image's file and `data` as its data directory.
    pub(crate) fn start_on(program: &Path, data: &Path) -> Self {
        let data = (
            "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY",
            data.to_str().unwrap(),
        );
        Self::start_with(
            program,
            &[data, ("REGISTRY_STORAGE_DELETE_ENABLED", "true")],
        )
    }

    fn start_with(program: &Path, variables: &[(&str, &str)]) -> Self {
        Self::start_with_file(program, IMAGE, variables)
    }

    /// Starts `program` with a file of this content, whose data are in the folder of the test.
    fn start_with_file(program: &Path, content: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("config.yml");
        std::fs::write(
            &file,
            content.replace(
                "/var/lib/registry",
                folder.path().join("data").to_str().unwrap(),
            ),
        )
        .unwrap();
        std::fs::write(folder.path().join("htpasswd"), HTPASSWD).unwrap();
        let _files = TestCertificate::new(TestKeyKind::P256, folder.path(), "tls");
        let address = ReservedAddress::new();
        let place = folder.path().display().to_string();
        let filled = variables
            .iter()
            .map(|(name, value)| (*name, value.replace("@dir@", &place)));
        let child = Command::new(program)
            .arg0("registry")
            .arg("serve")
            .arg(&file)
            .env("REGISTRY_HTTP_ADDR", address.to_string())
            // Registry 3 would look for a collector of traces.
            .env("OTEL_TRACES_EXPORTER", "none")
            .envs(filled)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let scheme = if variables
            .iter()
            .any(|(name, _)| name.starts_with("REGISTRY_HTTP_TLS"))
        {
            "https"
        } else {
            "http"
        };
        let running = Self {
            child,
            base: format!("{scheme}://{address}"),
            _address: address,
            folder,
        };
        running.wait();
        running
    }

    fn wait(&self) {
        for _ in 0..600 {
            if http::try_request(&[&format!("{}/v2/", self.base)]).is_some() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("it does not answer:\n{}", self.log());
    }

    /// Asks it to end, and waits until it has.
    fn stop(&mut self) {
        let id = self.child.id().to_string();
        peers::run(Command::new("kill").args(["-TERM", &id])).succeeded();
        assert!(self.child.wait().unwrap().success());
    }

    /// `127.0.0.1:PORT`, as image names begin with.
    pub(crate) fn host_port(&self) -> &str {
        self.base.split("://").last().unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// What it logged until now.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Waits until its log holds `text`.
    pub(crate) fn wait_for_log(&self, text: &str) {
        for _ in 0..1200 {
            if self.log().contains(text) {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("never logged {text:?}:\n{}", self.log());
    }

    /// What a client sees: of each answer the status, the challenge and what else is asked for.
    fn answers(&self) -> Vec<String> {
        let requests: [(&str, &[&str], &str); 7] = [
            ("GET", &[], "/v2/"),
            ("GET", &["-u", "alice:secret"], "/v2/"),
            ("GET", &["-u", "alice:wrong"], "/v2/"),
            ("GET", &[], "/v2/a/b/tags/list"),
            ("POST", &["-d", ""], "/v2/a/b/blobs/uploads/"),
            (
                "DELETE",
                &["-u", "alice:secret"],
                &format!("/v2/a/b/manifests/{DIGEST}"),
            ),
            ("GET", &["-H", "Authorization: Bearer e30.e30.e30"], "/v2/"),
        ];
        requests
            .iter()
            .map(|(method, arguments, path)| self.answer(method, arguments, path))
            .collect()
    }

    fn answer(&self, method: &str, arguments: &[&str], path: &str) -> String {
        let url = format!("{}{path}", self.base);
        let arguments: Vec<&str> = ["-X", method]
            .iter()
            .chain(arguments)
            .copied()
            .chain([url.as_str()])
            .collect();
        let answer = http::request(&arguments);
        let header = |name: &str| {
            answer
                .header(name)
                .unwrap_or("-")
                .replace(&self.base, "BASE")
        };
        // Where an upload goes on is each registry's own business behind its beginning.
        let location = header("location")
            .split("uploads/")
            .next()
            .unwrap()
            .to_owned();
        // Go's maps have no order.
        let challenge = header("www-authenticate").replace("push,pull", "pull,push");
        let sniff = header("x-content-type-options");
        format!(
            "{method} {path} {arguments}: {} {challenge} {location} {sniff}",
            answer.status,
            arguments = arguments.len()
        )
    }
}

/// What people set, as in the manuals; each row is a registry of its own.
const VARIABLES: [&[(&str, &str)]; 9] = [
    &[],
    &[("REGISTRY_STORAGE_DELETE_ENABLED", "true")],
    &[(
        "REGISTRY_STORAGE_MAINTENANCE_READONLY",
        "{\"enabled\": true}",
    )],
    &[("REGISTRY_HTTP_RELATIVEURLS", "true")],
    &[("REGISTRY_HTTP_HOST", "https://outside.example")],
    &[("REGISTRY_HTTP_HEADERS", "{X-Content-Type-Options: [other]}")],
    &[
        ("REGISTRY_AUTH", "htpasswd"),
        ("REGISTRY_AUTH_HTPASSWD_PATH", "@dir@/htpasswd"),
        ("REGISTRY_AUTH_HTPASSWD_REALM", "Registry Realm"),
    ],
    &[
        ("REGISTRY_AUTH", "token"),
        ("REGISTRY_AUTH_TOKEN_ISSUER", "Acme auth server"),
        (
            "REGISTRY_AUTH_TOKEN_REALM",
            "https://auth.example.com:5001/auth",
        ),
        ("REGISTRY_AUTH_TOKEN_ROOTCERTBUNDLE", "@dir@/tls.pem"),
        ("REGISTRY_AUTH_TOKEN_SERVICE", "Docker registry"),
    ],
    &[
        ("REGISTRY_HTTP_TLS_CERTIFICATE", "@dir@/tls.pem"),
        ("REGISTRY_HTTP_TLS_KEY", "@dir@/tls.key"),
    ],
];

#[test]
fn a_client_sees_no_difference() {
    let theirs = program("docker-registry");
    let plain = Running::start(&theirs, &[]).answers();
    for variables in VARIABLES {
        let before = Running::start(&theirs, variables).answers();
        let after = Running::start(Path::new(PROGRAM), variables).answers();
        assert_eq!(before, after, "{variables:?}");
        // TLS is seen in the URL alone, and everything else in what is compared.
        let is_seen = variables.iter().all(|(name, _)| !name.contains("_TLS_"));
        assert!(
            !is_seen || variables.is_empty() || before != plain,
            "{variables:?} changes nothing\n{before:#?}"
        );
    }
}

/// With a prefix, the API is under it and nowhere else, and `Location` names it.
#[test]
fn a_prefix_is_in_front_of_every_path() {
    for program in [program("docker-registry"), PathBuf::from(PROGRAM)] {
        let running = Running::start(&program, &[("REGISTRY_HTTP_PREFIX", "/registry/")]);
        let status = |path: &str| http::request(&[&running.url(path)]).status;
        assert_eq!(status("/registry/v2/"), 200, "{}", program.display());
        assert_eq!(status("/v2/"), 404, "{}", program.display());
        assert_eq!(status("/registry/v2/a/tags/list"), 404);
        let upload = running.url("/registry/v2/a/b/blobs/uploads/");
        let begun = http::request(&["-X", "POST", "-d", "", &upload]);
        let location = begun.header("location").unwrap();
        assert!(
            location.starts_with(&upload),
            "{}: {location}",
            program.display()
        );
    }
}

/// The image's own file asks for nothing that is not there: it starts without a warning.
#[test]
fn the_image_s_file_needs_no_warning() {
    let running = Running::start(Path::new(PROGRAM), &[]);
    running.wait_for_log("listening");
    let log = running.log();
    assert!(!log.contains("WARN"), "{log}");
    assert!(log.contains("everyone can pull, push and delete"), "{log}");
}

/// registry:2 starts on files with unknown and repeated keys.
#[test]
fn unknown_and_repeated_keys_only_warn() {
    for program in [program("docker-registry"), PathBuf::from(PROGRAM)] {
        let extra = "colour: blue\nlog: {level: debug, colour: red}\n";
        let running = Running::start_with_file(&program, &format!("{IMAGE}\n{extra}"), &[]);
        assert_eq!(http::request(&[&running.url("/v2/")]).status, 200);
        if program == Path::new(PROGRAM) {
            for word in ["unknown key `colour`", "duplicate key `log`"] {
                running.wait_for_log(word);
            }
        }
    }
}

/// What is stored in memory is served, and gone when the server ends.
#[test]
fn a_registry_in_memory_leaves_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    for storage in [
        &[("REGISTRY_STORAGE", "inmemory")][..],
        &[(
            "REGISTRY_STORAGE",
            "{inmemory: {}, delete: {enabled: true}}",
        )],
    ] {
        let place = [("TMPDIR", temporary.path().to_str().unwrap())];
        let variables = [storage, &place].concat();
        let mut running = Running::start_with(Path::new(PROGRAM), &variables);
        let digest = push_blob(&running);
        let url = running.url(&format!("/v2/a/b/blobs/{digest}"));
        assert_eq!(http::request(&[&url]).status, 200);
        assert_eq!(names_in(temporary.path()).len(), 1);
        running.wait_for_log("they are lost when the server ends");
        running.stop();
        assert_eq!(names_in(temporary.path()), [""; 0]);
        assert!(!running.folder.path().join("data").exists());
    }
}

/// In maintenance, a data directory that is mounted read-only is served: registry:2's own, and one
/// that this program has written.
#[test]
fn maintenance_on_a_read_only_data_directory() {
    let data = tempfile::tempdir().unwrap();
    let digest = push_blob(&Running::start_on(&program("docker-registry"), data.path()));
    let before = names_in(data.path());
    let adopted = ReadOnly::start(data.path());
    assert_eq!(adopted.blob(&digest), 200);
    assert_eq!(adopted.status("POST", "/v2/a/b/blobs/uploads/"), 405);
    drop(adopted);
    assert_eq!(names_in(data.path()), before, "nothing is written");

    let data = tempfile::tempdir().unwrap();
    let digest = push_blob(&Running::start_on(Path::new(PROGRAM), data.path()));
    let own = ReadOnly::start(data.path());
    assert_eq!(own.blob(&digest), 200);
    assert_eq!(own.status("POST", "/v2/a/b/blobs/uploads/"), 405);
}

/// In maintenance, a data directory that belongs to another user is served if this user may read it:
/// registry:2's own, and one that this program has written.
#[test]
fn maintenance_on_a_data_directory_of_another_user() {
    for writer in [program("docker-registry"), PathBuf::from(PROGRAM)] {
        let data = tempfile::tempdir().unwrap();
        let digest = push_blob(&Running::start_on(&writer, data.path()));
        let path = data.path().to_str().unwrap();
        let given = format!("chmod -R a+rX {path} && chown -R 65534:65534 {path}");
        peers::run(Command::new("sh").args(["-ec", &given])).succeeded();
        let before = names_in(data.path());
        let other = ReadOnly::start_by(
            "exec setpriv --inh-caps=-all --bounding-set=-all -- bash {script} \"$@\"",
            "",
            data.path(),
        );
        assert_eq!(other.blob(&digest), 200, "{writer:?}");
        assert_eq!(other.status("POST", "/v2/a/b/blobs/uploads/"), 405);
        let ready = http::get(&other.0.url("/readyz"));
        assert_eq!(ready.status, 200, "{}", ready.body);
        drop(other);
        assert_eq!(names_in(data.path()), before, "nothing is written");
    }
}

fn names_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Pushes a blob of one letter, whose digest is [`DIGEST`].
fn push_blob(running: &Running) -> String {
    let url = running.url("/v2/a/b/blobs/uploads/");
    let begun = http::request(&["-X", "POST", "-d", "", &url]);
    let location = begun.header("location").unwrap().to_owned();
    let separator = if location.contains('?') { '&' } else { '?' };
    let url = format!("{location}{separator}digest={DIGEST}");
    let done = http::request(&[
        "-X",
        "PUT",
        "-H",
        "Content-Type: application/octet-stream",
        "--data-binary",
        "a",
        &url,
    ]);
    assert_eq!(done.status, 201, "{location}");
    DIGEST.to_owned()
}

/// A registry in maintenance that cannot write into its data directory.
struct ReadOnly(Running);

impl ReadOnly {
    /// In a mount namespace in which the directory is read-only.
    fn start(data: &Path) -> Self {
        let path = data.to_str().unwrap();
        let mount = format!("mount --bind {path} {path} && mount -o remount,bind,ro {path} && ");
        Self::start_by("exec unshare -m bash {script} \"$@\"", &mount, data)
    }

    /// By a line of a shell that runs `{script}`, which first runs `prepare`.
    fn start_by(line: &str, prepare: &str, data: &Path) -> Self {
        let data = data.to_str().unwrap();
        let script = format!("#!/bin/bash\n{prepare}exec -a registry {PROGRAM} \"$@\"\n");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("registry");
        let line = line.replace("{script}", &format!("{}.sh", path.display()));
        std::fs::write(&path, format!("#!/bin/sh\n{line}\n")).unwrap();
        std::fs::write(path.with_extension("sh"), script).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, mode).unwrap();
        Self(Running::start_with(
            &path,
            &[
                ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", data),
                ("REGISTRY_STORAGE_MAINTENANCE_READONLY", "{enabled: true}"),
            ],
        ))
    }

    fn status(&self, method: &str, path: &str) -> u16 {
        http::request(&["-X", method, &self.0.url(path)]).status
    }

    fn blob(&self, digest: &str) -> u16 {
        self.status("GET", &format!("/v2/a/b/blobs/{digest}"))
    }
}

/// As in a cron job beside the server: `-m` removes manifests without a tag.
#[test]
fn garbage_is_collected_as_a_cron_job_asks() {
    let running = Running::start(Path::new(PROGRAM), &[]);
    let file = running.folder.path().join("config.yml");
    for words in [
        &["-m"][..],
        &["--delete-untagged", "--dry-run"],
        &["-d", "-m"],
    ] {
        let mut command = Command::new(PROGRAM);
        command
            .arg0("registry")
            .arg("garbage-collect")
            .args(words)
            .arg(&file);
        command.env(
            "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY",
            running.folder.path().join("data"),
        );
        let output = peers::run(&mut command);
        let text = output.to_string();
        assert!(output.status.success(), "{text}");
        assert!(text.contains("older than 1d"), "{text}");
    }
}

/// The words of the command line, under the name that they have there.
#[test]
fn the_program_takes_its_words() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("config.yml");
    let data = folder.path().join("data");
    std::fs::write(
        &file,
        IMAGE.replace("/var/lib/registry", &data.display().to_string()),
    )
    .unwrap();
    let run = |words: &[&str], usual: Option<&Path>| -> Output {
        let mut command = Command::new(PROGRAM);
        command.arg0("/usr/bin/registry").args(words);
        if let Some(usual) = usual {
            command.env("REGISTRY_CONFIGURATION_PATH", usual);
        }
        peers::run(&mut command)
    };
    run(&["--version"], None).succeeded();
    let refused = run(&["serve"], None).refused();
    assert!(refused.contains("no configuration is named"), "{refused}");
    let fine = run(&["check", file.to_str().unwrap()], None);
    assert!(fine.succeeded().contains("fine"), "{fine}");
    let refused = run(&["garbage-collect", "--dry-run"], Some(&file)).refused();
    assert!(
        refused.contains("wharfinger.db"),
        "there is nothing to collect from yet: {refused}"
    );
}
