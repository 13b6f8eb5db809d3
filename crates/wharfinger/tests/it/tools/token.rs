//! `wharfinger token`, and the same under the old generator's names.

use std::os::unix::fs::symlink;
use std::process::Command;

use serde_json::{Value, json};
use token::UnverifiedToken;

use super::{Folder, PROGRAM};

fn folder() -> Folder {
    let folder = Folder::new();
    folder.said("certs new --host auth.example.com --out cert");
    folder
}

fn claims(token: &str) -> Value {
    serde_json::from_str(UnverifiedToken::parse(token).unwrap().claims_json()).unwrap()
}

fn header(token: &str) -> Value {
    serde_json::from_str(UnverifiedToken::parse(token).unwrap().header_json()).unwrap()
}

#[test]
fn the_old_generators_command_line() {
    let folder = folder();
    let dashes = "-key ./cert.key -service registry.docker.io -scope repository:samalba/my-app:pull,push -username mizzy";
    let output = folder.run(&format!("token {dashes}"));
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output}"
    );
    // A script puts it between quotes: nothing stands around it.
    assert_eq!(output.stdout.trim(), output.stdout);

    let mut claims = claims(&output.stdout);
    let (begin, end) = (
        claims["nbf"].as_u64().unwrap(),
        claims["exp"].as_u64().unwrap(),
    );
    assert_eq!((end - begin, claims["iat"].as_u64()), (300, Some(begin)));
    assert_eq!(claims["jti"].as_str().unwrap().len(), 22);
    for name in ["exp", "nbf", "iat", "jti"] {
        claims.as_object_mut().unwrap().remove(name);
    }
    let expected = json!({
        "iss": "distribution-token-server",
        "sub": "mizzy",
        "aud": "registry.docker.io",
        "access": [{"type": "repository", "name": "samalba/my-app", "actions": ["pull", "push"]}],
    });
    assert_eq!(claims, expected);

    let header = header(&output.stdout);
    assert_eq!(
        (&header["typ"], &header["alg"]),
        (&json!("JWT"), &json!("ES256"))
    );
    let shown: Value = serde_json::from_str(&folder.said("keys show --json cert.key")).unwrap();
    assert_eq!(header["jwk"]["kid"], shown[0]["libtrust"]);
    assert_eq!(
        header.as_object().unwrap().len(),
        3,
        "only the jwk tells of the key"
    );
}

#[test]
fn a_terminal_gets_a_newline() {
    let folder = folder();
    let command = format!("{PROGRAM} token -key cert.key");
    let mut script = Command::new(peers::program("script"));
    let output = peers::run(
        script
            .args(["-qec", &command, "/dev/null"])
            .current_dir(folder.path("")),
    );
    assert!(
        output.status.success() && output.stdout.ends_with("\r\n"),
        "{output}"
    );
    assert!(
        UnverifiedToken::parse(output.stdout.trim()).is_ok(),
        "{output}"
    );
}

#[test]
fn dashes_and_equal_signs_are_free() {
    let folder = folder();
    for words in [
        "token --key cert.key --issuer I --service S --scope repository:a:pull --username u",
        "token -key=cert.key -issuer=I -service=S -scope=repository:a:pull -username=u",
        "token -username u --scope=repository:a:pull -service S --issuer=I -key cert.key",
    ] {
        let claims = claims(&folder.said(words));
        assert_eq!(
            [&claims["iss"], &claims["aud"], &claims["sub"]],
            ["I", "S", "u"],
            "{words}"
        );
        assert_eq!(claims["access"][0]["name"], "a", "{words}");
    }
}

/// It is named whole, not by the first letter behind its dash, and the right one is proposed.
#[test]
fn a_misspelt_flag_is_named_whole() {
    let folder = folder();
    for (flag, similar) in [
        ("-scop", "--scope"),
        ("--scop", "--scope"),
        ("-isuer", "--issuer"),
    ] {
        let (code, message) = folder.refused(&format!("token -key cert.key {flag} x"));
        assert_eq!(code, 2, "{message}");
        let named = format!("'--{}'", flag.trim_start_matches('-'));
        assert!(message.contains(&named), "{message}");
        assert!(message.contains(&format!("'{similar}'")), "{message}");
    }
}

#[test]
fn scopes_repeat_or_stand_side_by_side() {
    let folder = folder();
    let names = |words: &[&str]| {
        let mut command = Command::new(PROGRAM);
        let output = peers::run(
            command
                .args(["token", "-key"])
                .arg(folder.path("cert.key"))
                .args(words),
        );
        let access = claims(output.succeeded())["access"]
            .as_array()
            .unwrap()
            .clone();
        access
            .iter()
            .map(|access| access["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&["-scope", "repository:a:pull", "-scope", "repository:b:pull"]),
        ["a", "b"]
    );
    assert_eq!(
        names(&["-scope", "repository:a:pull repository:b:pull"]),
        ["a", "b"]
    );
    assert_eq!(
        names(&["-scope", "repository:a:pull", "registry:catalog:*"]),
        ["a", "catalog"]
    );
    assert!(names(&["-username", "u"]).is_empty());
    // A script without a user leaves the value out.
    assert_eq!(names(&["-username", "-scope", "repository:a:pull"]), ["a"]);
}

#[test]
fn header_key_id_and_times_are_chosen() {
    let folder = folder();
    let shown: Value = serde_json::from_str(&folder.said("keys show --json cert.key")).unwrap();
    let members = |words: &str| {
        let header = header(&folder.said(&format!("token --key cert.key {words}")));
        (
            header["kid"].clone(),
            header["jwk"]["kid"].clone(),
            header["x5c"].as_array().map_or(0, Vec::len),
        )
    };
    let (libtrust, thumbprint) = (shown[0]["libtrust"].clone(), shown[0]["thumbprint"].clone());
    assert_eq!(members("--header kid"), (libtrust, Value::Null, 0));
    assert_eq!(
        members("--header kid,jwk --key-id thumbprint"),
        (thumbprint.clone(), thumbprint, 0)
    );
    assert_eq!(
        members("--header x5c --certificate cert.pem"),
        (Value::Null, Value::Null, 1)
    );

    let claims = claims(&folder.said("token --key cert.key --expires 1h --not-before now-10s"));
    let [begin, made, end] = ["nbf", "iat", "exp"].map(|name| claims[name].as_u64().unwrap());
    assert_eq!((made - begin, end - made), (10, 3600));
}

#[test]
fn json_is_a_token_endpoints_answer() {
    let folder = folder();
    let scope = "repository:a:pull,push registry:catalog:*";
    let mut command = Command::new(PROGRAM);
    command.args([
        "token",
        "--json",
        "--expires",
        "10m",
        "--scope",
        scope,
        "--key",
    ]);
    let output = peers::run(command.arg(folder.path("cert.key")));
    assert!(output.stdout.ends_with("}\n"));
    let answer: Value = serde_json::from_str(output.succeeded()).unwrap();
    assert_eq!(answer["token"], answer["access_token"]);
    assert_eq!(
        (&answer["expires_in"], &answer["scope"]),
        (&json!(600), &json!(scope))
    );
    let made = claims(answer["token"].as_str().unwrap())["iat"]
        .as_u64()
        .unwrap();
    assert_eq!(answer["issued_at"], common::rfc3339(made));
    assert!(answer.get("refresh_token").is_none());
}

#[test]
fn both_of_the_generators_names_are_this_command() {
    let folder = folder();
    for name in [
        "docker-registry-token-genarator",
        "docker-registry-token-generator",
    ] {
        symlink(PROGRAM, folder.path(name)).unwrap();
        let run = |words: &[&str]| {
            peers::run(
                Command::new(format!("./{name}"))
                    .args(words)
                    .current_dir(folder.path("")),
            )
        };
        let token = run(&[
            "-key",
            "./cert.key",
            "-service",
            "S",
            "-username",
            "u",
            "-scope",
            "repository:a:pull",
        ]);
        assert_eq!(claims(token.succeeded())["sub"], "u");
        for flag in ["-h", "-help", "--help"] {
            let help = run(&[flag]);
            assert!(help.status.success(), "{help}");
            assert!(
                help.stdout.starts_with(&format!("Usage of ./{name}:\n")),
                "{help}"
            );
            assert!(
                help.stdout
                    .contains("(default \"distribution-token-server\")"),
                "{help}"
            );
            for flag in ["issuer", "key", "scope", "service", "username"] {
                assert!(
                    help.stdout.contains(&format!("  -{flag} string\n")),
                    "{help}"
                );
            }
        }
        assert_eq!(
            run(&["-service", "S"]).status.code(),
            Some(2),
            "there is no key"
        );
    }
}

#[test]
fn mistakes_say_what_to_do() {
    let folder = folder();
    let (code, error) = folder.refused("token -key missing.key");
    assert_eq!(code, 2);
    assert!(
        error.starts_with("error: cannot read missing.key: "),
        "{error}"
    );
    let (code, error) = folder.refused("token -key cert.pem");
    assert_eq!(
        (code, error.as_str()),
        (
            2,
            "error: cannot use cert.pem: there is no private key in it, only CERTIFICATE\n"
        )
    );
    let (code, error) = folder.refused("token -key cert.key -scope repository");
    assert_eq!(code, 2);
    assert!(
        error.contains("\"repository\"")
            && error.contains("hint: write repository:library/app:pull,push"),
        "{error}"
    );
    let (code, error) = folder.refused("token -key cert.key --header x5c");
    assert_eq!(code, 2);
    assert!(
        error.contains("hint: give the key's own certificate: --certificate FILE"),
        "{error}"
    );
    folder.said("certs new --host other.example.com --out other");
    let (_, error) = folder.refused("token -key cert.key --header x5c --certificate other.pem");
    assert!(error.contains("does not belong to the key"), "{error}");
    for words in [
        "--expires soon",
        "--expires 0",
        "--not-before later",
        "--header x5t",
        "--key-id md5",
    ] {
        let (code, error) = folder.refused(&format!("token -key cert.key {words}"));
        assert_eq!(code, 2, "{error}");
    }
}
