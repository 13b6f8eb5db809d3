//! A certified OpenID Provider, the npm package `oidc-provider`. Its refresh tokens rotate.

use std::env;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::{Daemon, ReservedAddress, Signal, http, port, program};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/oidc-provider/provider.mjs");

/// The running provider. It accepts every login, and keeps everything in memory.
///
/// A user `ann` has the claims `email` (`ann@example.com`) and `groups` (`red`, `blue`). The address
/// of the user `unverified` is not verified.
#[derive(Debug)]
pub struct OidcProviderServer {
    daemon: Daemon,
    address: ReservedAddress,
    redirect_uri: String,
    directory: TempDir,
}

impl OidcProviderServer {
    /// The secret of its client `wharfinger`.
    pub const CLIENT_SECRET: &str = "cl13nt-s3cr3t";

    /// Starts it. It sends browsers back to `redirect_uri`.
    ///
    /// # Panics
    /// If Node or the package is not installed, or it does not start.
    #[must_use]
    pub fn start(redirect_uri: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let log = directory.path().join("log");
        let (daemon, address) =
            Daemon::start_on_port(&log, |address| command(address, redirect_uri));
        Self {
            daemon,
            address,
            redirect_uri: redirect_uri.to_owned(),
            directory,
        }
    }

    /// Its issuer.
    #[must_use]
    pub fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it granted and refused, a line each: `granted: refresh_token`.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// Ends the grants of all users.
    ///
    /// # Panics
    /// If it does not answer.
    pub fn revoke_all(&self) {
        let url = format!("{}/revoke", self.issuer());
        assert_eq!(http::request(&["-X", "POST", &url]).status, 204);
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.daemon.signal(Signal::Kill);
        self.daemon.wait();
    }

    /// Starts it again on the same port, with no grants.
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        let mut command = command(self.address.address(), &self.redirect_uri);
        self.daemon = Daemon::start(&mut command, &self.directory.path().join("log"));
        let port = self.address.port();
        let is_ready = |daemon: &Daemon| port::is_listened_on_by(port, daemon.id()).then_some(());
        assert!(self.daemon.until(is_ready).is_some(), "{}", self.log());
    }

    /// What the browser of `user` does at `url`: it logs in, and consents. Gives the query with which
    /// the provider sends it back.
    ///
    /// # Panics
    /// If the provider does not send it back.
    #[must_use]
    pub fn sign_in(&self, url: &str, user: &str) -> String {
        let cookies = tempfile::NamedTempFile::new().expect("a temporary file");
        let cookies = cookies.path().to_str().expect("a path that is text");
        let mut at = url.to_owned();
        let mut form: Option<String> = None;
        for _ in 0..10 {
            let mut arguments = vec!["-b", cookies, "-c", cookies, &at];
            if let Some(form) = &form {
                arguments.extend(["-d", form]);
            }
            let answer = http::request(&arguments);
            form = None;
            if let Some(to) = answer.header("location") {
                if let Some(back) = to.strip_prefix(&self.redirect_uri) {
                    return back.trim_start_matches('?').to_owned();
                }
                at = self.absolute(to);
                continue;
            }
            let action = answer.body.split_once("action=\"");
            let action = action.and_then(|(_, rest)| rest.split_once('"'));
            let (action, _) = action.unwrap_or_else(|| panic!("no form: {}", answer.body));
            at = self.absolute(action);
            let is_login = answer.body.contains("value=\"login\"");
            form = Some(match is_login {
                true => format!("prompt=login&login={user}&password=any"),
                false => "prompt=consent".to_owned(),
            });
        }
        panic!("the provider does not send the browser back: {at}");
    }

    fn absolute(&self, address: &str) -> String {
        match address.starts_with('/') {
            true => format!("{}{address}", self.issuer()),
            false => address.to_owned(),
        }
    }
}

fn command(address: SocketAddrV4, redirect_uri: &str) -> Command {
    let modules = modules();
    // Debian's own Node may be too old for the package.
    let own = modules.join(".bin/node");
    let mut command = Command::new(match own.exists() {
        true => own,
        false => program("node"),
    });
    command
        .arg(SCRIPT)
        .args([&address.port().to_string(), redirect_uri])
        .arg(OidcProviderServer::CLIENT_SECRET)
        .arg(modules);
    command
}

/// Where `scripts/install-test-peers` installs packages of npm.
fn modules() -> PathBuf {
    let data = env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let data = data.or_else(|| Some(env::home_dir()?.join(".local/share")));
    let data = data.expect("a home directory");
    let modules = data.join("wharfinger-test-peers/oidc-provider/node_modules");
    assert!(
        modules.join("oidc-provider").is_dir(),
        "oidc-provider is not installed. To install it: scripts/install-test-peers"
    );
    modules
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The public key of this challenge's verifier does not matter here.
    const CHALLENGE: &str = "TJRIXgwhrmxBzh3-e2v6zupato5AokdvUCCOUm9QYIA";

    #[test]
    fn it_gives_a_code_and_demands_pkce() {
        let provider = OidcProviderServer::start("http://localhost/oidc_auth");
        let url = format!(
            "{}/auth?response_type=code&client_id=wharfinger&scope=openid&state=s\
             &redirect_uri=http://localhost/oidc_auth",
            provider.issuer()
        );
        let refused = provider.sign_in(&url, "ann");
        assert!(refused.contains("error=invalid_request"), "{refused}");
        let pkce = format!("{url}&code_challenge={CHALLENGE}&code_challenge_method=S256");
        let back = provider.sign_in(&pkce, "ann");
        assert!(back.contains("code=") && back.contains("state=s"), "{back}");
    }
}
