//! Both forms of the string, and what the environment adds.

use super::*;

fn parse_alone(text: &str) -> Result<ConnectionString, DsnError> {
    parse(text, &|_| None)
}

fn target(text: &str) -> PostgresTarget {
    match parse_alone(text).unwrap().target {
        Target::Postgres(target) => target,
        _ => panic!("{text}"),
    }
}

fn verification(text: &str) -> Option<ServerVerification> {
    match target(text).tls {
        PostgresTls::Off => None,
        PostgresTls::Required(settings) => Some(settings.verification),
    }
}

fn password(target: &PostgresTarget) -> Option<&str> {
    target.password.as_ref().map(Secret::expose)
}

#[test]
fn both_forms_say_the_same() {
    for text in [
        "postgres://bob:s%27cret@db.example.com:6432/auth?sslmode=disable&search_path=a,b",
        r"host=db.example.com port=6432 user=bob password='s\'cret' dbname=auth sslmode=disable search_path=a,b",
    ] {
        let read = target(text);
        assert_eq!((read.host.as_str(), read.port), ("db.example.com", 6432));
        assert_eq!(
            (read.user.as_str(), read.database.as_str()),
            ("bob", "auth")
        );
        assert_eq!(password(&read), Some("s'cret"));
        assert_eq!(read.session, [("search_path".to_owned(), "a,b".to_owned())]);
        assert!(matches!(read.tls, PostgresTls::Off));
    }
}

#[test]
fn defaults_and_the_last_of_a_key() {
    let read = target("user=ann sslmode=disable");
    assert_eq!((read.host.as_str(), read.port), ("localhost", 5432));
    assert_eq!((read.user.as_str(), read.database.as_str()), ("ann", "ann"));
    assert_eq!(
        (password(&read), read.application_name.as_str()),
        (None, "wharfinger")
    );
    assert_eq!(target("host=a host=b").host, "b");
    assert_eq!(target("application_name=x").application_name, "x");
    assert_eq!(target("fallback_application_name=y").application_name, "y");
}

#[test]
fn each_mode_of_tls() {
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root.pem");
    std::fs::write(&root, "").unwrap();
    let root = root.display();
    for (text, expected) in [
        ("user=a".to_owned(), Some(ServerVerification::Nothing)),
        ("sslmode=disable".to_owned(), None),
        (
            "sslmode=require".to_owned(),
            Some(ServerVerification::Nothing),
        ),
        (
            format!("sslmode=require sslrootcert={root}"),
            Some(ServerVerification::Authority),
        ),
        (
            "sslmode=require sslrootcert=/no/such".to_owned(),
            Some(ServerVerification::Nothing),
        ),
        (
            format!("sslmode=verify-ca sslrootcert={root}"),
            Some(ServerVerification::Authority),
        ),
        (
            "sslmode=verify-ca".to_owned(),
            Some(ServerVerification::Authority),
        ),
        (
            "sslmode=verify-full".to_owned(),
            Some(ServerVerification::AuthorityAndName),
        ),
        (
            "sslmode=verify-full sslinline=true sslrootcert=PEM".to_owned(),
            Some(ServerVerification::AuthorityAndName),
        ),
        // A Unix socket has no TLS.
        ("host=/run/postgresql sslmode=verify-full".to_owned(), None),
    ] {
        assert_eq!(verification(&text), expected, "{text}");
    }
    let warnings = |text: &str| parse_alone(text).unwrap().warnings.len();
    assert_eq!(warnings("sslmode=require"), 1);
    assert_eq!(warnings("sslmode=require sslrootcert=/no/such sslsni=0"), 2);
    assert_eq!(warnings("sslmode=verify-full"), 0);
}

#[test]
fn the_environment_fills_what_is_absent() {
    let environment = |name: &str| {
        let value = match name {
            "PGHOST" => "env.example.com",
            "PGUSER" => "eve",
            "PGPASSWORD" => "from the environment",
            "PGSSLMODE" => "verify-full",
            "PGCONNECT_TIMEOUT" => "3",
            _ => return None,
        };
        Some(value.to_owned())
    };
    let read = parse("user=ann", &environment).unwrap();
    assert_eq!(read.limit, Some(Duration::from_secs(3)));
    let Target::Postgres(read) = read.target else {
        panic!("another database")
    };
    assert_eq!(
        (read.host.as_str(), read.user.as_str()),
        ("env.example.com", "ann")
    );
    assert_eq!(password(&read), Some("from the environment"));
    assert!(matches!(read.tls, PostgresTls::Required(_)));
}

#[test]
fn the_password_file_is_read() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(".pgpass");
    std::fs::write(&file, "db:5432:auth:bob:filed\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let home = home.path().display().to_string();
    let environment = |name: &str| (name == "HOME").then(|| home.clone());
    for (text, expected) in [
        ("host=db user=bob dbname=auth", Some("filed")),
        ("host=db user=bob dbname=auth password=own", Some("own")),
        ("host=other user=bob dbname=auth", None),
    ] {
        let Target::Postgres(read) = parse(text, &environment).unwrap().target else {
            panic!("another database")
        };
        assert_eq!(password(&read), expected, "{text}");
    }
}

#[test]
fn what_cannot_be_obeyed_is_refused_without_the_secret() {
    for (text, said) in [
        ("", "it is empty: write postgres://"),
        (
            "sslmode=prefer",
            "`sslmode` must be disable, require, verify-ca or verify-full",
        ),
        ("port=0", "`port` must be a number from 1 to 65535"),
        ("port=hunter2", "`port` must be a number from 1 to 65535"),
        ("password=my hunter2", "it has a word without `=`"),
        (
            "connect_timeout=hunter2",
            "`connect_timeout` must be a number of seconds",
        ),
        (
            "sslmode=verify-full sslrootcert=/no/such",
            "`sslrootcert` names a file that cannot be read",
        ),
        ("sslcert=a", "sslcert and sslkey need each other"),
        ("krbsrvname=x", "`krbsrvname` is not supported"),
        ("a;hunter2=x", "it has a key with characters"),
    ] {
        let error = parse_alone(text).map(|_| ()).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.starts_with(said), "{text}: {shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn fuzz_postgres_dsn() {
    let seeds = [
        "postgres://bob:s%3Ac@db:6432/auth?sslmode=require&search_path=a",
        r"host=db port=5432 user='a b' password='it\'s' dbname=auth sslmode=disable",
        "postgresql://[::1]:1/db?connect_timeout=5",
    ];
    fuzz::target("postgres dsn", &seeds, |bytes| {
        std::str::from_utf8(bytes).is_ok_and(|text| parse_alone(text).is_ok())
    });
}
