//! The program as its users run it: the built binary, and real registries, engines and clients
//! around it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail the test on the spot"
)]

mod accounts;
mod api;
mod audit;
mod authority;
mod bad_input;
mod bounds;
mod casbin;
mod certificates;
mod check_connect;
mod client;
mod credentials;
mod deploy;
mod device_login;
mod e2e;
mod every_backend;
mod explain;
mod external_backends;
mod google;
mod hash;
mod inspect_matrix;
mod killed_commands;
mod ldap;
mod lifetime;
mod log_files;
mod manual;
mod manual_commands;
mod many_accounts;
mod many_rules;
mod metrics;
mod mongo;
mod mongo_srv;
mod notifications;
mod oidc_provider;
#[path = "../../../sign-in/tests/it/oidc_stub.rs"]
mod oidc_stub;
mod operation;
mod over_the_api;
mod personal_tokens;
#[path = "../../../workload-identity/tests/it/platform.rs"]
#[allow(
    dead_code,
    reason = "these tests need a part of what the crate's own need"
)]
mod platform;
mod platform_files;
mod programs;
mod read_only;
mod registry;
mod reload;
mod replay;
mod replicas;
mod requests;
mod several_servers;
mod shared_database;
mod sign_in;
mod sql;
#[path = "../../../sign-in/tests/it/stub.rs"]
mod stub;
mod token_endpoint;
mod token_login;
mod tools;
mod traces;
mod trust;
mod up;
mod wire;
