//! `wharfinger inspect`: what it prints and where it reads from. Whether its verdicts are true is
//! the matrix's to say.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use peers::Server;
use serde_json::Value;

use super::{Folder, PROGRAM};

const TOKENS: &str = include_str!("../../../../token/vectors/tokens.json");

fn vector(index: usize) -> String {
    let file: Value = serde_json::from_str(TOKENS).unwrap();
    file["tokens"][index]["token"].as_str().unwrap().to_owned()
}

#[test]
fn tokens_of_2016_are_told() {
    let folder = Folder::new();
    for index in [0, 1] {
        let told = folder.said(&format!(
            "inspect --at 2016-06-14T16:00:00Z {}",
            vector(index)
        ));
        insta::assert_snapshot!(format!("token_of_2016_{index}"), told);
    }
}

#[test]
fn a_registrys_keys_decide() {
    let folder = Folder::new();
    let token = vector(0);
    let report: Value =
        serde_json::from_str(&folder.said(&format!("inspect --json {token}"))).unwrap();
    assert_eq!(
        (
            &report["signature"]["valid"],
            &report["signature"]["trusted"]
        ),
        (&true.into(), &false.into())
    );
    assert!(report["registries"].as_array().unwrap().is_empty());
    folder.write("jwk.json", &report["header"]["jwk"].to_string());
    folder.write("jwks.json", &folder.said("keys jwks jwk.json"));

    let at =
        "--at 2016-06-01T04:13:20Z --issuer distribution-token-server --service registry.docker.io";
    let told = folder.said(&format!("inspect --jwks jwks.json {at} {token}"));
    assert!(
        told.contains("\nsignature: valid, made with the key "),
        "{told}"
    );
    assert!(told.contains("\nregistry 2.8: reads no JWKS"), "{told}");
    assert!(told.ends_with("\nregistry 3.0, 3.1: accepted"), "{told}");

    let late = folder.run(&format!("inspect --jwks jwks.json {token}"));
    assert_eq!(late.status.code(), Some(1), "{late}");
    let logged = "\nregistry 3.0, 3.1: refused\n  it logs        token not to be used after 2016-06-01 04:18:39 +0000 UTC - currently …\n";
    assert!(late.stdout.contains(logged), "{late}");
    assert!(
        late.stdout
            .contains("\nnote: issuer was not compared: add --issuer\n"),
        "{late}"
    );
    let only = folder.run(&format!("inspect --jwks jwks.json --registry 2.8 {token}"));
    assert_eq!(only.status.code(), Some(1), "{only}");
}

/// Comparing needs no key.
#[test]
fn the_issuer_and_the_service_are_compared_without_keys() {
    let folder = Folder::new();
    folder.said("keys new a.key");
    let token = folder.said("token --key a.key --issuer I --service S");
    for (options, code) in [
        ("", 0),
        ("--issuer I", 0),
        ("--issuer I --service S", 0),
        ("--issuer wrong", 1),
        ("--service wrong", 1),
        ("--issuer I --service wrong", 1),
    ] {
        let words = format!("inspect {options} {token}");
        let output = folder.run(&words.replace("  ", " "));
        assert_eq!(output.status.code(), Some(code), "{options}: {output}");
        assert_eq!(output.stdout.contains("wrong"), code == 1, "{output}");
        let json = folder.run(
            &words
                .replace("inspect ", "inspect --json ")
                .replace("  ", " "),
        );
        assert_eq!(json.status.code(), Some(code), "{options}: {json}");
    }
}

#[test]
fn a_token_is_taken_from_wherever_it_is() {
    let folder = Folder::new();
    folder.said("keys new a.key");
    let token = folder.said("token --key a.key --username alice");
    let answer = folder.said("token --json --key a.key --username alice");
    for input in [
        token.clone(),
        format!("Authorization: Bearer {token}\n"),
        answer,
    ] {
        let told = folder.run_with_input("inspect -", &input);
        assert!(
            told.succeeded().contains("\n  sub            alice\n"),
            "{told}"
        );
    }
    let told = peers::run(
        Command::new(PROGRAM)
            .arg("inspect")
            .arg(format!("Bearer {token}")),
    );
    assert!(
        told.succeeded().contains("\n  sub            alice\n"),
        "{told}"
    );
}

#[test]
fn what_is_no_token_says_so() {
    let folder = Folder::new();
    for (input, code, expected) in [
        ("", 2, "there is no token: nothing was given"),
        (
            "hello",
            1,
            "it must have three parts between dots (header.claims.signature), and has 1",
        ),
        ("{\"errors\": []}", 1, "there is no token in this JSON"),
        ("a.b.c", 1, "its header is not base64url"),
    ] {
        let output = folder.run_with_input("inspect -", input);
        assert_eq!(output.status.code(), Some(code), "{output}");
        assert!(
            output.stderr.starts_with("error: ") && output.stderr.contains(expected),
            "{output}"
        );
    }
    folder.write("text", "hello");
    let token = vector(0);
    let (code, error) = folder.refused(&format!("inspect --certificate text {token}"));
    assert_eq!(code, 2, "{error}");
    let (code, error) = folder.refused(&format!("inspect --jwks text {token}"));
    assert_eq!(code, 2);
    assert!(
        error.starts_with("error: text is not a JWKS: ")
            && error.contains("hint: wharfinger keys jwks KEY"),
        "{error}"
    );
}

#[test]
fn a_strangers_token_does_not_write_to_the_terminal() {
    let folder = Folder::new();
    folder.said("keys new a.key");
    let mut command = Command::new(PROGRAM);
    command.args([
        "token",
        "--key",
        "a.key",
        "--username",
        "\u{1b}[31mred\nline",
    ]);
    let token = peers::run(command.current_dir(folder.path("")))
        .succeeded()
        .to_owned();
    let told = folder.said(&format!("inspect {token}"));
    assert!(
        told.contains("\n  sub            \\u{1b}[31mred\\nline\n"),
        "{told}"
    );
}

/// Answers one request with these bytes.
fn answering(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(bytes);
        // Without an end of its own, the response goes on until the client closes the connection.
        while !bytes.ends_with(b"\r\n\r\n") && stream.write_all(&[b' '; 65_536]).is_ok() {}
    });
    format!("http://{address}/jwks.json")
}

#[test]
fn a_key_set_is_fetched_within_bounds() {
    let folder = Folder::new();
    let token = vector(0);
    let missing = answering(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    let (code, error) = folder.refused(&format!("inspect --jwks {missing} {token}"));
    assert_eq!(code, 3);
    assert!(
        error.contains("404") && error.contains("/.well-known/jwks.json"),
        "{error}"
    );
    let endless = answering(b"HTTP/1.1 200 OK\r\n\r\n{");
    let (code, error) = folder.refused(&format!("inspect --jwks {endless} {token}"));
    assert_eq!(code, 3, "{error}");
    let (code, error) = folder.refused(&format!("inspect --jwks http://127.0.0.1:1/ {token}"));
    assert_eq!(code, 3);
    assert!(
        error.starts_with("error: cannot fetch http://127.0.0.1:1/: "),
        "{error}"
    );
}

#[test]
fn a_token_servers_own_key_set_is_fetched_over_tls() {
    let folder = Folder::new();
    folder.said("certs new --host localhost --ip 127.0.0.1 --out tls --ca ca");
    folder.said("certs new --host localhost --out token");
    let [certificate, key, token_certificate, token_key] =
        ["tls.pem", "tls.key", "token.pem", "token.key"]
            .map(|name| folder.path(name).display().to_string());
    let server = Server::start(
        PROGRAM.as_ref(),
        &format!(
            "server: {{addr: '@addr@', certificate: {certificate}, key: {key}}}\n\
             token: {{issuer: I, expiration: 900, certificate: {token_certificate}, key: {token_key}}}\n\
             users: {{'': {{}}}}\nacl: [{{match: {{account: ''}}, actions: [pull]}}]\n"
        ),
    );
    let token = folder.said("token --key token.key --issuer I --header kid");
    let inspect = |trusted: &str| {
        let mut command = Command::new(PROGRAM);
        command.args([
            "inspect",
            "--jwks",
            &server.url("/.well-known/jwks.json"),
            &token,
        ]);
        peers::run(command.env("SSL_CERT_FILE", folder.path(trusted)))
    };
    let told = inspect("ca.pem");
    assert!(
        told.succeeded().contains("\nregistry 3.0, 3.1: accepted\n"),
        "{told}"
    );
    let stranger = inspect("token.pem");
    assert_eq!(stranger.status.code(), Some(3), "{stranger}");
    assert!(
        stranger
            .stderr
            .contains("hint: SSL_CERT_FILE names a file with certificates to trust"),
        "{stranger}"
    );
}
