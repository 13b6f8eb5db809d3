//! Each mode of TLS against real servers, with the right certificate, an unknown one, and one for
//! another name.

use auth::RuleStore;
use peers::{TestCertificate, TestKeyKind};
use sql::{DatabaseType, SqlQuery, SqlRules};

use crate::support::{READER_PASSWORD, causes, database, shared_mariadb, shared_postgres};

/// Whether the connection is protected, or why there is none.
async fn is_protected(kind: DatabaseType, conn_string: &str) -> Result<bool, String> {
    let text = match kind {
        DatabaseType::Postgres => {
            "SELECT 1 AS seq, to_json(ssl) AS acl_entry FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        }
        _ => {
            "SELECT 1 AS seq, IF(VARIABLE_VALUE = '', 'false', 'true') AS acl_entry \
             FROM information_schema.SESSION_STATUS WHERE VARIABLE_NAME = 'Ssl_cipher'"
        }
    };
    let query = SqlQuery::own_for_rules(text).unwrap();
    let rules = SqlRules::new("acl_sql", database(kind, conn_string), query);
    match rules.read().await {
        Ok(read) => Ok(read[0].rule.as_bool().unwrap()),
        Err(error) => Err(causes(&error)),
    }
}

#[tokio::test]
async fn postgres_verifies_what_sslmode_says() {
    let server = shared_postgres();
    let directory = tempfile::tempdir().unwrap();
    let unknown = TestCertificate::new(TestKeyKind::P256, directory.path(), "unknown");
    let (known, unknown) = (
        server.certificate().display(),
        unknown.certificate.display(),
    );
    let password = READER_PASSWORD.replace('\'', "\\'");
    // The certificate is for 127.0.0.1, and the server listens on 127.0.0.2, too.
    let to = |host: &str, tls: &str| {
        let port = server.port();
        format!("host={host} port={port} user=reader password='{password}' dbname=postgres {tls}")
    };
    for (host, tls, expected) in [
        ("127.0.0.1", "sslmode=disable".to_owned(), Ok(false)),
        ("127.0.0.1", String::new(), Ok(true)),
        ("127.0.0.2", "sslmode=require".to_owned(), Ok(true)),
        (
            "127.0.0.2",
            "sslmode=require sslrootcert=/no/such".to_owned(),
            Ok(true),
        ),
        (
            "127.0.0.2",
            format!("sslmode=require sslrootcert={known}"),
            Ok(true),
        ),
        (
            "127.0.0.1",
            format!("sslmode=require sslrootcert={unknown}"),
            Err(()),
        ),
        (
            "127.0.0.1",
            format!("sslmode=verify-ca sslrootcert={known}"),
            Ok(true),
        ),
        (
            "127.0.0.2",
            format!("sslmode=verify-ca sslrootcert={known}"),
            Ok(true),
        ),
        (
            "127.0.0.1",
            format!("sslmode=verify-ca sslrootcert={unknown}"),
            Err(()),
        ),
        ("127.0.0.1", "sslmode=verify-ca".to_owned(), Err(())),
        (
            "127.0.0.1",
            format!("sslmode=verify-full sslrootcert={known}"),
            Ok(true),
        ),
        (
            "localhost",
            format!("sslmode=verify-full sslrootcert={known}"),
            Ok(true),
        ),
        (
            "127.0.0.2",
            format!("sslmode=verify-full sslrootcert={known}"),
            Err(()),
        ),
        (
            "127.0.0.1",
            format!("sslmode=verify-full sslrootcert={unknown}"),
            Err(()),
        ),
        ("127.0.0.1", "sslmode=verify-full".to_owned(), Err(())),
    ] {
        let found = is_protected(DatabaseType::Postgres, &to(host, &tls)).await;
        match (&found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(*found, expected, "{host} {tls}"),
            (Err(found), Err(())) => {
                let refused = found.starts_with("cannot connect to the database: ")
                    && found.contains("invalid peer certificate");
                assert!(refused, "{host} {tls}: {found}");
            }
            _ => panic!("{host} {tls}: {found:?}"),
        }
    }
    let inline = std::fs::read_to_string(server.certificate()).unwrap();
    let tls = format!("sslmode=verify-full sslinline=true sslrootcert='{inline}'");
    assert_eq!(
        is_protected(DatabaseType::Postgres, &to("127.0.0.1", &tls)).await,
        Ok(true)
    );
}

#[tokio::test]
async fn mariadb_verifies_what_tls_says() {
    let server = shared_mariadb();
    server.run("GRANT SELECT ON mysql.* TO reader@'%'");
    let to = |tls: &str| {
        let port = server.port();
        format!("reader:{READER_PASSWORD}@tcp(127.0.0.1:{port})/mysql{tls}")
    };
    for (tls, expected) in [
        ("", false),
        ("?tls=false", false),
        ("?tls=skip-verify", true),
        ("?tls=preferred", true),
    ] {
        let found = is_protected(DatabaseType::MySql, &to(tls)).await;
        assert_eq!(found, Ok(expected), "{tls}");
    }
    // No authority of the system signed the server's certificate.
    let refused = is_protected(DatabaseType::MySql, &to("?tls=true"))
        .await
        .unwrap_err();
    assert!(
        refused.starts_with("cannot connect to the database"),
        "{refused}"
    );
}
