//! What every backend must do in the running program, each with the rules that belong to it.
//!
//! A backend is a line of `test_of_each_backend!` and a function in `cases.rs`. It then is a test in
//! each of the modules `docker` and `crowd`.

mod cases;
mod crowd;
mod docker;
mod providers;
mod running;

/// Makes a test of each backend, which calls `check` with its case.
macro_rules! test_of_each_backend {
    ($check:path) => {
        $crate::every_backend::test_of_each_backend!(
            $check:
            users,
            users_htpasswd_and_casbin,
            ext_auth_and_ext_authz,
            ext_auth_and_ext_authz_by_lines,
            http_auth_and_http_authz,
            ldap_auth,
            mongodb,
            postgres,
            mariadb,
            sqlite,
            github_auth,
            github_auth_in_redis,
            oidc_auth,
            gitlab_auth,
        );
    };
    ($check:path: $($case:ident,)+) => {
        $(#[test]
        fn $case() {
            $check(&crate::every_backend::cases::$case());
        })+
    };
}
use test_of_each_backend;
