//! Who asks the store, and what requests say besides: seen by a stub in the store's place.

use std::fs;

use bytes::Bytes;
use object_content::{ContentChecksum, S3Credentials, S3Encryption, S3Settings};
use peers::{HttpStub, StubAnswer, StubRequest, VersityGateway};
use storage::{BlobStore, UploadId, WrittenContent};

use crate::bucket::{LEAST_PART, content, settings};

const KEY: &str = r#"{"AccessKeyId": "ASIATEST", "SecretAccessKey": "s", "Token": "a token", "Code": "Success",
    "Expiration": "2100-01-01T00:00:00Z"}"#;
const ASSUMED: &str = "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>\
    <SessionToken>a token</SessionToken><SecretAccessKey>s</SecretAccessKey>\
    <Expiration>2100-01-01T00:00:00Z</Expiration><AccessKeyId>ASIATEST</AccessKeyId>\
    </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";

/// A store, and each service that gives keys.
fn answer(request: &StubRequest) -> StubAnswer {
    let ok = |body: &str| StubAnswer::Status(200, body.to_owned());
    match (request.method.as_str(), request.path.as_str()) {
        ("PUT", path) if path.starts_with("/content/") => {
            StubAnswer::WithHeaders(200, "ETag: \"e\"\r\n".to_owned(), String::new())
        }
        ("PUT", "/latest/api/token") => ok("a session"),
        ("GET", "/latest/meta-data/iam/security-credentials/") => ok("role"),
        ("GET", "/latest/meta-data/iam/security-credentials/role" | "/container") => ok(KEY),
        ("POST", path) if path.contains("Action=AssumeRoleWithWebIdentity") => ok(ASSUMED),
        _ => StubAnswer::Status(404, String::new()),
    }
}

/// The request that stores an object.
async fn stored(settings: &S3Settings, stub: &HttpStub) -> StubRequest {
    let content = content(settings);
    let id = UploadId::from_random([7; 16]);
    let writer = content.append(id, WrittenContent::default());
    let written = writer
        .complete(vec![Bytes::from_static(b"content")])
        .await
        .unwrap();
    let key = written.objects.as_ref().unwrap().key.clone().unwrap();
    content.publish(id, &written, &key).await.unwrap();
    stub.requests().pop().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_platform_says_who_asks() {
    let gateway = VersityGateway::start();
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token").display().to_string();
    fs::write(&token, "a web identity").unwrap();
    let shared = directory.path().join("credentials").display().to_string();
    let profile = "[ci]\naws_access_key_id = ASIATEST\naws_secret_access_key = s\naws_session_token = a token\n";
    fs::write(&shared, profile).unwrap();
    let stub = HttpStub::start(answer);
    let right = settings(&gateway, &stub.address().to_string(), LEAST_PART);
    let (url, container) = (stub.url(""), stub.url("/container"));
    for variables in [
        &[
            ("AWS_ACCESS_KEY_ID", "ASIATEST"),
            ("AWS_SECRET_ACCESS_KEY", "s"),
            ("AWS_SESSION_TOKEN", "a token"),
        ][..],
        &[
            ("AWS_WEB_IDENTITY_TOKEN_FILE", token.as_str()),
            ("AWS_ROLE_ARN", "arn:aws:iam::1:role/r"),
            ("AWS_ENDPOINT_URL_STS", url.as_str()),
        ],
        &[
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.as_str()),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token.as_str()),
        ],
        &[("AWS_METADATA_ENDPOINT", url.as_str())],
        &[
            ("AWS_SHARED_CREDENTIALS_FILE", shared.as_str()),
            ("AWS_PROFILE", "ci"),
        ],
    ] {
        let owned = variables.iter();
        let owned = owned.map(|(name, value)| ((*name).to_owned(), (*value).into()));
        let settings = S3Settings {
            credentials: S3Credentials::Platform(owned.collect()),
            ..right.clone()
        };
        let request = stored(&settings, &stub).await;
        let authorization = request.header("authorization").unwrap();
        assert!(
            authorization.contains("Credential=ASIATEST/"),
            "{variables:?}: {authorization}"
        );
        assert_eq!(
            request.header("x-amz-security-token"),
            Some("a token"),
            "{variables:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn encryption_class_and_checksum_are_asked_for() {
    let gateway = VersityGateway::start();
    let stub = HttpStub::start(answer);
    let right = settings(&gateway, &stub.address().to_string(), LEAST_PART);
    let plain = stored(&right, &stub).await;
    for name in [
        "x-amz-server-side-encryption",
        "x-amz-storage-class",
        "x-amz-checksum-sha256",
    ] {
        assert_eq!(plain.header(name), None);
    }
    assert_eq!(
        plain.header("x-amz-content-sha256"),
        Some("UNSIGNED-PAYLOAD")
    );
    assert_eq!(plain.header("content-length"), Some("7"));
    let by_store = S3Settings {
        encryption: Some(S3Encryption::StoreKey),
        storage_class: Some("STANDARD_IA".to_owned()),
        checksum: Some(ContentChecksum::Sha256),
        ..right.clone()
    };
    let request = stored(&by_store, &stub).await;
    assert_eq!(
        request.header("x-amz-server-side-encryption"),
        Some("AES256")
    );
    assert_eq!(request.header("x-amz-storage-class"), Some("STANDARD_IA"));
    assert!(request.header("x-amz-checksum-sha256").is_some());
    let managed = S3Settings {
        encryption: Some(S3Encryption::ManagedKey("a key".to_owned())),
        checksum: Some(ContentChecksum::Crc64Nvme),
        ..right
    };
    let request = stored(&managed, &stub).await;
    assert_eq!(
        request.header("x-amz-server-side-encryption"),
        Some("aws:kms")
    );
    let key = request.header("x-amz-server-side-encryption-aws-kms-key-id");
    assert_eq!(key, Some("a key"));
    assert!(request.header("x-amz-checksum-crc64nvme").is_some());
}
