//! Each mode of TLS against a real server, and the channel binding of SCRAM.

use peers::{TestCertificate, TestKeyKind};

use crate::support::{PASSWORD_IN_URL, causes, pool, shared};

/// Whether the connection is protected, or why there is none.
async fn is_protected(url: &str) -> Result<bool, String> {
    let sql = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";
    match pool(url).query_one(sql, &[]).await {
        Ok(row) => Ok(row.get(0)),
        Err(error) => Err(causes(&error)),
    }
}

#[tokio::test]
async fn the_server_is_verified_as_the_url_says() {
    let server = shared();
    let directory = tempfile::tempdir().unwrap();
    let unknown = TestCertificate::new(TestKeyKind::P256, directory.path(), "unknown");
    let known = server.certificate().display();
    let unknown = unknown.certificate.display();
    // The certificate is for 127.0.0.1 and localhost, and the server listens on 127.0.0.2, too.
    let to = |host: &str, tls: &str| {
        let port = server.port();
        format!("postgres://writer:{PASSWORD_IN_URL}@{host}:{port}/postgres?connect_timeout=5{tls}")
    };
    for (host, tls, expected) in [
        ("127.0.0.1", String::new(), Ok(false)),
        ("127.0.0.1", "&sslmode=disable".to_owned(), Ok(false)),
        ("127.0.0.2", "&sslmode=require".to_owned(), Ok(true)),
        (
            "127.0.0.2",
            format!("&sslmode=require&sslrootcert={known}"),
            Ok(true),
        ),
        (
            "127.0.0.1",
            format!("&sslmode=require&sslrootcert={unknown}"),
            Err(()),
        ),
        (
            "127.0.0.2",
            format!("&sslmode=verify-ca&sslrootcert={known}"),
            Ok(true),
        ),
        (
            "127.0.0.1",
            format!("&sslmode=verify-ca&sslrootcert={unknown}"),
            Err(()),
        ),
        ("127.0.0.1", "&sslmode=verify-ca".to_owned(), Err(())),
        ("127.0.0.1", format!("&sslrootcert={known}"), Ok(true)),
        (
            "localhost",
            format!("&sslmode=verify-full&sslrootcert={known}"),
            Ok(true),
        ),
        (
            "127.0.0.2",
            format!("&sslmode=verify-full&sslrootcert={known}"),
            Err(()),
        ),
        (
            "127.0.0.1",
            format!("&sslmode=verify-full&sslrootcert={unknown}"),
            Err(()),
        ),
        ("127.0.0.1", "&sslmode=verify-full".to_owned(), Err(())),
        (
            "127.0.0.1",
            format!("&sslrootcert={known}&channel_binding=require"),
            Ok(true),
        ),
        (
            "127.0.0.1",
            format!("&sslrootcert={known}&channel_binding=disable"),
            Ok(true),
        ),
    ] {
        let found = is_protected(&to(host, &tls)).await;
        match (&found, expected) {
            (Ok(found), Ok(expected)) => assert_eq!(*found, expected, "{host} {tls}"),
            (Err(found), Err(())) => {
                assert!(
                    found.contains("invalid peer certificate"),
                    "{host} {tls}: {found}"
                );
            }
            _ => panic!("{host} {tls}: {found:?}"),
        }
    }
    // Without TLS there is no channel to bind to.
    let unbound = is_protected(&to("127.0.0.1", "&channel_binding=require")).await;
    assert!(
        unbound.unwrap_err().contains("channel binding"),
        "{server:?}"
    );
    let no_file = is_protected(&to("127.0.0.1", "&sslrootcert=/no/such.pem")).await;
    assert!(no_file.unwrap_err().contains("/no/such.pem: "));
}

/// A certificate of the client, which the server asks for.
#[tokio::test]
async fn the_client_shows_its_certificate() {
    let server = shared();
    let directory = tempfile::tempdir().unwrap();
    let own = TestCertificate::new(TestKeyKind::P256, directory.path(), "own");
    let known = server.certificate().display();
    let url = format!(
        "postgres://writer:{PASSWORD_IN_URL}@127.0.0.1:{}/postgres?sslrootcert={known}&sslcert={}\
         &sslkey={}",
        server.port(),
        own.certificate.display(),
        own.key.display()
    );
    assert_eq!(is_protected(&url).await, Ok(true));
    let other = url.replace(&own.key.display().to_string(), "/no/such.key");
    assert!(
        is_protected(&other)
            .await
            .unwrap_err()
            .contains("/no/such.key")
    );
}
