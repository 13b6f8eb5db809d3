//! OpenLDAP's server, with a directory of its own for each test that changes it.

use std::fs;
use std::net::SocketAddrV4;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::{Daemon, Output, ReservedAddress, port, program, run, run_with_input};

/// The entries that every directory begins with. `ann` and `bob` are people; `twin` is there twice;
/// `locked` and `nopass` cannot log in; `refer` is a referral to another server.
const ENTRIES: &str = include_str!("slapd.ldif");

/// The suffix of the directory.
const SUFFIX: &str = "dc=example,dc=com";

/// The password of the administrator, `cn=admin,dc=example,dc=com`.
const ADMIN_PASSWORD: &str = "admin-1ce9";

/// How a directory server is started.
#[derive(Clone, Debug, Default)]
pub struct SlapdConfig {
    /// Certificate and key for `ldaps` and `StartTLS`, as PEM. Without them there is no TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// More lines for the database's part of `slapd.conf`.
    pub more: String,
}

/// A running directory server: `ldap`, and `ldaps` on a port of its own.
#[derive(Debug)]
pub struct Slapd {
    daemon: Daemon,
    address: ReservedAddress,
    tls_address: ReservedAddress,
    has_tls: bool,
    directory: TempDir,
}

impl Slapd {
    /// Where people are.
    pub const PEOPLE: &str = "ou=people,dc=example,dc=com";
    /// Where groups are.
    pub const GROUPS: &str = "ou=groups,dc=example,dc=com";
    /// The policy of passwords: ten wrong ones in a row lock an account.
    pub const POLICY: &str = "cn=policy,dc=example,dc=com";
    /// The account that may search.
    pub const READER: &str = "cn=reader,dc=example,dc=com";
    /// Its password, until a test changes it.
    pub const READER_PASSWORD: &str = "reader-7ba3";
    /// The passwords of `ann` and of everyone else.
    pub const PASSWORDS: (&str, &str) = ("sesame", "other-55d0");

    /// Starts a server with the entries of `slapd.ldif`.
    ///
    /// # Panics
    /// If slapd is not installed or does not start.
    #[must_use]
    pub fn start(config: &SlapdConfig) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(directory.path().join("db")).expect("a directory for the database");
        write_config(directory.path(), config);
        let has_tls = config.tls.is_some();
        let mut tls_address = None;
        let log = directory.path().join("log");
        let (daemon, address) = Daemon::start_on_port(&log, |address| {
            let tls = tls_address.insert(ReservedAddress::new());
            command(directory.path(), address, has_tls.then_some(tls.address()))
        });
        let tls_address = tls_address.expect("the address that was tried last");
        let mut server = Self {
            daemon,
            address,
            tls_address,
            has_tls,
            directory,
        };
        server.wait_until_ready();
        server.change(ENTRIES);
        server
    }

    /// `127.0.0.1:PORT` for `ldap`.
    #[must_use]
    pub fn host_port(&self) -> String {
        self.address.to_string()
    }

    /// The port for `ldap`.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The port for `ldaps`.
    #[must_use]
    pub fn tls_port(&self) -> u16 {
        self.tls_address.port()
    }

    /// Its log: every operation, without passwords.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// Applies changes in LDIF as the administrator. An entry without `changetype` is added.
    ///
    /// # Panics
    /// If the server refuses them.
    pub fn change(&self, ldif: &str) {
        let mut command = self.client("ldapmodify", &format!("cn=admin,{SUFFIX}"), ADMIN_PASSWORD);
        run_with_input(command.args(["-a"]), ldif).succeeded();
    }

    /// Replaces the value of an attribute of an entry.
    pub fn replace(&self, entry: &str, attribute: &str, value: &str) {
        self.change(&format!(
            "dn: {entry}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n"
        ));
    }

    /// Removes an entry.
    pub fn delete(&self, entry: &str) {
        self.change(&format!("dn: {entry}\nchangetype: delete\n"));
    }

    /// What `ldapsearch` prints for the reader.
    #[must_use]
    pub fn search(&self, filter: &str, attribute: &str) -> Output {
        let mut command = self.client("ldapsearch", Self::READER, Self::READER_PASSWORD);
        run(command.args([
            "-LLL",
            "-o",
            "ldif-wrap=no",
            "-b",
            SUFFIX,
            filter,
            attribute,
        ]))
    }

    /// Ends it at once, in the middle of what it does.
    pub fn kill(&mut self) {
        self.daemon.signal(crate::Signal::Kill);
        self.daemon.wait();
    }

    /// Starts it again on the same ports, after [`kill`](Self::kill).
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_again(&mut self) {
        let directory = self.directory.path();
        let tls = self.has_tls.then_some(self.tls_address.address());
        let mut command = command(directory, self.address.address(), tls);
        self.daemon = Daemon::start(&mut command, &directory.join("log"));
        self.wait_until_ready();
    }

    fn wait_until_ready(&mut self) {
        let mut ports = vec![self.address.port()];
        if self.has_tls {
            ports.push(self.tls_address.port());
        }
        let ready = self.daemon.until(|daemon| {
            let mut ports = ports.iter();
            let is_ready = ports.all(|port| port::is_listened_on_by(*port, daemon.id()));
            is_ready.then_some(())
        });
        assert!(ready.is_some(), "slapd does not listen:\n{}", self.log());
    }

    fn client(&self, name: &str, bind: &str, password: &str) -> Command {
        let mut command = Command::new(program(name));
        let url = format!("ldap://{}", self.address);
        command.args(["-x", "-H", &url, "-D", bind, "-w", password]);
        command
    }
}

/// The command that runs slapd in the foreground, with each operation in its log.
fn command(directory: &Path, address: SocketAddrV4, tls: Option<SocketAddrV4>) -> Command {
    let mut urls = format!("ldap://{address}");
    if let Some(tls) = tls {
        urls += &format!(" ldaps://{tls}");
    }
    let mut command = Command::new(program("slapd"));
    command
        .arg("-f")
        .arg(directory.join("slapd.conf"))
        .args(["-h", &urls, "-d", "stats"]);
    command
}

fn write_config(directory: &Path, config: &SlapdConfig) {
    let tls = config
        .tls
        .as_ref()
        .map_or_else(String::new, |(certificate, key)| {
            format!(
                "TLSCertificateFile {}\nTLSCertificateKeyFile {}\n",
                certificate.display(),
                key.display()
            )
        });
    let text = format!(
        "include /etc/ldap/schema/core.schema\n\
         include /etc/ldap/schema/cosine.schema\n\
         include /etc/ldap/schema/nis.schema\n\
         include /etc/ldap/schema/inetorgperson.schema\n\
         modulepath /usr/lib/ldap\n\
         moduleload back_mdb\n\
         moduleload memberof\n\
         moduleload ppolicy\n\
         pidfile {directory}/pid\n\
         argsfile {directory}/args\n\
         {tls}\
         database mdb\n\
         suffix {SUFFIX}\n\
         rootdn cn=admin,{SUFFIX}\n\
         rootpw {ADMIN_PASSWORD}\n\
         directory {directory}/db\n\
         maxsize 67108864\n\
         index objectClass,uid,member eq\n\
         access to attrs=userPassword by anonymous auth by * none\n\
         access to * by dn.exact={reader} read by dn.children={people} read by * none\n\
         overlay memberof\n\
         overlay ppolicy\n\
         ppolicy_default cn=policy,{SUFFIX}\n\
         ppolicy_use_lockout\n\
         {more}\n",
        directory = directory.display(),
        reader = Slapd::READER,
        people = Slapd::PEOPLE,
        more = config.more,
    );
    fs::write(directory.join("slapd.conf"), text).expect("slapd's configuration");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// OpenLDAP spells the attribute `memberOf`, however a client asks for it.
    #[test]
    fn it_answers_and_comes_back() {
        let mut slapd = Slapd::start(&SlapdConfig::default());
        let found = slapd.search("(uid=ann)", "memberof");
        assert!(
            found
                .succeeded()
                .contains("\nmemberOf: cn=dev,ou=groups,dc=example,dc=com"),
            "{found}"
        );
        slapd.kill();
        slapd.start_again();
        assert!(
            slapd
                .search("(uid=ann)", "uid")
                .succeeded()
                .contains("uid: ann")
        );
    }
}
