//! Logins at the token endpoint of a server, by name and password.

use data_encoding::BASE64;
use peers::Server;

use crate::wire::{Answer, Connection, get};

/// The header `Authorization` of a login.
pub(crate) fn basic(account: &str, password: &str) -> String {
    let login = format!("{account}:{password}");
    format!("Basic {}", BASE64.encode(login.as_bytes()))
}

/// Asks for a token with a login; `query` has the scopes.
pub(crate) fn log_in(server: &Server, account: &str, password: &str, query: &str) -> Answer {
    let authorization = basic(account, password);
    let headers = [("Authorization", authorization.as_str())];
    let url = format!("/auth?service=reg&{query}");
    Connection::open(&server.host_port()).request("GET", &url, &headers, None)
}

/// What a client without a login is granted of `scope`.
pub(crate) fn anonymous(server: &Server, scope: &str) -> (u16, String) {
    let url = format!("/auth?service=reg&scope={scope}");
    let answer = get(&server.host_port(), &url);
    let granted = match answer.status {
        200 => answer.json()["scope"].as_str().unwrap().to_owned(),
        _ => String::new(),
    };
    (answer.status, granted)
}
