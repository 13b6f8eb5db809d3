//! Logins: wrong ones, old ones, several, and helpers that are not there.

use std::fs;

use super::{ALL, Realm, examine_as, run_probes};
use crate::client::runner::User;
use crate::e2e::world::{ADMIN, READER};

#[test]
fn a_wrong_password() {
    let realm = Realm::start();
    for made in ALL {
        let registry = realm.registry(made);
        let report = run_probes(
            &["--user", ADMIN.0, "--password-stdin", &registry.host_port()],
            "wrong-horse",
        );
        let evidence = format!("GET {} responded 401", realm.server.url("/auth"));
        report.fails(
            &["login"],
            &evidence,
            "check the user name and the password",
        );
        report.says("login", "login as admin with a password rejected", "");
    }
}

/// A user whose home has this file.
fn with_file(name: &str, text: &str) -> User {
    let user = User::new();
    let path = std::path::PathBuf::from(user.path(name));
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    user
}

fn stored(host: &str, (user, password): (&str, &str)) -> String {
    let pair = data_encoding::BASE64.encode(format!("{user}:{password}").as_bytes());
    format!(r#"{{"auths":{{"{host}":{{"auth":"{pair}"}}}}}}"#)
}

#[test]
fn a_stored_login_that_is_old() {
    let realm = Realm::start();
    for made in ALL {
        let registry = realm.registry(made);
        let host = registry.host_port();
        let user = with_file(
            ".docker/config.json",
            &stored(&host, (ADMIN.0, "last-year")),
        );
        let report = examine_as(&user, &[&host], "");
        report.fails(
            &["login"],
            "login as admin",
            &format!("docker login {host}"),
        );
        report.says("stored-logins", "password of admin in ", "");
        assert!(
            !report.made.contains("last-year") && !report.made.contains("YWRtaW46bGFzdC15ZWFy"),
            "{}",
            report.made
        );
        let good = with_file(".docker/config.json", &stored(&host, ADMIN));
        let report = examine_as(&good, &[&host], "");
        report.is_healthy();
        report.says("login", "accepted by", "");

        // What one client keeps another may not look at.
        fs::create_dir_all(good.path(".config/containers")).unwrap();
        fs::write(
            good.path(".config/containers/auth.json"),
            stored(&host, READER),
        )
        .unwrap();
        let several = examine_as(&good, &[&host], "");
        several.warns(
            "stored-logins",
            "of reader in ",
            &format!("wharfinger logout {host}"),
        );
        // A login that is given is the one that counts, and the files are not looked at.
        fs::write(good.path(".docker/config.json"), "{ is no JSON").unwrap();
        examine_as(
            &good,
            &["--user", ADMIN.0, "--password-stdin", &host],
            ADMIN.1,
        )
        .is_healthy();
        examine_as(&good, &["--anonymous", &host], "").is_healthy();
        examine_as(&good, &[&host], "").fails(&["stored-logins"], "config.json", "log in again");
    }
}

#[test]
fn a_helper_that_is_not_there() {
    let realm = Realm::start();
    for made in ALL {
        let registry = realm.registry(made);
        let host = registry.host_port();
        let text = format!(r#"{{"credHelpers":{{"{host}":"missing"}}}}"#);
        let report = examine_as(&with_file(".docker/config.json", &text), &[&host], "");
        report.fails(
            &["stored-logins"],
            "docker-credential-missing cannot be started",
            "credHelpers",
        );
    }
}
