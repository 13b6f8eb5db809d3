//! Servers with other configurations, behind a proxy, and after a restart.

use std::fs;
use std::thread;

use peers::{Docker, Image, Nginx, TestCertificate, TestKeyKind, crane};

use super::{ADMIN_BASIC, Ours, PLAIN, crane_for, layout, logged_in};
use crate::e2e::world::{ADMIN, DENIED, crane_login, login, serve, with_pair};
use crate::registry::memory::{peak, resident};
use crate::wire::Connection;

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
    crane_login(&crane, ADMIN, &host);
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
    let config = with_pair(include_str!("../ours.yml"), &pair)
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
    crane_login(&crane, ADMIN, &host);
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
        include_str!("../ours.yml")
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
        crane_login(&crane, ADMIN, &host);
        crane
            .run(&["push", &layout(&image), &reference])
            .succeeded();
        assert_eq!(
            crane.run(&["digest", &reference]).succeeded(),
            image.digest()
        );
    }
}
