//! Logging in to the server, and TLS.

use mongo::{AuthMechanism, MongoAddress, MongoLogin, MongoSettings, MongoTls, ServerSelection};
use mongodb::Client;
use peers::{FerretDb, FerretDbConfig, TestCertificate, TestKeyKind};

use crate::support::{Users, ann, settings};

/// A server that wants a login and has the user `ann`.
async fn server_with_login() -> FerretDb {
    let server = FerretDb::start(FerretDbConfig {
        login: true,
        tls: None,
    });
    let client = Client::with_uri_str(server.uri("admin")).await.unwrap();
    let collection = client.database("admin").collection("users");
    collection.insert_one(ann("right")).await.unwrap();
    server
}

fn login(password: &str, mechanism: Option<AuthMechanism>) -> MongoLogin {
    MongoLogin {
        username: FerretDb::USER.to_owned(),
        password: password.into(),
        source: "admin".to_owned(),
        mechanism,
    }
}

async fn outcome(address: MongoAddress) -> String {
    let settings = MongoSettings {
        selection: ServerSelection::FailFast,
        ..settings(address, "admin", "users")
    };
    Users::of(settings).outcome("ann", "right").await
}

#[tokio::test]
async fn a_login_at_the_server_right_and_wrong() {
    let server = server_with_login().await;
    let plain = || MongoAddress::of_servers(vec![server.host_port().parse().unwrap()]);
    for mechanism in [
        None,
        Some(AuthMechanism::ScramSha256),
        Some(AuthMechanism::ScramSha1),
    ] {
        let address = plain().with_login(login(FerretDb::PASSWORD, mechanism.clone()));
        assert_eq!(outcome(address).await, "accepted ann", "{mechanism:?}");
        let address = plain().with_login(login("hunter2", mechanism));
        let wrong = outcome(address).await;
        assert!(
            wrong.starts_with("broken: the database does not accept the user name and password"),
            "{wrong}"
        );
        assert!(!wrong.contains("hunter2"));
    }
    for options in ["", "&authMechanism=SCRAM-SHA-256&connectTimeoutMS=5000"] {
        let address = MongoAddress::from_uri(&(server.uri("admin") + options)).unwrap();
        assert_eq!(address.database(), Some("admin"));
        assert_eq!(outcome(address).await, "accepted ann", "{options}");
    }
    let without = outcome(plain()).await;
    assert!(
        without.starts_with("broken: the database refused the operation"),
        "{without}"
    );
}

#[tokio::test]
async fn each_certificate_has_its_outcome() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let names = "DNS:localhost,IP:127.0.0.1";
    let pair = TestCertificate::of_no_authority(path, "server", names);
    let other = TestCertificate::new(TestKeyKind::P256, path, "other");
    let server = FerretDb::start(FerretDbConfig {
        login: false,
        tls: Some((pair.certificate.clone(), pair.key)),
    });
    let address = server.tls_host_port();
    let (_, port) = address.split_once(':').unwrap();
    let trusting = |certificate: &std::path::Path| MongoTls::Authorities {
        file: certificate.to_owned(),
        pem: std::fs::read(certificate).unwrap(),
    };
    for (host, tls, expected) in [
        ("127.0.0.1", trusting(&pair.certificate), "no match"),
        ("localhost", trusting(&pair.certificate), "no match"),
        (
            "127.0.0.1",
            trusting(&other.certificate),
            "invalid peer certificate",
        ),
        ("127.0.0.1", MongoTls::System, "invalid peer certificate"),
        ("127.0.0.1", MongoTls::Off, "unavailable"),
    ] {
        let servers = vec![format!("{host}:{port}").parse().unwrap()];
        let address = MongoAddress::of_servers(servers)
            .with_tls(tls.clone())
            .unwrap();
        let found = outcome(address).await;
        assert!(found.contains(expected), "{host} {tls:?}: {found}");
    }
    let uri =
        |options: &str| MongoAddress::from_uri(&format!("mongodb://127.0.0.1:{port}/?{options}"));
    let listed = format!("tls=true&tlsCAFile={}", pair.certificate.display());
    assert_eq!(outcome(uri(&listed).unwrap()).await, "no match");
    // Not Mozilla's authorities, which the driver would take, but the system's: neither signed it.
    let refused = outcome(uri("tls=true").unwrap()).await;
    assert!(refused.contains("invalid peer certificate"), "{refused}");
    assert_eq!(
        outcome(uri("tls=true&tlsInsecure=true").unwrap()).await,
        "no match"
    );
}
