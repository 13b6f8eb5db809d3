//! One origin: nginx speaks TLS and sends `/auth/` to our server and the rest to a registry, as
//! many installations have it. Clients see one host; our server sees plain HTTP below a prefix, and
//! their addresses in a header only.

use peers::{
    Auth, Docker, Image, Nginx, RegistryConfig, TestCertificate, TestKeyKind, Trust, crane, http,
    registry2, skopeo,
};

use super::world::{DENIED, crane_login, login, serve, with_pair};

/// What nginx says the clients' address is; `proxy.yml` lets no other address push.
const CLIENT: &str = "192.0.2.7";

#[test]
fn one_origin_behind_nginx() {
    let directory = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::P256, directory.path(), "origin");
    let server = serve(&with_pair(include_str!("proxy.yml"), &pair));
    let auth = Auth::Token {
        // The registry names nginx's own `/auth/token` as its realm.
        realm: String::new(),
        service: "Docker registry".to_owned(),
        issuer: "Acme auth server".to_owned(),
        trust: Trust::Bundle(pair.certificate.clone()),
    };
    let registry = registry2(&RegistryConfig {
        auth,
        ..RegistryConfig::default()
    });
    let directives = include_str!("proxy.conf")
        .replace("@tokens@", &server.host_port())
        .replace("@registry@", &registry.host_port())
        .replace("@client@", CLIENT);
    let nginx = Nginx::start(&with_pair(&directives, &pair));
    let (host, image) = (nginx.host_port(), Image::saying("proxy"));

    let (docker, reference) = (Docker::start(), format!("{host}/team/docker:1"));
    let client = docker.client();
    docker.import(&image, &reference).succeeded();
    assert!(client.run(&["push", &reference]).refused().contains(DENIED));
    login(&client, &[], ("user", "password"), &host).succeeded();
    let pushed = client.run(&["push", &reference]);
    assert!(
        pushed.status.success(),
        "{pushed}\n{}\n{}",
        server.log(),
        nginx.log()
    );

    let crane = crane();
    let layer = image.layer().display().to_string();
    crane_login(&crane, ("user", "password"), &host);
    let tag = format!("{host}/team/crane:1");
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

    let skopeo = skopeo();
    login(
        &skopeo,
        &["--tls-verify=false"],
        ("user", "password"),
        &host,
    )
    .succeeded();
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

    // Without nginx there is no header with the client's address, and the server does not guess.
    let direct =
        server.url("/tokens/auth?service=Docker+registry&scope=repository:team/docker:pull");
    assert_eq!(http::get(&direct).status, 400);
}
