use http::Request;

use super::*;

type Pairs<'a> = &'a [(&'static str, &'a str)];

const LISTED: &str = "192.0.2.1";
const CLIENT_OUTSIDE: &str = "198.51.100.1";

fn trusting(networks: &[&str]) -> ContextRule {
    ContextRule {
        trusted_proxies: Some(networks.iter().map(|text| text.parse().unwrap()).collect()),
        ..ContextRule::default()
    }
}

fn listing() -> ContextRule {
    trusting(&["192.0.2.0/24"])
}

fn real_ip(position: i32, trusted: Option<&[&str]>) -> ContextRule {
    ContextRule {
        real_ip_header: Some(FORWARDED_FOR),
        real_ip_pos: position,
        trusted_proxies: trusted
            .map(|list| list.iter().map(|text| text.parse().unwrap()).collect()),
        ..ContextRule::default()
    }
}

/// The context of a request over plain HTTP; `peer` is empty for a Unix socket.
fn context(rule: &ContextRule, peer: &str, pairs: Pairs<'_>) -> RequestContext {
    let peer = Peer {
        address: (!peer.is_empty()).then(|| peer.parse().unwrap()),
        tls: false,
    };
    let mut request = Request::builder().uri("/v2/");
    for (name, value) in pairs {
        request = request.header(*name, *value);
    }
    let (head, ()) = request.body(()).unwrap().into_parts();
    rule.resolve(peer, &head.uri, &head.headers, "1".to_owned())
}

fn client(
    rule: &ContextRule,
    peer: &str,
    pairs: Pairs<'_>,
) -> Result<ClientAddress, ClientAddressError> {
    context(rule, peer, pairs).client
}

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

fn address(ip_text: &str, attributable: &str) -> Result<ClientAddress, ClientAddressError> {
    let parse = |text: &str| (!text.is_empty()).then(|| text.parse().unwrap());
    Ok(ClientAddress {
        ip: parse(ip_text),
        attributable: parse(attributable),
    })
}

fn at_position(position: i32, lines: &[&str]) -> Result<Option<IpAddr>, ClientAddressError> {
    let pairs: Vec<_> = lines
        .iter()
        .map(|line| ("x-forwarded-for", *line))
        .collect();
    client(&real_ip(position, None), CLIENT_OUTSIDE, &pairs).map(|address| address.ip)
}

#[test]
fn the_configured_header_is_read_as_docker_auth_reads_it() {
    for (position, lines, expected) in [
        (0, &["10.0.0.1, 10.0.0.2"][..], "10.0.0.1"),
        (1, &["10.0.0.1 , 10.0.0.2 "], "10.0.0.2"),
        (-1, &["10.0.0.1,10.0.0.2"], "10.0.0.2"),
        // A negative position stops at the first, and only the first line counts.
        (-9, &["10.0.0.1,10.0.0.2"], "10.0.0.1"),
        (0, &["10.0.0.1", "10.0.0.2"], "10.0.0.1"),
        (0, &["1.2.3.4:99"], "1.2.3.4"),
        (0, &["[::1]:9"], "::1"),
        (0, &["2001:db8::5"], "2001:db8::5"),
        (0, &["::ffff:10.1.2.3"], "10.1.2.3"),
    ] {
        assert_eq!(at_position(position, lines), Ok(ip(expected)), "{lines:?}");
    }
}

#[test]
fn a_configured_header_without_an_address_is_an_error() {
    let missing = Err(ClientAddressError::Missing("x-forwarded-for".to_owned()));
    for (position, lines) in [(0, &[][..]), (0, &[""]), (-1, &["10.0.0.1, "])] {
        assert_eq!(at_position(position, lines), missing, "{lines:?}");
    }
    let position = Err(ClientAddressError::Position {
        header: "x-forwarded-for".to_owned(),
        position: 2,
    });
    assert_eq!(at_position(2, &["a,b"]), position);
    for text in [
        "junk",
        "[::1]",
        "1.2.3.4:",
        "1.2.3.4:99999",
        "1.2.3.4:5:6",
        "fe80::1%eth0",
        "010.0.0.1",
    ] {
        assert_eq!(
            at_position(0, &[text]),
            Err(malformed(&FORWARDED_FOR, text))
        );
    }
}

#[test]
fn limits_never_count_an_address_that_the_client_can_choose() {
    let claim = |text| [("x-forwarded-for", text)];
    // (rule, peer, the header, the client, the address that limits count)
    for (rule, peer, header, expected) in [
        // Without a list the configured header counts for rules, as in docker_auth, and only there.
        (
            real_ip(0, None),
            CLIENT_OUTSIDE,
            "10.0.0.1",
            address("10.0.0.1", ""),
        ),
        // A listed proxy's header counts; what the proxy added is the last address.
        (
            real_ip(0, Some(&["192.0.2.0/24"])),
            LISTED,
            "10.0.0.1, 203.0.113.5",
            address("10.0.0.1", "203.0.113.5"),
        ),
        (
            real_ip(-1, Some(&["192.0.2.0/24"])),
            LISTED,
            "10.0.0.1, 203.0.113.5",
            address("203.0.113.5", "203.0.113.5"),
        ),
        (
            real_ip(0, Some(&["192.0.2.0/24"])),
            "",
            "10.0.0.1",
            address("10.0.0.1", "10.0.0.1"),
        ),
        // The header of a client outside does not count.
        (
            real_ip(0, Some(&["192.0.2.0/24"])),
            CLIENT_OUTSIDE,
            "10.0.0.1",
            address(CLIENT_OUTSIDE, CLIENT_OUTSIDE),
        ),
        (
            listing(),
            CLIENT_OUTSIDE,
            "10.0.0.1",
            address(CLIENT_OUTSIDE, CLIENT_OUTSIDE),
        ),
        (
            ContextRule::default(),
            CLIENT_OUTSIDE,
            "10.0.0.1",
            address(CLIENT_OUTSIDE, CLIENT_OUTSIDE),
        ),
        (
            trusting(&[]),
            CLIENT_OUTSIDE,
            "10.0.0.1",
            address(CLIENT_OUTSIDE, CLIENT_OUTSIDE),
        ),
    ] {
        assert_eq!(
            client(&rule, peer, &claim(header)),
            expected,
            "{rule:?} {peer}"
        );
    }
    let without = client(&real_ip(0, Some(&["192.0.2.0/24"])), LISTED, &[]);
    assert!(matches!(without, Err(ClientAddressError::Missing(_))));
}

#[test]
fn the_client_is_the_last_that_is_not_a_trusted_proxy() {
    let (list, forwarded) = ("x-forwarded-for", "forwarded");
    for (header, value, expected) in [
        (list, "10.9.9.9, 203.0.113.5, 192.0.2.7", "203.0.113.5"),
        (list, "203.0.113.5:1234", "203.0.113.5"),
        // A client within the trusted network.
        (list, "192.0.2.9, 192.0.2.7", "192.0.2.9"),
        (forwarded, "for=203.0.113.5", "203.0.113.5"),
        (
            forwarded,
            "for=10.9.9.9, for=\"203.0.113.5:99\", for=192.0.2.7",
            "203.0.113.5",
        ),
        (forwarded, "for=\"[2001:db8::1]:99\"", "2001:db8::1"),
        (forwarded, "for=192.0.2.9, for=192.0.2.7", "192.0.2.9"),
        // The proxy hides its client, and the rules see no address.
        (forwarded, "for=10.0.0.1, for=unknown", ""),
        // A header that does not say anything of the client.
        (forwarded, "proto=https", LISTED),
    ] {
        assert_eq!(
            client(&listing(), LISTED, &[(header, value)]),
            address(expected, expected),
            "{value}"
        );
        if expected != LISTED {
            assert_eq!(
                client(&listing(), "", &[(header, value)]),
                address(expected, expected),
                "a Unix socket, {value}"
            );
        }
    }
    assert_eq!(client(&listing(), LISTED, &[]), address(LISTED, LISTED));
    assert_eq!(client(&listing(), "", &[]), address("", ""));
    assert_eq!(
        client(&listing(), "::ffff:10.1.2.3", &[]),
        address("10.1.2.3", "10.1.2.3")
    );
}

#[test]
fn a_header_that_the_proxy_did_not_set_is_refused() {
    let both = |forwarded| [("x-forwarded-for", "203.0.113.5"), ("forwarded", forwarded)];
    assert_eq!(
        client(&listing(), LISTED, &both("for=203.0.113.5;proto=https")),
        address("203.0.113.5", "203.0.113.5")
    );
    for forged in ["for=10.0.0.1", "for=unknown"] {
        assert_eq!(
            client(&listing(), LISTED, &both(forged)),
            Err(ClientAddressError::Contradiction),
            "{forged}"
        );
    }
    for (header, value) in [
        ("forwarded", "for=\"10.0.0.1"),
        ("x-forwarded-for", "10.0.0.1, junk"),
        ("x-forwarded-for", ""),
    ] {
        let refused = client(&listing(), LISTED, &[(header, value)]);
        assert!(
            matches!(refused, Err(ClientAddressError::Malformed { .. })),
            "{value}: {refused:?}"
        );
    }
}

fn location(rule: &ContextRule, peer: &str, pairs: Pairs<'_>) -> String {
    context(rule, peer, pairs).origin.location("/v2/")
}

const PROXIED: [(&str, &str); 4] = [
    ("host", "backend:5000"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-host", "registry.example.com, other"),
    ("x-forwarded-prefix", "/registry/"),
];

#[test]
fn a_location_is_where_the_client_asked() {
    let none = ContextRule::default();
    let host = |host| [("host", host)];
    assert_eq!(
        location(&none, CLIENT_OUTSIDE, &host("r.example:5000")),
        "http://r.example:5000/v2/"
    );
    assert_eq!(location(&none, CLIENT_OUTSIDE, &host("a b")), "/v2/");
    assert_eq!(location(&none, CLIENT_OUTSIDE, &[]), "/v2/");
    let tls = Peer {
        address: ip(CLIENT_OUTSIDE),
        tls: true,
    };
    let request = Request::builder().uri("https://h2.example/v2/");
    let (head, ()) = request.body(()).unwrap().into_parts();
    let over_http2 = none.resolve(tls, &head.uri, &head.headers, String::new());
    assert_eq!(over_http2.origin.location("/v2/"), "https://h2.example/v2/");
}

#[test]
fn only_a_trusted_proxy_says_where_the_client_asked() {
    let outside = "https://registry.example.com/registry/v2/";
    assert_eq!(location(&listing(), LISTED, &PROXIED), outside);
    assert_eq!(location(&listing(), "", &PROXIED), outside, "a Unix socket");
    for rule in [listing(), trusting(&[]), ContextRule::default()] {
        assert_eq!(
            location(&rule, CLIENT_OUTSIDE, &PROXIED),
            "/v2/",
            "{rule:?}"
        );
        let origin = context(&rule, CLIENT_OUTSIDE, &PROXIED).origin;
        assert_eq!(origin.url("/token"), "http://backend:5000/token");
        assert_eq!(
            location(&rule, CLIENT_OUTSIDE, &PROXIED[..1]),
            "http://backend:5000/v2/"
        );
    }
}

#[test]
fn forwarded_comes_before_its_relatives() {
    let with = |value| {
        let pairs = [&PROXIED[..], &[("forwarded", value)]].concat();
        location(&listing(), LISTED, &pairs)
    };
    assert_eq!(
        with("for=1.2.3.4;proto=https;host=f.example.com"),
        "https://f.example.com/registry/v2/"
    );
    // The outermost trusted proxy counts, not what the client wrote before it.
    assert_eq!(
        with(
            "for=9.9.9.9;host=evil.example, for=1.2.3.4;host=f.example.com;proto=http, for=192.0.2.7"
        ),
        "http://f.example.com/registry/v2/"
    );
    assert_eq!(
        with("for=1.2.3.4"),
        "https://registry.example.com/registry/v2/"
    );
}

#[test]
fn a_configured_url_comes_first() {
    let rule = ContextRule {
        public_url: PublicUrl::parse("https://hub.example"),
        ..listing()
    };
    assert_eq!(location(&rule, LISTED, &PROXIED), "https://hub.example/v2/");
    assert_eq!(
        location(&rule, CLIENT_OUTSIDE, &PROXIED),
        "https://hub.example/v2/"
    );
}
