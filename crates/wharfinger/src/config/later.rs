//! Words of the schema that mean something elsewhere, or will here, and nothing yet.
//!
//! None of them is ever ignored: a login that a file asks for must not be missing in silence.

use super::section::Section;

/// Backends that say who somebody is.
const AUTHENTICATION: [(&str, &str); 9] = [
    ("ldap_auth", "LDAP logins"),
    ("mongo_auth", "logins from MongoDB"),
    ("xorm_auth", "logins from an SQL database"),
    ("sql_auth", "logins from an SQL database"),
    ("google_auth", "logins with Google"),
    ("github_auth", "logins with GitHub"),
    ("gitlab_auth", "logins with GitLab"),
    ("oidc_auth", "logins with OpenID Connect"),
    ("plugin_authn", "Go plugins"),
];

/// Backends that say what somebody may do.
const AUTHORIZATION: [(&str, &str); 5] = [
    ("acl_mongo", "rules from MongoDB"),
    ("acl_xorm", "rules from an SQL database"),
    ("acl_sql", "rules from an SQL database"),
    ("plugin_authz", "Go plugins"),
    ("casbin_authz", "Casbin policies"),
];

/// Which kinds of backends are there, though they cannot be used.
pub(super) struct Later {
    pub(super) authentication: bool,
    pub(super) authorization: bool,
}

/// Refuses every one of them that is there; one with nothing in it is absent.
pub(super) fn refuse(root: &mut Section<'_>) -> Later {
    let authentication = AUTHENTICATION.map(|(key, what)| {
        refuse_one(
            root,
            key,
            what,
            "use users, users_htpasswd, or a program that asks the same place under ext_auth",
        )
    });
    let authorization = AUTHORIZATION.map(|(key, what)| {
        refuse_one(
            root,
            key,
            what,
            "write the rules under acl, or let a program under ext_authz decide",
        )
    });
    Later {
        authentication: authentication.contains(&true),
        authorization: authorization.contains(&true),
    }
}

fn refuse_one(root: &mut Section<'_>, key: &'static str, what: &str, instead: &str) -> bool {
    let Some(setting) = root.setting(key) else {
        return false;
    };
    setting.error(format_args!("{what} are not supported yet; {instead}"));
    true
}
