//! The names of the system's users.

use std::fs;

/// A user of this system, as messages and the administration log name it: `root (uid 0)`, or `uid 7` if it
/// has no name.
#[must_use]
pub fn system_user(uid: u32) -> String {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    described(&passwd, uid)
}

/// The user in the text of `/etc/passwd` (passwd(5)).
fn described(passwd: &str, uid: u32) -> String {
    let name = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let (name, _password, id) = (fields.next()?, fields.next()?, fields.next()?);
        (id.parse() == Ok(uid)).then_some(name)
    });
    match name {
        Some(name) => format!("{name} (uid {uid})"),
        None => format!("uid {uid}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_named_as_the_system_does() {
        let passwd =
            "root:x:0:0:root:/root:/bin/sh\n\nbroken\nann:x:1000:1000::/home/ann:/bin/sh\n";
        assert_eq!(described(passwd, 0), "root (uid 0)");
        assert_eq!(described(passwd, 1000), "ann (uid 1000)");
        assert_eq!(described(passwd, 7), "uid 7");
    }
}
