//! `/robots`.

use serde_json::{Value, json};

use crate::bench::{Answer, Bench};

impl Bench {
    /// The answer to an administrator of robots.
    async fn manage(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Answer {
        let body = Some(&body).filter(|body| !body.is_null());
        let scopes = ["robots:read,write"];
        self.ask("root", &scopes, (method, path), headers, body)
            .await
    }

    async fn add_robot(&self, name: &str, owner: Option<&str>) -> Answer {
        let body = json!({ "name": name, "owner": owner, "ceiling": pull() });
        self.manage("POST", "/robots", &[], body).await
    }
}

fn pull() -> Value {
    json!([{ "type": "repository", "name": "app", "actions": ["pull"] }])
}

#[tokio::test]
async fn a_robot_from_its_addition_to_its_removal() {
    let bench = Bench::new();
    let body = json!({
        "name": "ci", "owner": "ann", "ceiling": pull(), "networks": ["10.1.2.3/8"], "ttl": "10d",
    });
    let added = bench.manage("POST", "/robots", &[], body).await;
    assert_eq!(added.status, 201, "{}", added.body);
    assert_eq!(added.header("location"), "/outer/wh/api/v1/robots/ci");
    let secret = added.body["secret"].as_str().unwrap();
    assert!(secret.starts_with("whb_"), "{secret}");
    let token = &added.body["token"];
    assert_eq!(token["account"], "robot+ci");
    assert_eq!(token["owner"], "ann");
    assert_eq!(token["ceiling"], pull());
    assert_eq!(token["networks"], json!(["10.0.0.0/8"]));
    assert_eq!(token["created_by"], "root");
    assert_eq!(token["secrets"][0]["expires_at"], "2026-11-11T00:00:00Z");

    let shown = bench.manage("GET", "/robots/ci", &[], Value::Null).await;
    assert_eq!((shown.status, &shown.body), (200, token));
    assert_eq!(shown.header("etag"), added.header("etag"));
    assert!(!shown.body.to_string().contains(secret));
    // Its account names it, too.
    let same = bench
        .manage("GET", "/robots/robot%2Bci", &[], Value::Null)
        .await;
    assert_eq!(same.body, shown.body);

    bench.clock.pass(60);
    let rotation = json!({ "overlap": "1h", "ttl": "5d" });
    let rotated = bench
        .manage("POST", "/robots/ci/secrets", &[], rotation)
        .await;
    assert_eq!(rotated.status, 201, "{}", rotated.body);
    assert_eq!(rotated.header("location"), "/outer/wh/api/v1/robots/ci");
    assert_ne!(rotated.body["secret"], secret);
    let secrets = rotated.body["token"]["secrets"].as_array().unwrap();
    let ends: Vec<_> = secrets
        .iter()
        .map(|secret| secret["expires_at"].clone())
        .collect();
    assert_eq!(ends, ["2026-11-06T00:01:00Z", "2026-11-01T01:01:00Z"]);

    let off = json!({ "disabled": true });
    let changed = bench.manage("PATCH", "/robots/ci", &[], off).await;
    assert_eq!(
        (changed.status, &changed.body["disabled"]),
        (200, &json!(true))
    );
    let removed = bench.manage("DELETE", "/robots/ci", &[], Value::Null).await;
    assert_eq!((removed.status, &removed.body), (204, &Value::Null));
    for (method, path) in [
        ("GET", "/robots/ci"),
        ("DELETE", "/robots/ci"),
        ("GET", "/robots/a%20b"),
    ] {
        let gone = bench.manage(method, path, &[], Value::Null).await;
        assert_eq!(gone.status, 404, "{method} {path}");
    }
    let log = bench.log().await;
    let actions: Vec<&str> = log.iter().map(|(_, action, _)| action.as_str()).collect();
    assert_eq!(
        actions,
        ["robot.remove", "robot.disable", "robot.rotate", "robot.add"]
    );
    let by = |(by, _, object): &(String, String, String)| by == "api root" && object == "robot+ci";
    assert!(log.iter().all(by), "{log:?}");
}

#[tokio::test]
async fn what_cannot_be_is_named_by_its_pointer() {
    let bench = Bench::new();
    let with = |member: &str, value: Value| {
        let mut body = json!({ "name": "ci", "owner": null, "ceiling": pull() });
        body[member] = value;
        body
    };
    let entry = |value: Value| with("ceiling", json!([value]));
    for (body, status, pointer) in [
        (with("name", json!("a b")), 422, "/name"),
        (with("name", json!(7)), 400, "/name"),
        (with("owner", json!("zoe")), 422, "/owner"),
        (with("owner", json!("robot+ci")), 422, "/owner"),
        // Everything, for a robot of the system.
        (with("ceiling", Value::Null), 422, "/ceiling"),
        (json!({ "name": "ci" }), 400, "/ceiling"),
        (
            entry(json!({ "type": "repository", "name": "[", "actions": ["pull"] })),
            422,
            "/ceiling/0",
        ),
        (
            entry(json!({ "type": "repository", "name": "", "actions": ["pull"] })),
            422,
            "/ceiling",
        ),
        (
            entry(json!({ "type": "repository", "name": "a", "actions": [] })),
            422,
            "/ceiling",
        ),
        (
            entry(json!({ "type": "a", "name": "a", "actions": ["pull"], "x": 1 })),
            400,
            "/ceiling/0/x",
        ),
        (
            with("ceiling", Value::from(vec![pull()[0].clone(); 101])),
            422,
            "/ceiling",
        ),
        (
            with("networks", json!(["10.0.0.0/8", "x"])),
            422,
            "/networks/1",
        ),
        (
            with("networks", json!(vec!["10.0.0.0/8"; 101])),
            422,
            "/networks",
        ),
        (with("ttl", json!("soon")), 422, "/ttl"),
        (with("ttl", json!("400d")), 422, "/ttl"),
        (with("ttl", json!("0s")), 422, "/ttl"),
        (with("disabled", json!(true)), 400, "/disabled"),
    ] {
        let answer = bench.manage("POST", "/robots", &[], body.clone()).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
        assert_eq!(
            answer.body["errors"][0]["pointer"], pointer,
            "{body}: {}",
            answer.body
        );
    }
    assert_eq!(bench.log().await, []);
    bench.add_robot("ci", None).await;
    let taken = bench.add_robot("ci", Some("ann")).await;
    assert_eq!(taken.status, 409);
    assert_eq!(taken.body["detail"], "\"robot+ci\" exists already");
    for number in 0..50 {
        let added = bench.add_robot(&format!("r{number}"), Some("ann")).await;
        assert_eq!(added.status, 201);
    }
    let more = bench.add_robot("more", Some("ann")).await;
    assert_eq!(more.status, 409);
    assert_eq!(more.body["type"], "urn:wharfinger:problem:limit-reached");
}

#[tokio::test]
async fn a_change_can_be_bound_to_what_was_read() {
    let bench = Bench::new();
    let added = bench.add_robot("ci", None).await;
    let first = [("if-match", added.header("etag"))];
    let off = json!({ "disabled": true });
    let changed = bench.manage("PATCH", "/robots/ci", &first, off).await;
    assert_eq!(changed.status, 200);
    for (method, path, body) in [
        ("PATCH", "/robots/ci", json!({ "disabled": false })),
        ("PATCH", "/robots/ci", json!({})),
        ("POST", "/robots/ci/secrets", json!({})),
        ("DELETE", "/robots/ci", Value::Null),
    ] {
        let stale = bench.manage(method, path, &first, body).await;
        assert_eq!(stale.status, 412, "{method} {path}");
        assert_eq!(
            stale.body["type"],
            "urn:wharfinger:problem:precondition-failed"
        );
    }
    let second = [("if-match", changed.header("etag"))];
    let nothing = bench
        .manage("PATCH", "/robots/ci", &second, json!({}))
        .await;
    assert_eq!((nothing.status, nothing.header("etag")), (200, second[0].1));
    let removed = bench
        .manage("DELETE", "/robots/ci", &second, Value::Null)
        .await;
    assert_eq!(removed.status, 204);
    assert_eq!(bench.log().await.len(), 3);
}

#[tokio::test]
async fn robots_are_listed_in_pages_by_owner_and_name() {
    let bench = Bench::new();
    for (name, owner) in [
        ("d", None),
        ("a", Some("bob")),
        ("c", Some("ann")),
        ("b", None),
    ] {
        assert_eq!(bench.add_robot(name, owner).await.status, 201);
    }
    let (mut found, mut path) = (Vec::new(), "/robots?limit=3".to_owned());
    loop {
        let page = bench.manage("GET", &path, &[], Value::Null).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let items = page.body["items"].as_array().unwrap().iter();
        found.extend(items.map(|robot| robot["name"].as_str().unwrap().to_owned()));
        let Some(next) = page.body["next"].as_str() else {
            break;
        };
        path = format!("/robots?limit=3&after={next}");
    }
    assert_eq!(found, ["b", "d", "c", "a"]);
    let of_ann = bench
        .manage("GET", "/robots?owner=ann", &[], Value::Null)
        .await;
    assert_eq!(of_ann.body["items"].as_array().unwrap().len(), 1);
    // A cursor of another list.
    let wrong = bench
        .manage("GET", "/robots?after=YWI", &[], Value::Null)
        .await;
    assert_eq!(
        (wrong.status, &wrong.body["errors"][0]["parameter"]),
        (400, &json!("after"))
    );
}
