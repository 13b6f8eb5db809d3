//! Sign-ins in a bucket of Google Cloud Storage, beside `docker_auth`'s.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use common::SystemClock;
use data_encoding::BASE64URL_NOPAD;
use openid::ProviderClient;
use peers::{FakeGcs, HttpStub, StubAnswer, StubRequest};
use serde_json::{Value, json};
use sign_in::{
    DocumentKind, GcsSettings, GcsTokenStore, ServiceAccountKey, ServiceAccountKeyError,
    TokenStore, TokenStoreError,
};
use token::{KeyKind, PrivateKey};

use DocumentKind::{Passwords, Record};

/// One server for all tests. Each takes a bucket of its own.
static SHARED: LazyLock<FakeGcs> = LazyLock::new(FakeGcs::start);
static NEXT_BUCKET: AtomicUsize = AtomicUsize::new(0);

static KEY: LazyLock<PrivateKey> =
    LazyLock::new(|| PrivateKey::generate(KeyKind::Rsa { bits: 2048 }).unwrap());

/// Gives access tokens. That the assertion is right is tested once, below.
static TOKENS: LazyLock<HttpStub> = LazyLock::new(|| HttpStub::start(|_| token("at-61c0")));

pub(crate) fn empty_store() -> GcsTokenStore {
    let (store, _) = empty_bucket();
    store
}

fn empty_bucket() -> (GcsTokenStore, String) {
    let bucket = format!("sign-ins-{}", NEXT_BUCKET.fetch_add(1, Ordering::Relaxed));
    SHARED.create_bucket(&bucket);
    (store(&bucket, SHARED.url(), &TOKENS), bucket)
}

fn store(bucket: &str, endpoint: &str, tokens: &HttpStub) -> GcsTokenStore {
    let settings = GcsSettings {
        bucket: bucket.to_owned(),
        key: ServiceAccountKey::from_json(key_file(tokens).to_string().as_bytes()).unwrap(),
        endpoint: endpoint.to_owned(),
    };
    let client = ProviderClient::new(Duration::from_secs(30)).unwrap();
    GcsTokenStore::new(settings, client, Arc::new(SystemClock), "github_auth")
}

fn key_file(tokens: &HttpStub) -> Value {
    json!({
        "type": "service_account",
        "project_id": "example",
        "private_key_id": "k1",
        "private_key": *KEY.to_pkcs8_pem().unwrap(),
        "client_email": "wharf@example.iam.gserviceaccount.com",
        "token_uri": tokens.url("/token"),
    })
}

fn token(token: &str) -> StubAnswer {
    let answer = json!({"access_token": token, "expires_in": 3599, "token_type": "Bearer"});
    StubAnswer::Status(200, answer.to_string())
}

#[tokio::test]
async fn objects_are_called_and_written_as_docker_auth_does() {
    let (store, bucket) = empty_bucket();
    let theirs = r#"{"access_token":"a","valid_until":"2030-01-01T00:00:00Z"}"#;
    SHARED.put(&bucket, "ann%40example.com", &format!("{theirs}\n"));
    let read = store.read(Record, "ann@example.com").await.unwrap();
    assert_eq!(read.as_deref(), Some(theirs.as_bytes()));
    let changed = store
        .write(Record, "ann@example.com", read.as_deref(), Some(b"{}"))
        .await;
    assert!(changed.unwrap());
    assert_eq!(SHARED.get(&bucket, "ann%40example.com"), "{}\n");
    assert!(
        store
            .write(Passwords, "ann@example.com", None, Some(b"p"))
            .await
            .unwrap()
    );
    let ours = ".wharfinger%2Fgithub_auth%2Fpasswords%2Fann%40example.com";
    assert_eq!(SHARED.get(&bucket, ours), "p");
    assert_eq!(store.users().await.unwrap(), ["ann@example.com"]);
}

#[tokio::test]
async fn a_name_that_no_object_may_have_is_not_stored() {
    let store = empty_store();
    let long = "x".repeat(1025);
    for name in [
        ".wharfinger/github_auth/passwords/ann",
        ".",
        "..",
        "a\nb",
        &long,
    ] {
        assert_eq!(store.read(Record, name).await.unwrap(), None, "{name:?}");
        let write = store.write(Record, name, None, Some(b"x")).await;
        assert!(
            matches!(write, Err(TokenStoreError::Broken(_))),
            "{name:?}: {write:?}"
        );
    }
}

#[tokio::test]
async fn a_change_names_the_generation() {
    let bucket = HttpStub::start(|request: &StubRequest| {
        match (request.method.as_str(), request.path.contains("/absent")) {
            ("GET", true) => StubAnswer::Status(404, "{}".to_owned()),
            ("GET", false) => {
                let generation = "x-goog-generation: 17\r\n".to_owned();
                StubAnswer::WithHeaders(200, generation, "1".to_owned())
            }
            // Another server was faster each time.
            _ => StubAnswer::Status(412, "{}".to_owned()),
        }
    });
    let store = store("b", &bucket.url(""), &TOKENS);
    for (name, before, after) in [
        ("absent", None, Some(&b"2"[..])),
        ("ann", Some(&b"1"[..]), Some(b"2")),
        ("ann", Some(b"1"), None),
    ] {
        let changed = store.write(Record, name, before, after).await;
        assert!(!changed.unwrap(), "{name}");
    }
    let requests = bucket.requests();
    let changes = requests.iter().filter(|request| request.method != "GET");
    let changes: Vec<_> = changes.map(|request| request.path.as_str()).collect();
    assert_eq!(
        changes,
        [
            "/upload/storage/v1/b/b/o?uploadType=media&name=absent&ifGenerationMatch=0",
            "/upload/storage/v1/b/b/o?uploadType=media&name=ann&ifGenerationMatch=17",
            "/storage/v1/b/b/o/ann?ifGenerationMatch=17",
        ]
    );
    let token = requests[0].header("authorization");
    assert_eq!(token, Some("Bearer at-61c0"));
}

#[tokio::test]
async fn the_account_shows_a_signed_assertion() {
    let tokens = HttpStub::start(|_| token("at-1"));
    let bucket = HttpStub::start(|_| StubAnswer::Status(404, "{}".to_owned()));
    let store = store("b", &bucket.url(""), &tokens);
    for _ in 0..3 {
        assert_eq!(store.read(Record, "ann").await.unwrap(), None);
    }
    let requests = tokens.requests();
    assert_eq!(requests.len(), 1, "a token is used for several requests");
    let form: Vec<_> = form_urlencoded::parse(requests[0].body.as_bytes()).collect();
    assert_eq!(form[0].1, "urn:ietf:params:oauth:grant-type:jwt-bearer");
    let assertion = &form[1].1;
    let (signed, signature) = assertion.rsplit_once('.').unwrap();
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    let public = KEY.public();
    assert!(
        public
            .verify(
                token::SignatureAlgorithm::RS256,
                signed.as_bytes(),
                &signature
            )
            .is_ok()
    );
    let (_, claims) = signed.split_once('.').unwrap();
    let claims = BASE64URL_NOPAD.decode(claims.as_bytes()).unwrap();
    let claims: Value = serde_json::from_slice(&claims).unwrap();
    assert_eq!(claims["iss"], "wharf@example.iam.gserviceaccount.com");
    assert_eq!(claims["aud"], tokens.url("/token"));
    let life = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert_eq!(life, 3600);
}

#[tokio::test]
async fn a_token_that_is_refused_is_replaced_once() {
    let given = AtomicUsize::new(0);
    let tokens =
        HttpStub::start(move |_| token(&format!("at-{}", given.fetch_add(1, Ordering::Relaxed))));
    let bucket = HttpStub::start(
        |request: &StubRequest| match request.header("authorization") {
            Some("Bearer at-1") => StubAnswer::Status(404, "{}".to_owned()),
            _ => StubAnswer::Status(401, "{}".to_owned()),
        },
    );
    let store = store("b", &bucket.url(""), &tokens);
    assert_eq!(store.read(Record, "ann").await.unwrap(), None);
    assert_eq!(tokens.requests().len(), 2);
}

#[tokio::test]
async fn what_the_service_answers_says_who_must_act() {
    for (status, is_away) in [
        (500, true),
        (503, true),
        (429, true),
        (401, false),
        (403, false),
    ] {
        let bucket = HttpStub::start(move |_| StubAnswer::Status(status, "{}".to_owned()));
        let read = store("b", &bucket.url(""), &TOKENS)
            .read(Record, "ann")
            .await;
        match read {
            Err(TokenStoreError::Unavailable(_)) => assert!(is_away, "{status}"),
            Err(TokenStoreError::Broken(_)) => assert!(!is_away, "{status}"),
            Ok(found) => panic!("{status}: {found:?}"),
        }
    }
    let gone = HttpStub::start(|_| StubAnswer::Close);
    let read = store("b", &gone.url(""), &TOKENS).read(Record, "ann").await;
    assert!(
        matches!(read, Err(TokenStoreError::Unavailable(_))),
        "{read:?}"
    );
    let bucket = HttpStub::start(|_| StubAnswer::Status(404, "{}".to_owned()));
    let write = store("gone", &bucket.url(""), &TOKENS)
        .write(Record, "ann", None, Some(b"1"))
        .await;
    assert!(
        matches!(write, Err(TokenStoreError::Broken(_))),
        "no such bucket: {write:?}"
    );
}

/// A service that always has one more page.
#[tokio::test]
async fn a_list_without_an_end_is_given_up() {
    let page = json!({"items": [{"name": "ann"}], "nextPageToken": "more"}).to_string();
    let service = HttpStub::start(move |_| StubAnswer::Status(200, page.clone()));
    let store = store("endless", &service.url(""), &TOKENS);
    let Err(TokenStoreError::Broken(error)) = store.users().await else {
        panic!("the list must end in an error");
    };
    assert!(
        error.to_string().contains("more than 1000 parts"),
        "{error}"
    );
}

#[test]
fn a_file_that_is_no_key_is_an_error_that_shows_nothing() {
    use ServiceAccountKeyError::{Form, Key, Kind, Missing, NotRsa};
    let with = |name: &str, value: Value| {
        let mut file = key_file(&TOKENS);
        file[name] = value;
        ServiceAccountKey::from_json(file.to_string().as_bytes()).unwrap_err()
    };
    assert_eq!(ServiceAccountKey::from_json(b"SECRET").unwrap_err(), Form);
    assert_eq!(
        with("type", json!("authorized_user")),
        Kind("authorized_user".to_owned())
    );
    assert_eq!(with("client_email", Value::Null), Missing("client_email"));
    assert_eq!(with("private_key", Value::Null), Missing("private_key"));
    let broken = with("private_key", json!("SECRET"));
    assert!(
        matches!(broken, Key(_)) && !broken.to_string().contains("SECRET"),
        "{broken}"
    );
    let ec = PrivateKey::generate(KeyKind::P256)
        .unwrap()
        .to_pkcs8_pem()
        .unwrap();
    assert_eq!(with("private_key", json!(*ec)), NotRsa);
    let key = ServiceAccountKey::from_json(key_file(&TOKENS).to_string().as_bytes()).unwrap();
    assert!(!format!("{key:?}").contains("PRIVATE"));
}
