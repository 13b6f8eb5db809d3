//! Programs that refuse to run as root run as the user that their package made.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// The user that a database server runs as: another one only if the test runs as root.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ServiceUser(Option<Ids>);

#[derive(Clone, Copy, Debug)]
struct Ids {
    user: u32,
    group: u32,
}

impl ServiceUser {
    /// The user `name`, of Debian's package `package`.
    pub(crate) fn new(name: &str, package: &str) -> Self {
        let own = fs::metadata("/proc/self").expect("this process").uid();
        if own != 0 {
            return Self(None);
        }
        let passwd = fs::read_to_string("/etc/passwd").expect("the list of users");
        let found = passwd.lines().find_map(|line| ids(line, name));
        let ids = found.unwrap_or_else(|| {
            panic!("there is no user {name}. To make it: apt-get install {package}")
        });
        Self(Some(ids))
    }

    /// `command`, run by this user.
    pub(crate) fn run(self, mut command: Command) -> Command {
        if let Some(Ids { user, group }) = self.0 {
            command.uid(user).gid(group);
        }
        command
    }

    /// Gives `path` to this user.
    pub(crate) fn own(self, path: &Path) {
        if let Some(Ids { user, group }) = self.0 {
            chown(path, Some(user), Some(group)).expect("another owner of a file");
        }
    }
}

/// The ids in a line of `/etc/passwd`, if it is the user's.
fn ids(line: &str, name: &str) -> Option<Ids> {
    let mut fields = line.split(':');
    if fields.next() != Some(name) {
        return None;
    }
    let mut ids = fields.skip(1).map_while(|field| field.parse().ok());
    Some(Ids {
        user: ids.next()?,
        group: ids.next()?,
    })
}
