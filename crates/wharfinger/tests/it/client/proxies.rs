//! Proxies, as the environment names them: registries whose names only the proxy can resolve.

use peers::{Image, Proxy, RegistryConfig, TestCertificate, TestKeyKind, registry3};

use super::runner::{User, code};

/// Names that lead nowhere without a proxy (RFC 2606).
const HOST: &str = "registry.invalid";

#[test]
fn plain_http_goes_by_way_of_a_proxy() {
    let (registry, user, image) = (
        registry3(&RegistryConfig::default()),
        User::new(),
        Image::saying("by proxy"),
    );
    let proxy = Proxy::start(&registry.host_port(), Some("ann:s@same"));
    let name = format!("{HOST}:5000/team/app:1");
    let run =
        |arguments: &[&str], variables: &[(&str, &str)]| user.run_with(arguments, "", variables);
    let url = format!("http://ann:s%40same@{}", proxy.host_port());
    let layout = format!("oci:{}", image.layout().display());
    run(
        &["push", "-q", "--plain-http", &layout, &name],
        &[("HTTP_PROXY", &url)],
    )
    .succeeded();
    let digest = run(&["digest", "--plain-http", &name], &[("http_proxy", &url)]);
    assert_eq!(digest.succeeded(), image.digest());
    assert!(
        proxy
            .seen()
            .contains(&format!("HEAD http://{HOST}:5000/v2/team/app/manifests/1")),
        "{:?}",
        proxy.seen()
    );

    let before = proxy.seen().len();
    let around = run(
        &["digest", "--plain-http", &name],
        &[("HTTP_PROXY", &url), ("NO_PROXY", ".other,.invalid")],
    );
    assert_eq!(code(&around), 7, "{around}");
    assert!(
        around.stderr.contains("cannot be found by name"),
        "{around}"
    );
    // This machine needs no proxy to speak to itself.
    let local = format!("{}/team/app:1", registry.host_port());
    assert_eq!(
        run(&["digest", &local], &[("HTTP_PROXY", &url)]).succeeded(),
        image.digest()
    );
    assert_eq!(proxy.seen().len(), before);
}

#[test]
fn https_goes_through_a_tunnel() {
    let directory = tempfile::tempdir().unwrap();
    let pair = TestCertificate::new(TestKeyKind::P256, directory.path(), "registry");
    let tls = Some((pair.certificate.clone(), pair.key.clone()));
    let registry = registry3(&RegistryConfig {
        tls,
        ..RegistryConfig::default()
    });
    let (user, image) = (User::new(), Image::saying("by tunnel"));
    let proxy = Proxy::start(&registry.host_port(), Some("ann:sesame"));
    let (url, name) = (
        format!("http://ann:sesame@{}", proxy.host_port()),
        format!("{HOST}/team/app:1"),
    );
    let run = |arguments: &[&str]| user.run_with(arguments, "", &[("HTTPS_PROXY", &url)]);
    // Its certificate is for this machine, which is not what we called it by: the proxy does not
    // end TLS.
    let certificate = pair.certificate.display().to_string();
    let wrong = run(&["digest", "--ca-file", &certificate, &name]);
    assert_eq!(code(&wrong), 7, "{wrong}");
    assert!(
        wrong.stderr.contains("has a certificate for other names"),
        "{wrong}"
    );
    let layout = format!("oci:{}", image.layout().display());
    run(&["push", "-q", "--insecure", &layout, &name]).succeeded();
    assert_eq!(
        run(&["digest", "--insecure", &name]).succeeded(),
        image.digest()
    );
    assert!(
        proxy
            .seen()
            .iter()
            .all(|line| line == &format!("CONNECT {HOST}:443")),
        "{:?}",
        proxy.seen()
    );
}

#[test]
fn a_proxy_that_refuses_is_named() {
    let registry = registry3(&RegistryConfig::default());
    let proxy = Proxy::start(&registry.host_port(), Some("ann:sesame"));
    let user = User::new();
    let closed = "http://127.0.0.1:1".to_owned();
    for (variable, url, option) in [
        (
            "HTTPS_PROXY",
            format!("http://{}", proxy.host_port()),
            "--anonymous",
        ),
        (
            "HTTPS_PROXY",
            format!("http://ann:wrong@{}", proxy.host_port()),
            "--anonymous",
        ),
        (
            "HTTP_PROXY",
            format!("http://ann:wrong@{}", proxy.host_port()),
            "--plain-http",
        ),
        ("HTTP_PROXY", closed.clone(), "--plain-http"),
        ("HTTPS_PROXY", closed, "--anonymous"),
    ] {
        let refused = user.run_with(
            &["digest", option, &format!("{HOST}/team/app:1")],
            "",
            &[(variable, &url)],
        );
        assert_eq!(code(&refused), 7, "{refused}");
        let hint = refused
            .stderr
            .lines()
            .find(|line| line.starts_with("hint: "))
            .unwrap_or_default();
        assert!(
            hint.contains(variable) && hint.contains("NO_PROXY"),
            "{refused}"
        );
        assert!(
            !refused.stderr.contains("wrong"),
            "the proxy's password is not shown: {refused}"
        );
    }
}
