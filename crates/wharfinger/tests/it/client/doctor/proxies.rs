//! What stands between client and registry, and changes what passes.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use common::{Clock, SystemClock, unix_seconds};
use peers::{Nginx, RegistryConfig, TestKeyKind};

use super::certificates::Wanted;
use super::{ALL, Realm, Stage, X5C, proxy, run_probes, tls_proxy};

#[test]
fn challenges_that_do_not_arrive_as_they_were() {
    for made in ALL {
        let stage = Stage::set(TestKeyKind::P256, made, &X5C);
        let stripped = proxy(&stage.registry, "proxy_hide_header WWW-Authenticate;", "");
        let report = run_probes(&[&stripped.host_port()], "");
        report.fails(
            &["registry-challenge"],
            "401 without a WWW-Authenticate header",
            "proxy_hide_header",
        );
        let two = proxy(
            &stage.registry,
            "add_header WWW-Authenticate 'Basic realm=\"nginx\"' always;",
            "",
        );
        let report = run_probes(&[&two.host_port()], "");
        report.fails(
            &["registry-challenge"],
            "2 challenges at once (Bearer, Basic)",
            "let either the proxy or the registry ask",
        );

        // nginx asks for a password of its own, where tokens are expected.
        let users = stage.directory.path().join("htpasswd");
        fs::write(&users, "ann:{PLAIN}sesame\n").unwrap();
        let directives = format!(
            "auth_basic private; auth_basic_user_file {};",
            users.display()
        );
        let password = proxy(&stage.registry, &directives, "");
        let file = stage.directory.path().join("registry.yml");
        fs::write(
            &file,
            "version: 0.1\nauth: {token: {issuer: Acme, service: r}}\n",
        )
        .unwrap();
        let report = run_probes(
            &[
                "--config",
                &file.display().to_string(),
                &password.host_port(),
            ],
            "",
        );
        report.fails(
            &["registry-challenge"],
            "asks for a password (Basic), but the",
            "remove auth_basic",
        );
    }
}

#[test]
fn a_proxy_without_a_registry_behind_it() {
    let gone = Nginx::start("listen @listen@; location / { proxy_pass http://127.0.0.1:1; }");
    let report = run_probes(&[&gone.host_port()], "");
    report.fails(
        &["registry-challenge"],
        "/v2/ responds 502 Bad Gateway (Server: nginx/",
        "proxy_pass",
    );
    for made in ALL {
        let registry = made.open();
        let shut = proxy(&registry, "deny all;", "");
        let report = run_probes(&[&shut.host_port()], "");
        report.fails(
            &["registry-challenge"],
            "/v2/ responds 403 Forbidden",
            "allow the clients' addresses",
        );
        let elsewhere = Nginx::start(&format!(
            "listen @listen@; location /registry/ {{ proxy_pass http://{}/; }}",
            registry.host_port()
        ));
        let report = run_probes(&[&elsewhere.host_port()], "");
        report.fails(
            &["registry-challenge"],
            "/v2/ responds 404 Not Found",
            "forward /v2/ to the registry",
        );
    }
    let site = Nginx::start(
        "listen @listen@; location / { default_type text/html; return 200 '<h1>Welcome</h1>'; }",
    );
    let report = run_probes(&[&site.host_port()], "");
    report.fails(
        &["registry-challenge"],
        "/v2/ is a web page (Server: nginx/",
        "check the host name",
    );
}

#[test]
fn bodies_that_are_not_let_through() {
    for made in ALL {
        let registry = made.open();
        let pushing = |directives: &str, more: &str| {
            let proxy = proxy(
                &registry,
                &format!("proxy_set_header Host $http_host; {directives}"),
                more,
            );
            run_probes(&["--push", &format!("{}/a", proxy.host_port())], "")
        };
        let small = pushing("", "client_max_body_size 1m;");
        small.fails(&["push-body"], "a body of 2 MB", "client_max_body_size 0");
        small.says("push-body", "413", "");
        small.says("push-body", "(Server: nginx/", "");
        // As Cloudflare's, which takes 100 MB.
        let large = pushing("", "client_max_body_size 100m;");
        large.fails(&["push-body"], "a body of 110 MB", "client_max_body_size 0");
        let length = pushing(
            "if ($http_transfer_encoding) { return 411; }",
            "client_max_body_size 0;",
        );
        length.fails(
            &["push-body"],
            "411 Length Required",
            "bodies without a Content-Length",
        );
        // A server that reads the body and never responds.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let stall = format!(
            "proxy_read_timeout 2s; if ($request_method = PATCH) {{ proxy_pass http://{}; }}",
            silent.local_addr().unwrap()
        );
        let stalled = pushing(&stall, "client_max_body_size 0;");
        stalled.fails(
            &["push-body"],
            "504 Gateway Time-out",
            "proxy_request_buffering off",
        );
    }
}

#[test]
fn uploads_that_go_on_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let pair = Wanted::for_this_machine().write(directory.path(), "tls", None);
    let trusted = pair.certificate.display().to_string();
    for made in ALL {
        let registry = made.open();
        let upstream = registry.host_port();
        let more = "client_max_body_size 0;";
        let nameless = proxy(&registry, "proxy_redirect off;", more);
        let report = run_probes(&["--push", &format!("{}/a", nameless.host_port())], "");
        let in_clear = tls_proxy(
            &registry,
            &pair,
            "client_max_body_size 0; proxy_set_header Host $http_host; proxy_redirect off;",
        );
        let name = format!("{}/a", in_clear.host_port());
        let clear = run_probes(&["--ca-file", &trusted, "--push", &name], "");
        report.fails(
            &["push-location"],
            &format!("continues at http://{upstream}"),
            "proxy_set_header Host",
        );
        let evidence = format!(
            "an upload begun at https://{0} continues at http://{0}",
            in_clear.host_port()
        );
        clear.fails(&["push-location"], &evidence, "X-Forwarded-Proto");
        let right = "client_max_body_size 0; proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto $scheme;";
        let right = tls_proxy(&registry, &pair, right);
        run_probes(
            &[
                "--ca-file",
                &trusted,
                "--push",
                &format!("{}/a", right.host_port()),
            ],
            "",
        )
        .is_healthy();
    }
}

#[test]
fn replicas_that_share_nothing() {
    for made in ALL {
        let (one, two) = (made.open(), made.open());
        let pool = Nginx::start_with(
            &format!(
                "upstream pool {{ server {}; server {}; }}",
                one.host_port(),
                two.host_port()
            ),
            "listen @listen@; location / { proxy_pass http://pool; proxy_set_header Host $http_host; }",
        );
        let report = run_probes(&["--push", &format!("{}/a", pool.host_port())], "");
        report.fails(
            &["push-session"],
            "upload session not found on request",
            "http.secret",
        );
    }
}

#[test]
fn redirects_that_go_round() {
    let directory = tempfile::tempdir().unwrap();
    let pair = Wanted::for_this_machine().write(directory.path(), "tls", None);
    let trusted = pair.certificate.display().to_string();
    let slash = Nginx::start(
        "listen @listen@; location = /v2/ { return 301 /v2; } location = /v2 { return 301 /v2/; }",
    );
    run_probes(&[&slash.host_port()], "").fails(
        &["registry-redirects"],
        "in a loop: http://",
        "slash",
    );
    for made in ALL {
        let registry = made.open();
        // The inner proxy wants https, and does not learn that it is.
        let inner = Nginx::start(&format!(
            "listen @listen@; location / {{ if ($http_x_forwarded_proto != https) {{ return 301 https://$http_host$request_uri; }}\n\
             proxy_pass http://{}; }}",
            registry.host_port()
        ));
        let outer = |directives: &str| {
            let tls = super::tls(&pair);
            let proxy = Nginx::start(&format!(
                "listen @listen@ ssl; {tls} location / {{ proxy_pass http://{}; proxy_redirect off; proxy_set_header Host $http_host; {directives} }}",
                inner.host_port()
            ));
            run_probes(&["--ca-file", &trusted, &proxy.host_port()], "")
        };
        outer("").fails(&["registry-redirects"], "in a loop: https://", "the scheme");
        outer("proxy_set_header X-Forwarded-Proto https;").is_healthy();
        let down = Nginx::start(&format!(
            "listen @listen@ ssl; {} location / {{ return 301 http://{}$request_uri; }}",
            super::tls(&pair),
            registry.host_port()
        ));
        let report = run_probes(&["--ca-file", &trusted, &down.host_port()], "");
        report.fails(
            &["registry-redirects"],
            "from https to plain http: https://",
            "X-Forwarded-Proto $scheme",
        );
    }
}

#[test]
fn clocks_that_a_proxy_changes() {
    let realm = Realm::start();
    for made in ALL {
        let registry_with = |date: SystemTime| {
            let more_http = format!("headers: {{Date: [{:?}]}}", http_date(date));
            made.start(&RegistryConfig {
                auth: realm.auth(),
                more_http,
                ..RegistryConfig::default()
            })
        };
        let now = SystemClock.now();
        // The proxy passes the registry's Date on, where nginx would write its own.
        for (registry, evidence) in [
            (registry_with(now - Duration::from_secs(300)), "registry -"),
            (registry_with(now + Duration::from_secs(300)), "registry +"),
        ] {
            let through = proxy(
                &registry,
                "proxy_pass_header Date; proxy_set_header Host $http_host;",
                "",
            );
            let report = run_probes(&[&through.host_port()], "");
            report.says("clocks", evidence, "timedatectl set-ntp true");
            let failed = report.with("failure");
            // Behind by so much, the registry would take a new token for one of the future.
            let expected: &[&str] = if evidence.ends_with('-') {
                &["clocks", "token-claims"]
            } else {
                &["clocks"]
            };
            assert_eq!(failed, expected, "{}", report.made);
            run_probes(&[&proxy(&registry, "", "").host_port()], "").is_healthy();
        }
    }
}

/// RFC 9110 §5.6.7.
fn http_date(time: SystemTime) -> String {
    let text = common::rfc3339(unix_seconds(time));
    let (date, clock) = text.trim_end_matches('Z').split_once('T').unwrap();
    let parts: Vec<&str> = date.split('-').collect();
    let month = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ][parts[1].parse::<usize>().unwrap() - 1];
    // The epoch was a Thursday.
    let days = time.duration_since(UNIX_EPOCH).unwrap().as_secs() / 86_400;
    let day = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][usize::try_from(days % 7).unwrap()];
    format!("{day}, {} {month} {} {clock} GMT", parts[2], parts[0])
}
