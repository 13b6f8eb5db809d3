//! An Ed25519 key: docker_auth refuses it, registry 3 takes it by its JWKS, its certificate or its
//! id.

use std::fs;
use std::process::Command;

use peers::{Auth, Image, RegistryConfig, RunningRegistry, Trust, crane, http, registry3, run};

use super::world::{program, serve};

const CONFIG: &str = "
server: {addr: '@addr@'}
token:
  {issuer: Acme, expiration: 900, certificate: @folder@/token.pem, key: @folder@/token.key, key_id: thumbprint,
   services: {chain: {header: [x5c]}}}
users: {'': {}}
acl: [{match: {}, actions: ['*']}]
";

#[test]
fn registry_3_takes_tokens_of_an_ed25519_key() {
    let folder = tempfile::tempdir().unwrap();
    let mut certs = Command::new(program());
    certs.args([
        "certs",
        "new",
        "--host",
        "localhost",
        "--out",
        "token",
        "--algorithm",
        "EdDSA",
    ]);
    run(certs.current_dir(folder.path())).succeeded();
    let server = serve(&CONFIG.replace("@folder@", folder.path().to_str().unwrap()));
    let jwks = folder.path().join("jwks.json");
    let published = http::get(&server.url("/.well-known/jwks.json")).body;
    assert!(published.contains(r#""crv":"Ed25519""#), "{published}");
    fs::write(&jwks, published).unwrap();
    let bundle = Trust::Bundle(folder.path().join("token.pem"));
    for (service, trust) in [
        ("set", Trust::Jwks(jwks)),
        ("id", bundle.clone()),
        ("chain", bundle),
    ] {
        let realm = server.realm("/auth");
        let auth = Auth::Token {
            realm,
            service: service.to_owned(),
            issuer: "Acme".to_owned(),
            trust,
        };
        pushes_and_pulls(
            service,
            &registry3(&RegistryConfig {
                auth,
                ..RegistryConfig::default()
            }),
        );
    }
}

fn pushes_and_pulls(service: &str, registry: &RunningRegistry) {
    let image = Image::saying(service);
    let (client, reference) = (crane(), format!("{}/team/app:1", registry.host_port()));
    client
        .run(&["push", &image.layout().display().to_string(), &reference])
        .succeeded();
    assert_eq!(
        client.run(&["digest", &reference]).succeeded(),
        image.digest()
    );
}
