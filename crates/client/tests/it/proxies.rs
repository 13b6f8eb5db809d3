//! Proxies: which requests go through one.

use client::{
    LoginCredentials, ProxySettings, RegistryClient, RegistrySession, Transport, TransportOptions,
};

use crate::stub::{Reply, Stub};

/// Asks `host` for its catalog, with a stub as the proxy for everything.
async fn catalog(host: &str, proxy: &Stub, no_proxy: &str) -> Result<Vec<String>, client::Error> {
    let (proxy, no_proxy) = (format!("http://{}", proxy.host()), no_proxy.to_owned());
    let transport = Transport::new(TransportOptions {
        plain_http: true,
        proxies: ProxySettings::new(|name| match name {
            "HTTP_PROXY" => Some(proxy.clone()),
            "NO_PROXY" => Some(no_proxy.clone()),
            _ => None,
        }),
        ..TransportOptions::default()
    });
    let host = host.parse().unwrap();
    let session = RegistrySession::begin(transport, host, LoginCredentials::Anonymous);
    let registry = RegistryClient::new(session.await?);
    registry.catalog(None)?.all().await
}

#[tokio::test]
async fn a_proxy_is_used_unless_no_proxy_names_the_registry() {
    let proxy = Stub::start(|_| Reply::json(200, r#"{"repositories":["by-proxy"]}"#));
    let host = "registry.invalid:5000";
    for other in [
        "",
        "other.invalid",
        "registry.invalid:5001",
        "*.registry.invalid",
    ] {
        let found = catalog(host, &proxy, other).await;
        assert_eq!(found.unwrap(), ["by-proxy"], "{other}");
    }
    let requests = proxy.lines().len();
    assert!(proxy.lines()[0].contains("http://registry.invalid:5000/v2/"));
    for exception in [
        "registry.invalid:5000",
        "*.invalid",
        ".invalid",
        "registry.invalid",
        "*",
    ] {
        // Directly, the name cannot be resolved.
        let error = catalog(host, &proxy, exception).await.unwrap_err();
        assert!(
            error.to_string().contains("cannot be found by name"),
            "{error}"
        );
        assert_eq!(proxy.lines().len(), requests, "{exception}");
    }
}

#[tokio::test]
async fn this_machine_is_never_asked_by_proxy() {
    let proxy = Stub::start(|_| Reply::new(500));
    let registry = Stub::start(|_| Reply::json(200, r#"{"repositories":["direct"]}"#));
    let found = catalog(registry.host(), &proxy, "").await;
    assert_eq!(found.unwrap(), ["direct"]);
    assert!(proxy.seen().is_empty());
}
