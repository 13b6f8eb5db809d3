//! Layers that come from another host.

use peers::{Image, Nginx, RegistryConfig, RunningRegistry};

use super::{ALL, Made, Realm, run_probes};
use crate::client::runner::User;
use crate::e2e::world::ADMIN;

/// A registry that sends its callers to `storage` for layers: Distribution's own way, and a proxy
/// before ours.
fn redirecting(made: Made, realm: &Realm, storage: &str) -> (RunningRegistry, Option<Nginx>) {
    let auth = realm.auth();
    if made != Made::Ours {
        let more = format!(
            "middleware: {{storage: [{{name: redirect, options: {{baseurl: 'http://{storage}/'}}}}]}}\n"
        );
        return (
            made.start(&RegistryConfig {
                auth,
                more,
                ..RegistryConfig::default()
            }),
            None,
        );
    }
    let registry = made.start(&RegistryConfig {
        auth,
        ..RegistryConfig::default()
    });
    let proxy = Nginx::start(&format!(
        "listen @listen@; client_max_body_size 0;\n\
         location / {{ proxy_pass http://{}; proxy_set_header Host $http_host; }}\n\
         location ~ ^/v2/.+/blobs/sha256: {{\n\
             if ($request_method = GET) {{ return 307 http://{storage}/layer; }}\n\
             proxy_pass http://{}; proxy_set_header Host $http_host; }}",
        registry.host_port(),
        registry.host_port(),
    ));
    (registry, Some(proxy))
}

/// Pushes an image, and examines the pull of it.
fn pull(made: Made, realm: &Realm, storage: &str) -> super::ProbeReport {
    let (registry, proxy) = redirecting(made, realm, storage);
    let host = proxy
        .as_ref()
        .map_or_else(|| registry.host_port(), Nginx::host_port);
    let (user, name) = (User::new(), format!("{host}/team/app:1"));
    user.login(ADMIN, &host).succeeded();
    let image = Image::saying("elsewhere");
    user.run(&[
        "push",
        "-q",
        &format!("oci:{}", image.layout().display()),
        &name,
    ])
    .succeeded();
    run_probes(&["--user", ADMIN.0, "--password-stdin", &name], ADMIN.1)
}

#[test]
fn storage_that_rejects_the_registry_s_token() {
    let realm = Realm::start();
    // As S3 answers a signed URL that brings an Authorization header along.
    let bucket = Nginx::start(
        "listen @listen@; location / { if ($http_authorization) { return 400 'Only one auth mechanism allowed'; }\n\
         return 200 layer; }",
    );
    let plain = Nginx::start("listen @listen@; location / { return 200 layer; }");
    for made in ALL {
        // Some clients send the header to every host, and Go's to the registry's own.
        let report = pull(
            made,
            &realm,
            &bucket.host_port().replace("127.0.0.1", "localhost"),
        );
        report.warns(
            "pull",
            "rejects requests with an Authorization header",
            "Only one auth mechanism",
        );
        let report = pull(made, &realm, &bucket.host_port());
        report.fails(
            &["pull"],
            "send the token of 127.0.0.1 there",
            "give the store a name that does not end with 127.0.0.1",
        );
        let healthy = pull(made, &realm, &plain.host_port());
        healthy.is_healthy();
        healthy.says("pull", "127.0.0.1 sends its layers", "");
    }
}

#[test]
fn storage_that_clients_do_not_reach() {
    let realm = Realm::start();
    for made in ALL {
        let report = pull(made, &realm, "127.0.0.1:1");
        report.fails(
            &["pull"],
            "redirects layers to 127.0.0.1, which responds",
            "storage.redirect.disable: true",
        );
    }
}
