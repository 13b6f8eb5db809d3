//! Where a peer's program is, and the line that installs it.

use std::env;
use std::path::PathBuf;

/// Programs whose Debian package has another name. `None` means that there is no package, or not of
/// the version that the tests need.
const PACKAGES: &[(&str, Option<&str>)] = &[
    ("buildctl", None),
    ("buildkitd", None),
    ("crane", None),
    ("ctr", Some("containerd")),
    ("docker", Some("docker.io")),
    ("dockerd", Some("docker.io")),
    ("fake-gcs-server", None),
    ("ferretdb", None),
    ("helm", None),
    ("htpasswd", Some("apache2-utils")),
    ("initdb", Some("postgresql")),
    ("ip", Some("iproute2")),
    ("kubernetes-peer", None),
    ("ldapmodify", Some("ldap-utils")),
    ("ldapsearch", Some("ldap-utils")),
    ("mariadb", Some("mariadb-client")),
    ("mariadb-install-db", Some("mariadb-server")),
    ("mariadbd", Some("mariadb-server")),
    ("mkfs.ext4", Some("e2fsprogs")),
    ("nginx", Some("nginx-light")),
    ("node", Some("nodejs")),
    ("pebble", None),
    ("pebble-challtestsrv", None),
    ("pg_basebackup", Some("postgresql")),
    ("pg_ctl", Some("postgresql")),
    ("php", Some("php-cli")),
    ("postgres", Some("postgresql")),
    ("promtool", Some("prometheus")),
    ("psql", Some("postgresql-client")),
    ("regctl", None),
    ("redis-cli", Some("redis-tools")),
    ("registry", None),
    ("samba", Some("samba-ad-dc samba-ad-provision")),
    ("samba-tool", Some("samba-ad-dc samba-ad-provision")),
    ("unshare", Some("util-linux")),
    ("versitygw", None),
];

/// The path of the program called `name`.
///
/// # Panics
/// If it is not installed. The message has the line that installs it.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    directories()
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            panic!(
                "{name} is not installed. To install it: {}",
                install_line(name)
            )
        })
}

/// `/usr/bin` and `/usr/sbin` come before `PATH`, because the versions of packaged programs fit: a
/// `docker` from elsewhere may be too new for the package's daemon. Programs that Go installed are
/// rarely on `PATH`.
fn directories() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    ["/usr/bin", "/usr/sbin"]
        .map(PathBuf::from)
        .into_iter()
        .chain(env::split_paths(&path).collect::<Vec<_>>())
        .chain(postgres())
        .chain(go())
}

/// Debian has several versions of PostgreSQL's server beside each other.
fn postgres() -> impl Iterator<Item = PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    versions.flatten().map(|version| version.path().join("bin"))
}

fn go() -> impl Iterator<Item = PathBuf> {
    let installed = env::var_os("GOBIN").map(PathBuf::from);
    let workspace = env::var_os("GOPATH").map(|path| PathBuf::from(path).join("bin"));
    let home = env::home_dir().map(|home| home.join("go/bin"));
    installed.into_iter().chain(workspace).chain(home)
}

fn install_line(name: &str) -> String {
    match PACKAGES.iter().find(|(program, _)| *program == name) {
        Some((_, Some(package))) => {
            format!("apt-get install {package} (or scripts/install-test-peers)")
        }
        Some((_, None)) => "scripts/install-test-peers".to_owned(),
        None => format!("apt-get install {name} (or scripts/install-test-peers)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_every_machine_has() {
        assert!(program("sh").is_file());
    }

    #[test]
    #[should_panic(
        expected = "no-such-peer is not installed. To install it: apt-get install no-such-peer"
    )]
    fn a_missing_peer_is_a_failure_with_the_line_that_installs_it() {
        let _ = program("no-such-peer");
    }

    #[test]
    fn install_lines_name_the_package_not_the_program() {
        assert_eq!(
            install_line("ctr"),
            "apt-get install containerd (or scripts/install-test-peers)"
        );
        assert_eq!(install_line("crane"), "scripts/install-test-peers");
    }
}
