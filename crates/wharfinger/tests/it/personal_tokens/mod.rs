//! Robots and personal tokens: the commands beside a running server, the token endpoint, and clients.

pub(crate) mod builders;
mod claims;
mod client_cases;
mod clients;
mod commands;
mod endpoint;
mod refusals;

use std::path::Path;
use std::process::Command;

use data_encoding::BASE64;
use peers::{Output, run_with_input};
use serde_json::Value;

use crate::e2e::ours::Ours;
use crate::wire::Answer;

/// A secret that a command printed.
pub(crate) struct Printed {
    id: String,
    account: String,
    secret: String,
}

/// `wharfinger WORDS`, with the configuration of `ours` for `FILE`.
pub(crate) fn command(ours: &Ours, words: &[&str]) -> Output {
    command_of(&ours.config(), words, "")
}

fn command_of(config: &Path, words: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
    for word in words {
        match *word {
            "FILE" => command.arg(config),
            word => command.arg(word),
        };
    }
    run_with_input(&mut command, input)
}

fn json(ours: &Ours, words: &[&str]) -> Value {
    serde_json::from_str(command(ours, words).succeeded()).unwrap()
}

fn printed(ours: &Ours, words: &[&str]) -> Printed {
    printed_by(&ours.config(), words)
}

fn printed_by(config: &Path, words: &[&str]) -> Printed {
    let output = command_of(config, &[words, &["--json"]].concat(), "");
    let printed: Value = serde_json::from_str(output.succeeded()).unwrap();
    let text = |member: &str| printed[member].as_str().unwrap().to_owned();
    Printed {
        id: text("id"),
        account: text("account"),
        secret: text("secret"),
    }
}

/// A robot of the system.
fn add_robot(ours: &Ours, name: &str, options: &[&str]) -> Printed {
    printed(ours, &[&["robot", "add", "FILE", name], options].concat())
}

fn create_token(ours: &Ours, user: &str, name: &str, options: &[&str]) -> Printed {
    let create = [
        "personal-token",
        "create",
        "FILE",
        "--user",
        user,
        "--name",
        name,
    ];
    printed(ours, &[&create[..], options].concat())
}

pub(crate) fn basic(user: &str, secret: &str) -> String {
    format!(
        "Basic {}",
        BASE64.encode(format!("{user}:{secret}").as_bytes())
    )
}

/// Asks the token endpoint with an `Authorization` header.
fn ask(ours: &Ours, authorization: &str, query: &str) -> Answer {
    let url = format!("/auth?service=wharfinger&{query}");
    ours.ask("GET", &url, &[("Authorization", authorization)])
}

/// What is granted with a secret as the password, without a user name.
fn granted(ours: &Ours, secret: &str, scopes: &str) -> String {
    let answer = ask(ours, &basic("", secret), scopes);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()["scope"].as_str().unwrap().to_owned()
}

/// The words with which a secret is rejected.
fn rejected(ours: &Ours, secret: &str) -> String {
    let answer = ask(ours, &basic("", secret), "scope=repository:team/app:pull");
    assert_eq!(answer.status, 401, "{}", answer.body);
    answer.json()["details"].as_str().unwrap().to_owned()
}
