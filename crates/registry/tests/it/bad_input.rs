//! Wrong requests of every kind: each response says what is wrong, and nothing changes.

use super::script::Step;
use super::world::World;

const TABLE: &str = include_str!("../vectors/bad_input.txt");

/// The fourteen codes of the specification (OCI distribution-spec, "Error Codes"), and those of
/// Docker that are used, too.
const CODES: [&str; 16] = [
    "BLOB_UNKNOWN",
    "BLOB_UPLOAD_INVALID",
    "BLOB_UPLOAD_UNKNOWN",
    "DIGEST_INVALID",
    "MANIFEST_BLOB_UNKNOWN",
    "MANIFEST_INVALID",
    "MANIFEST_UNKNOWN",
    "NAME_INVALID",
    "NAME_UNKNOWN",
    "SIZE_INVALID",
    "UNAUTHORIZED",
    "DENIED",
    "UNSUPPORTED",
    "TOOMANYREQUESTS",
    "RANGE_INVALID",
    "PAGINATION_NUMBER_INVALID",
];

#[tokio::test]
async fn every_wrong_request_hears_what_is_wrong() {
    let (world, mut location) = (World::open().await, String::new());
    let mut wrong = 0;
    for line in TABLE
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with("//"))
    {
        let mut here = location.clone();
        let seen = Step::parse(line).run(&world, &mut here).await;
        if seen.status < 300 {
            location = here;
            continue;
        }
        wrong += 1;
        assert!((400..500).contains(&seen.status), "{line}");
        for error in seen.json()["errors"].as_array().unwrap() {
            assert!(
                CODES.contains(&error["code"].as_str().unwrap()),
                "{line}: {error}"
            );
            assert!(
                !error["message"].as_str().unwrap().is_empty(),
                "{line}: {error}"
            );
        }
    }
    assert!(wrong >= 80, "{wrong}");
    // No request has changed anything.
    for (path, body) in [
        (
            "/v2/a/tags/list",
            r#"{"name":"a","tags":["all","one","two"]}"#,
        ),
        ("/v2/_catalog", r#"{"repositories":["a","b"]}"#),
    ] {
        assert_eq!(world.get(path, &[]).await.text(), body);
    }
}
