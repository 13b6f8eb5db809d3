//! What an attacker sends to get more from the API than is allowed: tokens of others, tricks with
//! paths and names, bodies that are too large or too slow, and very many requests.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use common::{Clock, SystemClock, unix_seconds};
use data_encoding::BASE64URL_NOPAD;
use peers::run;
use serde_json::{Value, json};
use token::{Access, Claims, HeaderMember, HeaderOptions, KeyIdKind, PrivateKey, Signer};

use super::world::World;
use crate::wire::{Answer, Connection};

const PROGRAM: &str = env!("CARGO_BIN_EXE_wharfinger");

fn get(world: &World, path: &str, token: &str) -> Answer {
    let authorization = format!("Bearer {token}");
    world.send("GET", path, Some(&authorization), None)
}

/// A token that `wharfinger token` signs, as the owner of the key could.
fn signed(world: &World, options: &[&str]) -> String {
    let mut command = Command::new(PROGRAM);
    command.args(["token", "--header", "kid", "--key"]);
    command.arg(world.key_file()).args(options);
    run(&mut command).succeeded().trim().to_owned()
}

/// A token like those of the server, which was issued at `time` and lives for a minute.
fn in_the_time_of(world: &World, time: u64) -> String {
    let key = fs::read_to_string(world.key_file()).unwrap();
    let key = Arc::new(PrivateKey::from_pem(&key).unwrap());
    let header = HeaderOptions {
        members: &[HeaderMember::Kid],
        key_id: KeyIdKind::Libtrust,
        chain: &[],
    };
    let signer = Signer::new(key, header).unwrap();
    let claims = Claims {
        issuer: "Acme".to_owned(),
        subject: "root".to_owned(),
        audience: "wharfinger-api".to_owned(),
        expires_at: time + 60,
        not_before: time,
        issued_at: time,
        id: "1".to_owned(),
        access: vec![Access {
            resource_type: "wharfinger".to_owned(),
            name: "users".to_owned(),
            actions: vec!["read".to_owned()],
        }],
        personal_token: String::new(),
    };
    signer.sign(&claims).unwrap()
}

/// A token with its own key in the header.
fn signed_by_another_key(options: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("other.key");
    let generation = [
        "ecparam",
        "-name",
        "prime256v1",
        "-genkey",
        "-noout",
        "-out",
    ];
    run(Command::new("openssl").args(generation).arg(&file)).succeeded();
    let mut command = Command::new(PROGRAM);
    let command = command
        .args(["token", "--header", "jwk", "--key"])
        .arg(&file);
    run(command.args(options)).succeeded().trim().to_owned()
}

fn with_hmac(key: &[u8], message: &str) -> String {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key);
    let tag = aws_lc_rs::hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", BASE64URL_NOPAD.encode(tag.as_ref()))
}

fn encoded(value: &Value) -> String {
    BASE64URL_NOPAD.encode(value.to_string().as_bytes())
}

#[test]
fn only_its_own_tokens_open_the_api() {
    let world = World::start();
    let good = [
        "--issuer",
        "Acme",
        "--service",
        "wharfinger-api",
        "--username",
        "root",
        "--scope",
        "wharfinger:users:read",
    ];
    let changed = |name: &str, value: &'static str| {
        let mut options = good;
        let at = options.iter().position(|option| *option == name).unwrap();
        options[at + 1] = value;
        signed(&world, &options)
    };
    let token = signed(&world, &good);
    assert_eq!(get(&world, "/api/v1/users", &token).status, 200);
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("{token}");
    };
    let named = |algorithm: &str| {
        let decoded = BASE64URL_NOPAD.decode(header.as_bytes()).unwrap();
        let mut header: Value = serde_json::from_slice(&decoded).unwrap();
        header["alg"] = algorithm.into();
        encoded(&header)
    };
    let public = fs::read(world.key_file().with_extension("pem")).unwrap();
    let hmac = with_hmac(&public, &format!("{}.{claims}", named("HS256")));
    let other_claims = {
        let decoded = BASE64URL_NOPAD.decode(claims.as_bytes()).unwrap();
        let mut claims: Value = serde_json::from_slice(&decoded).unwrap();
        claims["access"][0]["actions"] = json!(["read", "write"]);
        encoded(&claims)
    };
    let now = unix_seconds(SystemClock.now());
    let expired = in_the_time_of(&world, now - 1000);
    let early = in_the_time_of(&world, now + 1000);
    let valid = in_the_time_of(&world, now);
    assert_eq!(get(&world, "/api/v1/users", &valid).status, 200);
    for (name, token) in [
        ("another service", changed("--service", "registry")),
        ("another issuer", changed("--issuer", "Emca")),
        ("no account", changed("--username", "")),
        ("expired", expired),
        ("not yet valid", early),
        ("another key", signed_by_another_key(&good)),
        ("no algorithm", format!("{}.{claims}.", named("none"))),
        (
            "no algorithm, signed",
            format!("{}.{claims}.{signature}", named("none")),
        ),
        (
            "another algorithm",
            format!("{}.{claims}.{signature}", named("RS256")),
        ),
        ("HMAC with the certificate", hmac),
        (
            "other claims",
            format!("{header}.{other_claims}.{signature}"),
        ),
        ("no signature", format!("{header}.{claims}.")),
        ("two parts", format!("{header}.{claims}")),
        ("four parts", format!("{token}.{signature}")),
        ("a space", format!("{header} .{claims}.{signature}")),
        (
            "a refresh token",
            "whr_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyCuIWwu".to_owned(),
        ),
        ("16 KiB", "x".repeat(16 << 10)),
    ] {
        let answer = get(&world, "/api/v1/users", &token);
        assert_eq!(answer.status, 401, "{name}: {}", answer.body);
        let challenge = answer.header("www-authenticate").unwrap();
        assert!(
            challenge.contains("error=\"invalid_token\""),
            "{name}: {challenge}"
        );
        assert!(!answer.body.contains("alg"), "{name}: {}", answer.body);
    }
    // A token counts only in the one header that is for it.
    for head in [
        format!("GET /api/v1/users?access_token={token} HTTP/1.1\r\n"),
        format!("GET /api/v1/users HTTP/1.1\r\nCookie: token={token}\r\n"),
        format!("GET /api/v1/users HTTP/1.1\r\nX-Authorization: Bearer {token}\r\n"),
        format!("GET /api/v1/users HTTP/1.1\r\nProxy-Authorization: Bearer {token}\r\n"),
        "GET /api/v1/users HTTP/1.1\r\nAuthorization: Basic cm9vdDpzZXNhbWU=\r\n".to_owned(),
        format!(
            "GET /api/v1/users HTTP/1.1\r\nAuthorization: Bearer x\r\nAuthorization: Bearer {token}\r\n"
        ),
    ] {
        let answer = raw(&world, &format!("{head}Host: test\r\n\r\n"));
        assert_eq!(answer.status, 401, "{head}");
    }
    assert!(!world.log().contains(signature), "a token is in the log");
}

/// The answer to a request as it is.
fn raw(world: &World, request: &str) -> Answer {
    let mut connection = Connection::open(&world.host_port());
    connection.send(request.as_bytes()).unwrap();
    connection.answer(false).unwrap()
}

#[test]
fn no_trick_with_a_path_reaches_another_object() {
    let world = World::start();
    let token = world.root_token();
    assert_eq!(get(&world, "/api/v1/users/carol", &token).status, 200);
    for path in [
        "/api/v1/../v1/users",
        "/api/v1/%2e%2e/v1/users",
        "/api/v1/users/../users/carol",
        "/api/v1/users/%2e%2e/users/carol",
        "/api/v1/./users",
        "//api/v1/users",
        "/api//v1/users",
        "/api/v1//users",
        "/api/v1/users/",
        "/api/v1/users//carol",
        "/api/v1/users/carol/",
        "/api/v1/users%2Fcarol",
        "/api/v1/users/carol%2F",
        "/api/v1/users/..%2Frules",
        "/api/v1/users/carol%00",
        "/api/v1/users/carol%0a",
        "/api/v1/users/carol%20",
        "/api/v1/users/%20carol",
        "/api/v1/users/CAROL",
        "/api/v1/users/carol;a=b",
        "/api/v1/users/%ff",
        "/api/v1/users/%zz",
        "/api/v1/users/%252e%252e",
        "/API/v1/users",
        "/api/v1/Users",
        "/api/v1/users.json",
        "/api/v1%2Fusers",
        "/api%2Fv1%2Fusers",
        "/api/v2/users",
        "/api/v1",
        "/api/v1/",
        "/api",
        "/api/v1/rules/+1",
        "/api/v1/rules/01",
        "/api/v1/rules/1e0",
        "/api/v1/rules/-1",
        "/api/v1/rules/99999999999999999999",
    ] {
        let answer = get(&world, path, &token);
        assert!(
            matches!(answer.status, 400 | 404),
            "{path}: {} {}",
            answer.status,
            answer.body
        );
    }
}

#[test]
fn names_that_could_be_mistaken_are_refused_and_do_not_reach_the_log() {
    let world = World::start();
    let authorization = format!("Bearer {}", world.root_token());
    let ask = |method: &str, path: &str, body: &Value| {
        let body = body.to_string();
        let body = Some(("application/json", body.as_str()));
        world.send(method, path, Some(&authorization), body)
    };
    for name in [
        "",
        " a",
        "a ",
        "a:b",
        "a\nb",
        "a\u{0}",
        "a\u{1b}[2J",
        "a\u{202e}b",
        "robot+x",
    ] {
        let user = json!({"name": name, "password": "sesame"});
        let answer = ask("POST", "/api/v1/users", &user);
        assert_eq!(answer.status, 422, "{name:?}: {}", answer.body);
        assert!(!answer.body.contains('\u{1b}') && !answer.body.contains('\u{202e}'));
    }
    let log = world.log();
    assert!(
        !log.contains('\u{1b}') && !log.contains('\u{202e}'),
        "{log}"
    );
}

#[test]
fn bodies_have_a_bound_in_bytes_and_in_time() {
    let world = World::start();
    let token = world.root_token();
    let head = |more: &str| {
        format!(
            "POST /api/v1/users HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\n{more}\r\n"
        )
    };
    let large = 65 << 10;
    let answer = raw(
        &world,
        &(head(&format!("Content-Length: {large}\r\n")) + &" ".repeat(large)),
    );
    assert_eq!(answer.status, 413, "{}", answer.body);
    // One that only announces a gigabyte, and one that says no length.
    let answer = raw(&world, &head("Content-Length: 1073741824\r\n"));
    assert_eq!(answer.status, 413, "{}", answer.body);
    let chunk = format!("{large:x}\r\n{}\r\n", " ".repeat(large));
    let answer = raw(&world, &(head("Transfer-Encoding: chunked\r\n") + &chunk));
    assert_eq!(answer.status, 413, "{}", answer.body);
    // Nesting that would fill the stack.
    let deep = "[".repeat(60 << 10);
    let deep = head(&format!("Content-Length: {}\r\n", deep.len())) + &deep;
    assert_eq!(raw(&world, &deep).status, 400);
    // A body that stops: two seconds are the bound of this server.
    let answer = raw(&world, &(head("Content-Length: 100\r\n") + "{"));
    assert_eq!(answer.status, 408, "{}", answer.body);
    // A stranger's body is not even read.
    let request = head("Content-Length: 1073741824\r\n").replace(&token, "x");
    assert_eq!(raw(&world, &request).status, 401);
    // A head that is too large, and one with too many headers.
    let flood = "X-Flood: 1\r\n".repeat(200);
    assert_eq!(raw(&world, &head(&flood)).status, 431);
    let long = format!("X-Long: {}\r\n", "x".repeat(40 << 10));
    assert_eq!(raw(&world, &head(&long)).status, 431);
}

#[test]
fn ten_thousand_requests_are_limited_and_only_for_their_account() {
    let world = World::with("api: {rate: 100/min}\n");
    let token = world.root_token();
    let mut connection = Connection::open(&world.host_port());
    let authorization = format!("Bearer {token}");
    let headers = [("Authorization", authorization.as_str())];
    let (mut accepted, mut refused) = (0, 0);
    let began = unix_seconds(SystemClock.now());
    for _ in 0..10_000 {
        let answer = connection.request("GET", "/api/v1/account", &headers, None);
        match answer.status {
            200 | 403 => accepted += 1,
            429 => {
                refused += 1;
                let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
                assert!((1..=60).contains(&wait), "{wait}");
            }
            status => panic!("{status}: {}", answer.body),
        }
    }
    // What comes back while the test runs: 100 a minute.
    let minutes = (unix_seconds(SystemClock.now()) - began) / 60 + 2;
    assert!(
        accepted >= 100 && accepted <= 100 * minutes,
        "{accepted} of 10000 in {minutes} min"
    );
    assert_eq!(accepted + refused, 10_000);
    // Neither another account nor the token endpoint is slower for it.
    let bob = world.get_token("bob", "service=wharfinger-api&scope=wharfinger:own:read");
    assert_eq!(get(&world, "/api/v1/account", &bob).status, 200);
    // Strangers share the bound of their address, and cannot use up an account's.
    let statuses: Vec<u16> = (0..200)
        .map(|_| {
            connection
                .request("GET", "/api/v1/account", &[], None)
                .status
        })
        .collect();
    assert!(
        statuses[..50].iter().all(|status| *status == 401),
        "{statuses:?}"
    );
    assert!(statuses[150..].contains(&429), "{statuses:?}");
    assert_eq!(get(&world, "/api/v1/account", &bob).status, 200);
}

#[test]
fn who_is_disabled_or_removed_is_out_at_once() {
    let world = World::start();
    for rule in [
        &[
            "--account",
            "carol",
            "--type",
            "wharfinger",
            "--actions",
            "*",
        ][..],
        &[
            "--account",
            "robot+ci",
            "--type",
            "wharfinger",
            "--actions",
            "*",
        ],
    ] {
        world.command(&["rule", "add"], rule, "").succeeded();
    }
    let users = "service=wharfinger-api&scope=wharfinger:users:read";
    let mut token = world.get_token("carol", users);
    while get(&world, "/api/v1/users", &token).status == 403 {
        std::thread::sleep(Duration::from_millis(50));
        token = world.get_token("carol", users);
    }
    assert_eq!(get(&world, "/api/v1/users", &token).status, 200);
    world
        .command(&["user", "disable"], &["carol"], "")
        .succeeded();
    assert_eq!(get(&world, "/api/v1/users", &token).status, 401);
    world
        .command(&["user", "enable"], &["carol"], "")
        .succeeded();
    let token = world.get_token("carol", users);
    assert_eq!(get(&world, "/api/v1/users", &token).status, 200);
    world
        .command(&["user", "remove"], &["carol"], "")
        .succeeded();
    assert_eq!(get(&world, "/api/v1/users", &token).status, 401);
}
