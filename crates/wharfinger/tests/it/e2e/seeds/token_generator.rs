//! The token generator behind a token server of a dozen lines of PHP, `token.php`, copied
//! unchanged from a page. Our program runs under the name that the script calls, misspelt as it is.

use std::fs;
use std::os::unix::fs::symlink;

use peers::{
    Auth, Docker, Image, RegistryConfig, ScriptServer, TestCertificate, TestKeyKind, Trust,
    registry2,
};

use crate::e2e::world::{login, program};

#[test]
fn docker_pushes_with_what_a_php_script_makes_of_our_generator() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let pair = TestCertificate::new(TestKeyKind::Rsa, path, "cert");
    fs::write(path.join("token.php"), include_str!("token.php")).unwrap();
    symlink(program(), path.join("docker-registry-token-genarator")).unwrap();
    let php = ScriptServer::php(path, "token.php");
    let auth = Auth::Token {
        realm: php.url("/"),
        service: "registry.docker.io".to_owned(),
        // The generator's default.
        issuer: "distribution-token-server".to_owned(),
        trust: Trust::Bundle(pair.certificate),
    };
    let registry = registry2(&RegistryConfig {
        auth,
        ..RegistryConfig::default()
    });
    let docker = Docker::start();
    let (client, reference) = (docker.client(), format!("{}/ubuntu", registry.host_port()));
    docker
        .import(&Image::saying("seed"), &reference)
        .succeeded();

    // The script looks at no password, so anyone may log in.
    let welcome = login(&client, &[], ("test", "anything"), &registry.host_port());
    assert!(
        welcome.succeeded().contains("Login Succeeded"),
        "{}\n{}",
        php.log(),
        registry.log()
    );
    let pushed = client.run(&["push", &reference]);
    assert!(
        pushed.succeeded().contains("latest: digest: sha256:"),
        "{pushed}\n{}",
        registry.log()
    );
}
