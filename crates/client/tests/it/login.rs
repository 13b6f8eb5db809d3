//! Logins with the real registries.

use client::{Error, ErrorKind, LoginCredentials, RegistryClient};
use peers::{Auth, RegistryConfig, registry2, registry3};

use crate::stub::{Reply, Stub, password, plain_session};

#[tokio::test]
async fn htpasswd_on_both_registries() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("htpasswd");
    // bcrypt of "sesame".
    std::fs::write(&file, format!("ann:{}\n", hash("sesame"))).unwrap();
    let config = RegistryConfig {
        auth: Auth::Htpasswd(file),
        ..RegistryConfig::default()
    };
    for registry in [registry2(&config), registry3(&config)] {
        let host = registry.host_port();
        assert!(
            plain_session(&host, password("ann", "sesame"))
                .await
                .log_in()
                .await
                .unwrap()
                .is_none()
        );
        let error = plain_session(&host, password("ann", "wrong"))
            .await
            .log_in()
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Login, "{error}");
        let session = plain_session(&host, password("ann", "sesame")).await;
        assert!(
            RegistryClient::new(session)
                .catalog(None)
                .unwrap()
                .all()
                .await
                .unwrap()
                .is_empty()
        );
    }
}

#[tokio::test]
async fn a_login_asks_for_a_refresh_token() {
    let stub = Stub::start(|request| {
        match (
            request.path.starts_with("/token"),
            request.header("authorization"),
        ) {
            (true, _) => Reply::json(200, r#"{"token":"t","refresh_token":"r"}"#),
            (false, Some("Bearer t")) => Reply::new(200),
            _ => Reply::new(401).header(
                "WWW-Authenticate",
                r#"Bearer realm="http://@self@/token",service="s""#,
            ),
        }
    });
    let granted = stub
        .session(password("ann", "sesame"))
        .await
        .log_in()
        .await
        .unwrap()
        .unwrap();
    assert_eq!(granted.refresh_token.unwrap().expose(), "r");
    let lines = stub.lines();
    assert_eq!(
        lines[1],
        "GET /token?account=ann&client_id=wharfinger&offline_token=true&service=s"
    );
}

#[tokio::test]
async fn what_is_no_registry_is_no_login() {
    let stub = Stub::start(|_| Reply::new(404).body("<html>nothing here</html>"));
    let error = stub
        .session(LoginCredentials::Anonymous)
        .await
        .log_in()
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::NotFound { source, .. } if source.text == "<html>nothing here</html>")
    );
    // The token server is content, the registry is not.
    let stub = Stub::start(|request| match request.path.starts_with("/token") {
        true => Reply::json(200, r#"{"token":"t"}"#),
        false => {
            Reply::new(401).header("WWW-Authenticate", r#"Bearer realm="http://@self@/token""#)
        }
    });
    let error = stub
        .session(password("ann", "sesame"))
        .await
        .log_in()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
}

fn hash(password: &str) -> String {
    let mut command = std::process::Command::new("python3");
    let script = "import crypt,sys;print(crypt.crypt(sys.argv[1],crypt.mksalt(crypt.METHOD_BLOWFISH,rounds=16)))";
    peers::run(command.args(["-c", script, password]))
        .succeeded()
        .to_owned()
}

/// Go's clients read numbers in quotes, other cases of names, and the last of repeated members.
#[tokio::test]
async fn token_responses_are_read_leniently() {
    for body in [
        r#"{"token":"good","expires_in":"300"}"#,
        r#"{"token":"good","expires_in":300.5}"#,
        r#"{"token":"good","expires_in":null,"issued_at":null}"#,
        r#"{"token":"good","expires_in":-1}"#,
        r#"{"token":null,"access_token":"good","refresh_token":null}"#,
        r#"{"Token":"good","Expires_In":"5m"}"#,
        r#"{"token":"bad","token":"good","unknown":{"a":[1]}}"#,
    ] {
        let stub = Stub::start(move |request| match request.header("authorization") {
            _ if request.path.starts_with("/token") => Reply::json(200, body),
            Some("Bearer good") => Reply::json(200, r#"{"tags":["1"]}"#),
            _ => {
                Reply::new(401).header("WWW-Authenticate", r#"Bearer realm="http://@self@/token""#)
            }
        });
        let repository = stub.repository("a", LoginCredentials::Anonymous).await;
        let tags = repository.all_tags().await;
        assert_eq!(
            tags.unwrap_or_else(|error| panic!("{body}: {error}")).len(),
            1
        );
    }
}

fn stored_token() -> LoginCredentials {
    LoginCredentials::RefreshToken {
        user: Some("ann".into()),
        token: "refresh-me".into(),
    }
}

/// A registry whose token server responds to revocations like this.
fn revoking(reply: Reply) -> Stub {
    Stub::start(move |request| match request.path.as_str() {
        "/v2/" => Reply::new(401).header(
            "WWW-Authenticate",
            r#"Bearer realm="http://@self@/auth/token?x=1",service="s""#,
        ),
        "/auth/token/revoke" if request.method == "POST" => reply.clone(),
        _ => Reply::new(404),
    })
}

/// RFC 7009.
#[tokio::test]
async fn a_refresh_token_is_revoked_at_the_token_server() {
    let stub = revoking(Reply::new(200));
    let session = stub.session(stored_token()).await;
    assert!(session.revoke().await.unwrap());
    let requests = stub.seen();
    let form = requests.last().unwrap().text();
    assert_eq!(
        form,
        "token=refresh-me&token_type_hint=refresh_token&client_id=wharfinger"
    );
}

#[tokio::test]
async fn a_token_server_that_cannot_revoke_is_told_apart() {
    for reply in [
        Reply::new(404),
        Reply::new(405),
        Reply::new(401),
        Reply::new(501),
        Reply::json(200, r#"{"token":"anonymous"}"#),
        Reply::new(200)
            .header("Content-Type", "text/html")
            .body("<html>"),
        Reply::json(400, r#"{"error":"unsupported_token_type"}"#),
    ] {
        let told = format!("{reply:?}");
        let stub = revoking(reply);
        let session = stub.session(stored_token()).await;
        assert!(!session.revoke().await.unwrap(), "{told}");
    }
    // One that fails may not have done it.
    let stub = revoking(Reply::new(500));
    stub.session(stored_token())
        .await
        .revoke()
        .await
        .unwrap_err();
}

#[tokio::test]
async fn a_password_is_not_sent_to_be_revoked() {
    let stub = revoking(Reply::new(200));
    let session = stub.session(password("ann", "sesame")).await;
    assert!(!session.revoke().await.unwrap());
    assert!(stub.seen().is_empty());
    let open = Stub::start(|_| Reply::new(200));
    assert!(!open.session(stored_token()).await.revoke().await.unwrap());
    assert_eq!(open.lines(), ["GET /v2/"]);
}
