//! The system's user who runs a command, for the administration log.

use std::env;
use std::fs;

use database::Administrator;

/// The user of this process: `root (uid 0)`, or `root (uid 0), sudo by ann` (sudo(8), `SUDO_USER`).
pub(super) fn administrator() -> Administrator {
    let uid = rustix::process::getuid().as_raw();
    let name = fs::read_to_string("/etc/passwd")
        .ok()
        .and_then(|passwd| name_of(&passwd, uid));
    // Only of root: another user can write anything into its own environment.
    let sudo = env::var("SUDO_USER").ok().filter(|_| uid == 0);
    Administrator::SystemUser(described(uid, name.as_deref(), sudo.as_deref()))
}

fn described(uid: u32, name: Option<&str>, sudo: Option<&str>) -> String {
    let user = match name {
        Some(name) => format!("{name} (uid {uid})"),
        None => format!("uid {uid}"),
    };
    match sudo {
        Some(sudo) => format!("{user}, sudo by {sudo}"),
        None => user,
    }
}

/// The name of a user in the text of `/etc/passwd` (passwd(5)).
fn name_of(passwd: &str, uid: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _password, id) = (fields.next()?, fields.next()?, fields.next()?);
        (id.parse() == Ok(uid)).then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_as_the_system_does() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\n\nbroken\nann:x:1000:1000::/home/ann:/bin/sh\n";
        let shown = |uid, sudo| described(uid, name_of(passwd, uid).as_deref(), sudo);
        assert_eq!(shown(0, None), "root (uid 0)");
        assert_eq!(shown(0, Some("ann")), "root (uid 0), sudo by ann");
        assert_eq!(shown(1000, None), "ann (uid 1000)");
        assert_eq!(shown(7, None), "uid 7");
    }
}
