//! Our registry, with our token server in the same process, and every client.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use peers::{
    Client, Containerd, Docker, Image, Nginx, Server, TestCertificate, TestKeyKind, buildah, crane,
    podman, regctl, run,
};
use tempfile::TempDir;

use super::world::{ADMIN, DENIED, READER, login, program, serve, with_pair};
use crate::registry::memory::{peak, resident};
use crate::wire::{Answer, Connection};

/// One process with both servers.
pub(crate) struct Ours {
    server: Server,
    _folder: TempDir,
}

impl Ours {
    pub(crate) fn start() -> Self {
        Self::with("")
    }

    pub(crate) fn with_refresh_tokens() -> Self {
        Self::with("refresh_tokens: {}\n")
    }

    /// With accounts and rules in the database, and the API.
    pub(crate) fn with_accounts() -> Self {
        Self::with("accounts: {}\n")
    }

    /// With `more` at the end of the configuration.
    fn with(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
        let config = with_pair(include_str!("ours.yml"), &pair);
        let config = config.replace("@folder@", folder.path().to_str().unwrap());
        Self {
            server: serve(&format!("{config}{more}")),
            _folder: folder,
        }
    }

    pub(crate) fn host(&self) -> String {
        self.server.host_port()
    }

    /// Its configuration.
    pub(crate) fn config(&self) -> PathBuf {
        self.server.config()
    }

    /// What `wharfinger sessions list` prints.
    pub(crate) fn sessions(&self) -> serde_json::Value {
        let mut list = Command::new(program());
        let list = list.args(["sessions", "list", "--json"]);
        let listed = run(list.arg(self.server.config()));
        serde_json::from_str(listed.succeeded()).unwrap()
    }

    pub(crate) fn ask(&self, method: &str, url: &str, headers: &[(&str, &str)]) -> Answer {
        Connection::open(&self.host()).request(method, url, headers, None)
    }

    /// The header with a token that `user` gets for these scopes.
    fn bearer(&self, basic: &str, scope: &str) -> String {
        let answer = self.ask(
            "GET",
            &format!("/auth?service=wharfinger&{scope}"),
            &[("Authorization", basic)],
        );
        format!("Bearer {}", answer.json()["token"].as_str().unwrap())
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the server's log:\n{}", self.server.log());
        }
    }
}

const ADMIN_BASIC: &str = "Basic YWRtaW46YmFkbWlu";
const READER_BASIC: &str = "Basic cmVhZGVyOmxvb2stb25seQ==";
const PLAIN: &str = "--tls-verify=false";

#[test]
fn the_six_steps_by_hand() {
    let ours = Ours::start();
    let image = Image::saying("by hand");
    let admin = crane_for(&ours, ADMIN);
    admin
        .run(&[
            "push",
            &layout(&image),
            &format!("{}/odewahn/myalpine:latest", ours.host()),
        ])
        .succeeded();
    // 1 and 2: without a token, what to bring.
    let refused = ours.ask("GET", "/v2/odewahn/myalpine/manifests/latest", &[]);
    assert_eq!(refused.status, 401);
    assert_eq!(
        refused.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(
        refused.header("docker-distribution-api-version"),
        Some("registry/2.0")
    );
    let challenge = refused.header("www-authenticate").unwrap();
    let expected =
        r#"Bearer realm="REALM",service="wharfinger",scope="repository:odewahn/myalpine:pull""#;
    // The request named its host `test`, and so does the realm.
    assert_eq!(challenge, expected.replace("REALM", "http://test/auth"));
    let error = &refused.json()["errors"][0];
    assert_eq!(
        (&error["code"], &error["message"]),
        (&"UNAUTHORIZED".into(), &"authentication required".into())
    );
    assert_eq!(error["detail"][0]["Action"], "pull");
    assert_eq!(
        (&error["detail"][0]["Name"], &error["detail"][0]["Type"]),
        (&"odewahn/myalpine".into(), &"repository".into())
    );
    // 3 and 4: the token. 5 and 6: the manifest.
    let bearer = ours.bearer(READER_BASIC, "scope=repository:odewahn/myalpine:pull");
    let manifest = ours.ask(
        "GET",
        "/v2/odewahn/myalpine/manifests/latest",
        &[("Authorization", &bearer)],
    );
    assert_eq!(
        (manifest.status, manifest.header("docker-content-digest")),
        (200, Some(image.digest()))
    );
    assert_eq!(
        manifest.header("content-type"),
        Some(oci::media_type::OCI_MANIFEST)
    );
    assert_eq!(
        manifest.header("docker-distribution-api-version"),
        Some("registry/2.0")
    );
    let etag = format!("\"{}\"", image.digest());
    assert_eq!(manifest.header("etag"), Some(etag.as_str()));
}

#[test]
fn the_catalog_is_everybody_s_own() {
    let ours = Ours::start();
    let (admin, image) = (crane_for(&ours, ADMIN), Image::saying("catalog"));
    for name in ["public/hello", "secret/plan", "team/app"] {
        admin
            .run(&[
                "push",
                &layout(&image),
                &format!("{}/{name}:1", ours.host()),
            ])
            .succeeded();
    }
    let list = |bearer: &str| {
        let answer = ours.ask("GET", "/v2/_catalog", &[("Authorization", bearer)]);
        (answer.status, answer.body)
    };
    let catalog = "account=user&client_id=docker&offline_token=true&scope=registry:catalog:*";
    let all = r#"{"repositories":["public/hello","secret/plan","team/app"]}"#;
    assert_eq!(
        list(&ours.bearer(ADMIN_BASIC, &catalog.replace("user", "admin"))),
        (200, all.to_owned())
    );
    let some = r#"{"repositories":["public/hello","team/app"]}"#;
    assert_eq!(
        list(&ours.bearer(READER_BASIC, &catalog.replace("user", "reader"))),
        (200, some.to_owned())
    );
    let anonymous = ours.ask(
        "GET",
        "/auth?service=wharfinger&scope=registry:catalog:*",
        &[],
    );
    let anonymous = format!("Bearer {}", anonymous.json()["token"].as_str().unwrap());
    assert_eq!(
        list(&anonymous),
        (200, r#"{"repositories":["public/hello"]}"#.to_owned())
    );
    assert_eq!(ours.ask("GET", "/v2/_catalog", &[]).status, 401);
    assert_eq!(
        crane_for(&ours, READER)
            .run(&["catalog", &ours.host()])
            .succeeded(),
        "public/hello\nteam/app"
    );
}

#[test]
fn docker_and_containerd() {
    let (ours, docker, containerd) = (Ours::start(), Docker::start(), Containerd::start());
    let (host, image) = (ours.host(), Image::saying("ours"));
    let reference = format!("{host}/team/app:1");
    docker.import(&image, &reference).succeeded();
    let admin = docker.client();
    assert!(admin.run(&["push", &reference]).refused().contains(DENIED));
    assert!(
        login(&admin, &[], (ADMIN.0, "wrong"), &host)
            .refused()
            .contains("unauthorized")
    );
    login(&admin, &[], ADMIN, &host).succeeded();
    admin.run(&["push", &reference]).succeeded();
    // The same layers under another name: docker mounts them.
    let mounted = format!("{host}/reader/app:1");
    admin.run(&["tag", &reference, &mounted]).succeeded();
    assert!(
        admin
            .run(&["push", &mounted])
            .succeeded()
            .contains("Mounted from team/app")
    );
    admin.run(&["rmi", &reference, &mounted]).succeeded();
    admin.run(&["pull", &reference]).succeeded();
    let reader = docker.client();
    login(&reader, &[], READER, &host).succeeded();
    assert!(reader.run(&["push", &reference]).refused().contains(DENIED));
    reader.run(&["pull", &reference]).succeeded();
    // A mount that is refused is an ordinary push: reader may not pull from `secret`.
    let (secret, own) = (
        format!("{host}/secret/app:1"),
        format!("{host}/reader/copy:1"),
    );
    admin.run(&["tag", &reference, &secret]).succeeded();
    admin.run(&["push", &secret]).succeeded();
    admin.run(&["tag", &secret, &own]).succeeded();
    reader.run(&["push", &own]).succeeded();

    let ctr = containerd.client();
    let pull = [
        "images",
        "pull",
        "--plain-http",
        "--snapshotter",
        "native",
        "--user",
        "admin:badmin",
        &reference,
    ];
    ctr.run(&pull).succeeded();
    let pushed = format!("{host}/team/containerd:1");
    ctr.run(&["images", "tag", &reference, &pushed]).succeeded();
    let push = |user: &str| ctr.run(&["images", "push", "--plain-http", "--user", user, &pushed]);
    push("reader:look-only").refused();
    push("admin:badmin").succeeded();
}

#[test]
fn skopeo_podman_and_buildah() {
    let ours = Ours::start();
    let (host, image) = (ours.host(), Image::saying("ours"));
    let reference = format!("docker://{host}/team/app:1");
    let skopeo = logged_in(peers::skopeo(), ADMIN, &host);
    let oci = format!("oci:{}:latest", image.layout().display());
    skopeo
        .run(&[
            "copy",
            "--preserve-digests",
            "--dest-tls-verify=false",
            &oci,
            &reference,
        ])
        .succeeded();
    assert!(
        skopeo
            .run(&["list-tags", PLAIN, &format!("docker://{host}/team/app")])
            .succeeded()
            .contains("\"1\"")
    );
    let digest = skopeo.run(&["inspect", "--format", "{{.Digest}}", PLAIN, &reference]);
    assert_eq!(digest.succeeded(), image.digest());
    let other = format!("docker://{host}/team/other:1");
    let both = ["--src-tls-verify=false", "--dest-tls-verify=false"];
    skopeo
        .run(&[&["copy"], &both[..], &[&reference, &other]].concat())
        .succeeded();

    let podman = logged_in(podman(), ADMIN, &host);
    let (pulled, pushed) = (
        format!("{host}/team/app:1"),
        format!("{host}/team/podman:1"),
    );
    podman.run(&["pull", PLAIN, &pulled]).succeeded();
    podman.run(&["tag", &pulled, &pushed]).succeeded();
    podman.run(&["push", PLAIN, &pushed]).succeeded();

    let buildah = logged_in(buildah(), ADMIN, &host);
    let context = buildah.home().join("context");
    fs::create_dir(&context).unwrap();
    fs::write(
        context.join("Containerfile"),
        "FROM scratch\nCOPY text /text\n",
    )
    .unwrap();
    fs::write(context.join("text"), "buildah").unwrap();
    let built = format!("{host}/team/buildah:1");
    buildah
        .run(&[
            "bud",
            "--isolation",
            "chroot",
            "--tag",
            &built,
            &context.display().to_string(),
        ])
        .succeeded();
    buildah.run(&["push", PLAIN, &built]).succeeded();
    // An index that mixes Docker's words with OCI's.
    let list = format!("{host}/team/list:1");
    buildah.run(&["manifest", "create", "mixed"]).succeeded();
    buildah
        .run(&[
            "manifest",
            "add",
            PLAIN,
            "mixed",
            &format!("docker://{built}"),
        ])
        .succeeded();
    buildah
        .run(&[
            "manifest",
            "push",
            PLAIN,
            "--all",
            "--format",
            "v2s2",
            "mixed",
            &format!("docker://{list}"),
        ])
        .succeeded();
    assert!(
        skopeo
            .run(&["inspect", "--raw", PLAIN, &format!("docker://{list}")])
            .succeeded()
            .contains("manifest.list")
    );

    skopeo.run(&["delete", PLAIN, &other]).succeeded();
    let gone = skopeo.run(&["inspect", PLAIN, &other]).refused();
    assert!(gone.contains("manifest unknown"), "{gone}");
    let reader = logged_in(peers::skopeo(), READER, &host);
    reader.run(&["delete", PLAIN, &reference]).refused();
    peers::skopeo()
        .run(&["inspect", PLAIN, &reference])
        .refused();
}

#[test]
fn crane_and_regctl() {
    let ours = Ours::start();
    let (host, image) = (ours.host(), Image::saying("ours"));
    let reference = |name: &str| format!("{host}/{name}");
    let crane = crane_for(&ours, ADMIN);
    let layer = image.layer().display().to_string();
    crane
        .run(&[
            "append",
            "--new_layer",
            &layer,
            "--new_tag",
            &reference("team/appended:1"),
        ])
        .succeeded();
    crane
        .run(&["push", &layout(&image), &reference("team/app:1")])
        .succeeded();
    crane
        .run(&[
            "copy",
            &reference("team/app:1"),
            &reference("team/mounted:1"),
        ])
        .succeeded();
    assert_eq!(crane.run(&["ls", &reference("team/app")]).succeeded(), "1");
    assert_eq!(
        crane
            .run(&["digest", &reference("team/mounted:1")])
            .succeeded(),
        image.digest()
    );
    let pulled = crane.home().join("pulled.tar").display().to_string();
    crane
        .run(&["pull", &reference("team/app:1"), &pulled])
        .succeeded();
    crane
        .run(&[
            "index",
            "append",
            "-t",
            &reference("team/index:1"),
            "-m",
            &reference("team/app:1"),
        ])
        .succeeded();
    crane
        .run(&[
            "delete",
            &reference(&format!("team/mounted@{}", image.digest())),
        ])
        .succeeded();
    crane
        .run(&["digest", &reference("team/mounted:1")])
        .refused();
    let reader = crane_for(&ours, READER);
    reader
        .run(&["push", &layout(&image), &reference("team/reader:1")])
        .refused();
    reader
        .run(&["digest", &reference("team/app:1")])
        .succeeded();

    let regctl = regctl();
    regctl
        .run(&[
            "registry",
            "set",
            "--skip-check",
            "--tls",
            "disabled",
            &host,
        ])
        .succeeded();
    let login = [
        "registry",
        "login",
        &host,
        "--user",
        ADMIN.0,
        "--pass-stdin",
    ];
    regctl.run_with_input(&login, ADMIN.1).succeeded();
    let put = [
        "artifact",
        "put",
        "--artifact-type",
        "application/x.sbom",
        "--subject",
        &reference("team/app:1"),
    ];
    regctl
        .run_with_input(&put, "the bill of materials")
        .succeeded();
    let list = regctl.run(&[
        "artifact",
        "list",
        &reference("team/app:1"),
        "--format",
        "{{json .}}",
    ]);
    assert!(list.succeeded().contains("application/x.sbom"), "{list}");
    assert_eq!(
        regctl
            .run(&["tag", "ls", &reference("team/app")])
            .succeeded(),
        "1",
        "no fallback tag was made"
    );
    regctl
        .run(&["tag", "delete", &reference("team/index:1")])
        .succeeded();
    assert_eq!(
        regctl
            .run(&["tag", "ls", &reference("team/index")])
            .succeeded(),
        ""
    );
    regctl
        .run(&[
            "manifest",
            "delete",
            "--force-tag-dereference",
            &reference("team/app:1"),
        ])
        .succeeded();
}

#[test]
fn eight_pushes_at_once_and_a_large_layer() {
    let ours = Ours::start();
    let host = ours.host();
    thread::scope(|scope| {
        for number in 0..8 {
            let (ours, host) = (&ours, &host);
            scope.spawn(move || {
                // Four images, each from two sides, and one tag for all.
                let image = Image::saying(&format!("image {}", number / 2));
                let crane = crane_for(ours, ADMIN);
                crane
                    .run(&[
                        "push",
                        &layout(&image),
                        &format!("{host}/team/app:{}", number / 2),
                    ])
                    .succeeded();
                crane
                    .run(&["push", &layout(&image), &format!("{host}/team/app:same")])
                    .succeeded();
            });
        }
    });
    let crane = crane_for(&ours, ADMIN);
    assert_eq!(
        crane.run(&["ls", &format!("{host}/team/app")]).succeeded(),
        "0\n1\n2\n3\nsame"
    );
    let layer = crane.home().join("large.tar");
    fs::write(&layer, vec![0x5a; 300 << 20]).unwrap();
    let (layer, reference) = (layer.display().to_string(), format!("{host}/team/large:1"));
    let before = resident(ours.server.id());
    crane
        .run(&["append", "--new_layer", &layer, "--new_tag", &reference])
        .succeeded();
    let pulled = crane.home().join("pulled.tar").display().to_string();
    crane.run(&["pull", &reference, &pulled]).succeeded();
    let grown = peak(ours.server.id()).saturating_sub(before);
    assert!(grown < 32 << 10, "the server grew by {grown} KiB");
}

#[test]
fn passwords_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let hash = "admin:$2y$05$KvtTTOOpGpQ6DjOUaNqmluOMkZQMFGEfmbG0xbayf0gCMr3uj9QTa\n";
    fs::write(folder.path().join("htpasswd"), hash).unwrap();
    let at = folder.path().display();
    let server = serve(&format!(
        "server: {{addr: \"@addr@\"}}\nregistry:\n  storage: {{filesystem: {{root: \"{at}/content\"}}}}\n  auth: {{htpasswd: \
         {{realm: Registry Realm, path: \"{at}/htpasswd\"}}}}\n"
    ));
    let (host, image) = (server.host_port(), Image::saying("htpasswd"));
    let reference = format!("{host}/team/app:1");
    let crane = crane();
    crane.run(&["push", &layout(&image), &reference]).refused();
    let login = [
        "auth",
        "login",
        &host,
        "--username",
        ADMIN.0,
        "--password-stdin",
    ];
    crane.run_with_input(&login, ADMIN.1).succeeded();
    crane
        .run(&["push", &layout(&image), &reference])
        .succeeded();
    let skopeo = logged_in(peers::skopeo(), ADMIN, &host);
    skopeo
        .run(&["inspect", PLAIN, &format!("docker://{reference}")])
        .succeeded();
    let docker = Docker::start();
    let admin = docker.client();
    assert!(
        self::login(&admin, &[], (ADMIN.0, "wrong"), &host)
            .refused()
            .contains("401 Unauthorized")
    );
    self::login(&admin, &[], ADMIN, &host).succeeded();
    admin.run(&["pull", &reference]).succeeded();
}

#[test]
fn everything_outlives_the_server() {
    let mut ours = Ours::start();
    let image = Image::saying("lasting");
    let admin = crane_for(&ours, ADMIN);
    let reference = format!("{}/team/app:1", ours.host());
    admin
        .run(&["push", &layout(&image), &reference])
        .succeeded();
    let bearer = ours.bearer(ADMIN_BASIC, "scope=repository:team/app:pull,push");
    let begun = ours.ask(
        "POST",
        "/v2/team/app/blobs/uploads/",
        &[("Authorization", &bearer), ("Content-Length", "0")],
    );
    assert_eq!(begun.status, 202, "{}", begun.body);
    let upload = begun
        .header("location")
        .unwrap()
        .strip_prefix("http://test")
        .unwrap()
        .to_owned();
    ours.server.kill();
    let config = fs::read_to_string(ours.server.config()).unwrap();
    let again = serve(&config.replace(&ours.host(), "@addr@"));
    let answer = Connection::open(&again.host_port()).request(
        "GET",
        &upload,
        &[("Authorization", &bearer)],
        None,
    );
    assert_eq!(answer.status, 204, "{}", answer.body);
    let headers = [("Authorization", bearer.as_str())];
    let manifest = Connection::open(&again.host_port()).request(
        "GET",
        "/v2/team/app/manifests/1",
        &headers,
        None,
    );
    assert_eq!(
        manifest.header("docker-content-digest"),
        Some(image.digest())
    );
}

#[test]
fn behind_nginx_with_tls() {
    let folder = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    let config = with_pair(include_str!("ours.yml"), &pair)
        .replace("@folder@", folder.path().to_str().unwrap());
    let server = serve(&config.replace(
        "addr: \"@addr@\"",
        "addr: \"@addr@\"\n  trusted_proxies: [127.0.0.1]",
    ));
    let directives = "listen @listen@ ssl;\nssl_certificate @certificate@;\nssl_certificate_key @key@;\n\
        client_max_body_size 0;\nproxy_request_buffering off;\nproxy_set_header X-Forwarded-Host $http_host;\n\
        proxy_set_header X-Forwarded-Proto $scheme;\nproxy_set_header X-Forwarded-For $remote_addr;\n\
        location / { proxy_pass http://@server@; }\n";
    let nginx = Nginx::start(&with_pair(
        &directives.replace("@server@", &server.host_port()),
        &pair,
    ));
    let (host, image) = (nginx.host_port(), Image::saying("nginx"));
    let (docker, reference) = (Docker::start(), format!("{host}/team/docker:1"));
    docker.import(&image, &reference).succeeded();
    let admin = docker.client();
    assert!(admin.run(&["push", &reference]).refused().contains(DENIED));
    login(&admin, &[], ADMIN, &host).succeeded();
    let pushed = admin.run(&["push", &reference]);
    assert!(
        pushed.status.success(),
        "{pushed}\n{}\n{}",
        server.log(),
        nginx.log()
    );
    let crane = crane();
    let options = [
        "auth",
        "login",
        "--username",
        ADMIN.0,
        "--password-stdin",
        &host,
    ];
    crane.run_with_input(&options, ADMIN.1).succeeded();
    let tag = format!("{host}/team/crane:1");
    let layer = image.layer().display().to_string();
    crane
        .run(&[
            "append",
            "--insecure",
            "--new_layer",
            &layer,
            "--new_tag",
            &tag,
        ])
        .succeeded();
    let skopeo = logged_in(peers::skopeo(), ADMIN, &host);
    let (from, to) = (
        format!("docker://{tag}"),
        format!("docker://{host}/team/skopeo:1"),
    );
    skopeo
        .run(&[
            "copy",
            "--src-tls-verify=false",
            "--dest-tls-verify=false",
            &from,
            &to,
        ])
        .succeeded();
}

#[test]
fn two_processes_and_two_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::P256, folder.path(), "token");
    let with =
        |text: &str| with_pair(text, &pair).replace("@folder@", folder.path().to_str().unwrap());
    let tokens = serve(&with(
        include_str!("ours.yml")
            .split("registry:\n")
            .next()
            .unwrap(),
    ));
    let realm = tokens.realm("/auth");
    let registry = |name: &str, trust: &str| {
        format!(
            "server: {{addr: \"@addr@\"}}\nregistry:\n  storage: {{filesystem: {{root: \"@folder@/{name}\"}}}}\n  auth: \
             {{token: {{realm: \"{realm}\", service: hub, issuer: Acme auth server, {trust}}}}}\n"
        )
    };
    let bundle = serve(&with(&registry(
        "bundle",
        "rootcertbundle: \"@certificate@\"",
    )));
    let key_set = format!("jwks: \"{}\"", tokens.url("/.well-known/jwks.json"));
    let mut fetched = serve(&with(&registry("fetched", &key_set)));
    fetched.wait_for_log("a key set has changed");
    for server in [&bundle, &fetched] {
        let (host, image) = (server.host_port(), Image::saying("apart"));
        let reference = format!("{host}/team/app:1");
        let crane = crane();
        crane.run(&["push", &layout(&image), &reference]).refused();
        let login = [
            "auth",
            "login",
            &host,
            "--username",
            ADMIN.0,
            "--password-stdin",
        ];
        crane.run_with_input(&login, ADMIN.1).succeeded();
        crane
            .run(&["push", &layout(&image), &reference])
            .succeeded();
        assert_eq!(
            crane.run(&["digest", &reference]).succeeded(),
            image.digest()
        );
    }
}

fn crane_for(ours: &Ours, (user, password): (&str, &str)) -> Client {
    let crane = crane();
    let login = [
        "auth",
        "login",
        &ours.host(),
        "--username",
        user,
        "--password-stdin",
    ];
    crane.run_with_input(&login, password).succeeded();
    crane
}

fn logged_in(client: Client, user: (&str, &str), host: &str) -> Client {
    login(&client, &[PLAIN], user, host).succeeded();
    client
}

fn layout(image: &Image) -> String {
    image.layout().display().to_string()
}
