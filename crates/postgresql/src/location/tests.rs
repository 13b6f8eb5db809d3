use super::*;

fn parsed(text: &str) -> PostgresLocation {
    PostgresLocation::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn refused(text: &str) -> String {
    PostgresLocation::parse(text).unwrap_err().to_string()
}

/// What a URL says about TLS, in one word.
fn tls(text: &str) -> &'static str {
    match parsed(text).tls {
        PostgresTls::Off => "off",
        PostgresTls::Required(settings) => match settings.verification {
            ServerVerification::Nothing => "nothing",
            ServerVerification::Authority => "authority",
            ServerVerification::AuthorityAndName => "name",
        },
    }
}

#[test]
fn the_parts_of_a_url() {
    let location = parsed(
        "postgres://bob:s%3Ac%2Fret%40@db1:6432,[::1],db3/my%20db?connect_timeout=3\
         &application_name=replica+1&sslmode=disable",
    );
    assert_eq!(
        location.to_string(),
        "postgres://bob@db1:6432,[::1]:5432,db3:5432/my db"
    );
    assert_eq!(location.password.unwrap().expose(), "s:c/ret@");
    assert_eq!(location.connect_timeout, Duration::from_secs(3));
    assert_eq!(location.application_name, "replica+1");
    for (text, expected) in [
        ("postgresql://a@h", "postgres://a@h:5432/a"),
        ("postgres://a@h/", "postgres://a@h:5432/a"),
        (
            "postgres://a@/d?host=/run/postgresql",
            "postgres://a@/run/postgresql:5432/d",
        ),
        (
            "postgres://a@%2Frun%2Fpg:5433/d",
            "postgres://a@/run/pg:5433/d",
        ),
        (
            "postgres:///d?user=a&host=h1,h2&port=1,2",
            "postgres://a@h1:1,h2:2/d",
        ),
        (
            "postgres:///?user=a&host=h1,h2&port=7&dbname=x",
            "postgres://a@h1:7,h2:7/x",
        ),
        ("postgres://a:b@c@h/d", "postgres://a@h:5432/d"),
    ] {
        assert_eq!(parsed(text).to_string(), expected, "{text}");
    }
}

#[test]
fn what_protects_the_connection() {
    for (parameters, expected) in [
        ("", "name"),
        ("?sslmode=verify-full", "name"),
        ("?sslrootcert=system", "name"),
        ("?sslmode=verify-ca", "authority"),
        ("?sslmode=require", "nothing"),
        ("?sslmode=require&sslrootcert=/ca.pem", "authority"),
        ("?sslmode=disable", "off"),
    ] {
        assert_eq!(
            tls(&format!("postgres://a@db.example.com/d{parameters}")),
            expected
        );
    }
    for local in ["localhost", "127.0.0.1", "[::1]", "%2Frun%2Fpostgresql"] {
        assert_eq!(tls(&format!("postgres://a@{local}/d")), "off", "{local}");
        let root = format!("postgres://a@{local}/d?sslrootcert=/ca.pem");
        assert_eq!(tls(&root), "name", "{local}");
    }
    // One of two is another machine.
    assert_eq!(tls("postgres://a@localhost,db.example.com/d"), "name");
    let warnings = |text| parsed(text).warnings().count();
    assert_eq!(warnings("postgres://a@h/d?sslmode=require"), 1);
    assert_eq!(warnings("postgres://a@h/d?sslmode=disable"), 1);
    assert_eq!(warnings("postgres://a@localhost/d?sslmode=disable"), 0);
    assert_eq!(warnings("postgres://a@h/d"), 0);
}

#[test]
fn which_server_is_good_enough() {
    for (text, expected) in [
        ("postgres://a@h/d", TargetSession::Any),
        ("postgres://a@h1,h2/d", TargetSession::ReadWrite),
        (
            "postgres://a@h1,h2/d?target_session_attrs=any",
            TargetSession::Any,
        ),
        (
            "postgres://a@h/d?target_session_attrs=read-write",
            TargetSession::ReadWrite,
        ),
        (
            "postgres://a@h/d?target_session_attrs=primary",
            TargetSession::ReadWrite,
        ),
    ] {
        assert_eq!(parsed(text).target, expected, "{text}");
    }
}

#[test]
fn what_cannot_be_obeyed_is_refused_by_name() {
    for (text, expected) in [
        ("mysql://a@h/d", "postgres://"),
        ("postgres://h/d", "no user"),
        ("postgres://a@/d", "no host"),
        ("postgres://a@h:0/d", "`port` must be"),
        ("postgres://a@h:65536/d", "`port` must be"),
        ("postgres://a@[::1/d", "brackets"),
        ("postgres://a@h/d?sslmode=prefer", "do not protect"),
        ("postgres://a@h/d?sslmode=on", "`sslmode` must be"),
        (
            "postgres://a@h/d?sslcert=/c",
            "only one of sslcert and sslkey",
        ),
        (
            "postgres://a@h/d?options=-c%20x=1",
            "unknown parameter `options`",
        ),
        (
            "postgres://a@h/d?ssl%0Amode=1",
            "unknown parameter `ssl\\nmode`",
        ),
        (
            "postgres://a@h/d?sslmode=require&sslmode=disable",
            "`sslmode` is there twice",
        ),
        (
            "postgres://a@h/d?connect_timeout=0",
            "`connect_timeout` must be",
        ),
        (
            "postgres://a@h/d?connect_timeout=61",
            "`connect_timeout` must be",
        ),
        (
            "postgres://a@h/d?channel_binding=yes",
            "`channel_binding` must be",
        ),
        (
            "postgres://a@h/d?target_session_attrs=standby",
            "this program writes",
        ),
        ("postgres://a@h/d?port=1", "without a `host`"),
        (
            "postgres://a@/d?host=a,b&port=1,2,3",
            "as many as there are hosts",
        ),
        ("postgres://a@h/d#x", "%23"),
        ("postgres://a%00b@h/d", "NUL"),
        ("postgres://%ff@h/d", "UTF-8"),
        ("postgres://a@h h/d", "a character that no name has"),
    ] {
        let error = refused(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn lengths_are_bounded() {
    let long = |length| "x".repeat(length);
    for (text, part) in [
        (
            format!("postgres://a@h/d?sslrootcert={}", long(8 * 1024)),
            "URL",
        ),
        (format!("postgres://{}@h/d", long(64)), "user"),
        (format!("postgres://a@h/{}", long(64)), "database"),
        (format!("postgres://a:{}@h/d", long(1025)), "password"),
        (format!("postgres://a@{}/d", long(254)), "name of a host"),
        (
            format!("postgres://a@h/d?application_name={}", long(64)),
            "application_name",
        ),
    ] {
        let error = refused(&text);
        assert!(
            error.starts_with(&format!("the {part} is longer than")),
            "{error}"
        );
    }
    let seventeen = vec!["h"; 17].join(",");
    assert!(refused(&format!("postgres://a@{seventeen}/d")).contains("more than 16 hosts"));
}

#[test]
fn the_password_is_not_shown() {
    let location = parsed("postgres://bob:open-sesame@h/d");
    assert!(!format!("{location} {location:?}").contains("sesame"));
    for broken in [
        "postgres://bob:open-sesame@h:x/d",
        "postgres://bob:open-sesame@h/d?sslmode=x",
        "postgre://bob:open-sesame@h/d",
        "postgres://bob:open-sesame@/d",
    ] {
        assert!(!refused(broken).contains("sesame"), "{broken}");
    }
    let replaced = location.with_password("other".into());
    assert_eq!(replaced.password.unwrap().expose(), "other");
}

#[test]
fn fuzz_postgres_location() {
    let seeds = [
        "postgres://bob:s%3Ac@db1:6432,[::1],db3/my%20db?connect_timeout=3&sslmode=verify-ca",
        "postgresql:///d?user=a&host=/run/postgresql,h2&port=1,2&channel_binding=require",
    ];
    fuzz::target("postgres location", &seeds, |bytes| {
        let text = std::str::from_utf8(bytes).ok();
        text.is_some_and(|text| match PostgresLocation::parse(text) {
            Ok(location) => !location.to_string().is_empty(),
            Err(error) => error.to_string().is_empty(),
        })
    });
}
