//! The system's user who runs a command, for the administration log.

use std::env;

use database::{Administrator, system_user};

/// The user of this process: `root (uid 0)`, or `root (uid 0), sudo by ann` (sudo(8), `SUDO_USER`).
pub(super) fn administrator() -> Administrator {
    let uid = rustix::process::getuid().as_raw();
    // Only of root: another user can write anything into its own environment.
    let sudo = env::var("SUDO_USER").ok().filter(|_| uid == 0);
    Administrator::SystemUser(described(system_user(uid), sudo.as_deref()))
}

fn described(user: String, sudo: Option<&str>) -> String {
    match sudo {
        Some(sudo) => format!("{user}, sudo by {sudo}"),
        None => user,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_became_root_is_named() {
        let root = "root (uid 0)".to_owned();
        assert_eq!(described(root.clone(), None), "root (uid 0)");
        assert_eq!(described(root, Some("ann")), "root (uid 0), sudo by ann");
    }
}
