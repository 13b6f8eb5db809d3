//! Samba as a domain controller of Active Directory, of which only the LDAP server runs.
//!
//! A domain takes some seconds to be made, so the tests of a program share one, and each changes
//! only entries that it made. It needs root: the files of a domain have owners, and the LDAP server
//! of Active Directory has the ports 389 and 636. So it gets an address of its own instead.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use data_encoding::BASE64;
use tempfile::TempDir;

use crate::{Daemon, TestCertificate, port, program, run, run_with_input};

/// What is added to the entries of every domain.
const ENTRIES: &str = include_str!("samba.ldif");

/// The password of the administrator.
const ADMIN_PASSWORD: &str = "Admin-1ce9";

/// The ports for `ldap` and `ldaps`. Samba has no others.
const PORTS: [u16; 2] = [389, 636];

/// A running domain controller. It takes passwords over TLS only, as Active Directory can be set
/// up. Five wrong passwords lock an account.
#[derive(Debug)]
pub struct Samba {
    daemon: Daemon,
    address: Ipv4Addr,
    certificate: PathBuf,
    _directory: TempDir,
}

impl Samba {
    /// The domain.
    pub const DOMAIN: &str = "DC=ad,DC=example,DC=com";
    /// Where people are.
    pub const PEOPLE: &str = "OU=People,DC=ad,DC=example,DC=com";
    /// Where groups are.
    pub const GROUPS: &str = "OU=Groups,DC=ad,DC=example,DC=com";
    /// The account that may search.
    pub const READER: &str = "CN=Reader,OU=People,DC=ad,DC=example,DC=com";
    /// The password of every account but `bob`, who has another.
    pub const PASSWORD: &str = "sesame";

    /// Makes a domain with the entries of `samba.ldif` and starts its server. Only one can run in a
    /// process.
    ///
    /// # Panics
    /// If Samba is not installed or does not start.
    #[must_use]
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path();
        let address = address();
        let pair = TestCertificate::of_names(path, "tls", &format!("IP:{address}"));
        let config = write_config(path, address, &pair);
        let mut provision = Command::new(program("samba-tool"));
        provision
            .args(["domain", "provision", "--configfile"])
            .arg(&config)
            .args(["--realm", "AD.EXAMPLE.COM", "--domain", "AD"])
            .args(["--server-role", "dc", "--dns-backend", "NONE"])
            .args(["--host-name", "dc", "--host-ip", "127.0.0.1"])
            .args(["--adminpass", ADMIN_PASSWORD]);
        run(without_sync(&mut provision)).succeeded();
        let mut samba = Command::new(program("samba"));
        samba
            .args(["--interactive", "--model", "single", "--configfile"])
            .arg(&config);
        let mut daemon = Daemon::start(without_sync(&mut samba), &path.join("log"));
        let ready = daemon.until(|daemon| {
            let mut ports = PORTS.iter();
            let is_ready = ports.all(|port| port::is_listened_on_by(*port, daemon.id()));
            is_ready.then_some(())
        });
        assert!(ready.is_some(), "samba does not listen:\n{}", daemon.log());
        let server = Self {
            daemon,
            address,
            certificate: pair.certificate,
            _directory: directory,
        };
        let entries = ENTRIES
            .replace("@password@", &password_value(Self::PASSWORD))
            .replace("@other@", &password_value("other-55d0"));
        server.change(&entries);
        server
    }

    /// Its address; it listens on the usual ports.
    #[must_use]
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Its certificate for that address, PEM. It is self-signed.
    #[must_use]
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.log()
    }

    /// Makes an account, whose entry's name is returned.
    ///
    /// # Panics
    /// If the server refuses it.
    #[must_use]
    pub fn add_person(&self, account: &str) -> String {
        let entry = format!("CN={account},{}", Self::PEOPLE);
        let password = password_value(Self::PASSWORD);
        self.change(&format!(
            "dn: {entry}\nchangetype: add\nobjectClass: user\nsAMAccountName: {account}\n\
             userAccountControl: 512\nunicodePwd:: {password}\n"
        ));
        entry
    }

    /// Replaces the password of an account.
    pub fn set_password(&self, entry: &str, password: &str) {
        let value = password_value(password);
        self.change(&format!(
            "dn: {entry}\nchangetype: modify\nreplace: unicodePwd\nunicodePwd:: {value}\n"
        ));
    }

    /// Replaces the value of an attribute of an entry.
    pub fn replace(&self, entry: &str, attribute: &str, value: &str) {
        self.change(&format!(
            "dn: {entry}\nchangetype: modify\nreplace: {attribute}\n{attribute}: {value}\n"
        ));
    }

    /// Applies changes in LDIF as the administrator.
    ///
    /// # Panics
    /// If the server refuses them.
    pub fn change(&self, ldif: &str) {
        let mut command = Command::new(program("ldapmodify"));
        command
            .env("LDAPTLS_CACERT", &self.certificate)
            .args(["-x", "-H", &format!("ldaps://{}", self.address)])
            .args(["-D", "Administrator@ad.example.com", "-w", ADMIN_PASSWORD]);
        run_with_input(&mut command, ldif).succeeded();
    }
}

/// A loopback address that no other process takes: the number of this one is its last three bytes.
fn address() -> Ipv4Addr {
    let [_, bytes @ ..] = process::id().to_be_bytes();
    let [second, third, fourth] = bytes;
    Ipv4Addr::new(127, second | 0x80, third, fourth)
}

/// The value of `unicodePwd` in LDIF.
fn password_value(password: &str) -> String {
    let quoted = format!("\"{password}\"");
    let bytes: Vec<u8> = quoted.encode_utf16().flat_map(u16::to_le_bytes).collect();
    BASE64.encode(&bytes)
}

/// Does not wait for the disk.
fn without_sync(command: &mut Command) -> &mut Command {
    command.env("TDB_NO_FSYNC", "1")
}

/// All its files are in `directory`.
fn write_config(directory: &Path, address: Ipv4Addr, pair: &TestCertificate) -> PathBuf {
    for name in ["state", "cache"] {
        fs::create_dir(directory.join(name)).expect("a directory for its files");
    }
    let text = format!(
        "[global]\n\
         netbios name = DC\n\
         realm = AD.EXAMPLE.COM\n\
         workgroup = AD\n\
         server role = active directory domain controller\n\
         server services = ldap\n\
         interfaces = {address}/8\n\
         bind interfaces only = yes\n\
         vfs objects =\n\
         tls certfile = {certificate}\n\
         tls keyfile = {key}\n\
         tls cafile =\n\
         private dir = {directory}/private\n\
         lock directory = {directory}\n\
         state directory = {directory}/state\n\
         cache directory = {directory}/cache\n\
         pid directory = {directory}\n\
         ncalrpc dir = {directory}/ncalrpc\n\
         winbindd socket directory = {directory}/winbindd\n\
         binddns dir = {directory}/dns\n\
         [sysvol]\n\
         path = {directory}/sysvol\n\
         [netlogon]\n\
         path = {directory}/sysvol\n",
        certificate = pair.certificate.display(),
        key = pair.key.display(),
        directory = directory.display(),
    );
    let path = directory.join("smb.conf");
    fs::write(&path, text).expect("samba's configuration");
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_quoted_and_has_two_bytes_for_each_character() {
        assert_eq!(password_value("aé"), BASE64.encode(b"\"\0a\0\xe9\0\"\0"));
    }

    #[test]
    fn its_address_is_of_this_machine_and_no_usual_one() {
        let address = address();
        assert!(address.is_loopback());
        assert!(address > Ipv4Addr::new(127, 128, 0, 0));
    }
}
