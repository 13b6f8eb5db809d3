//! The client's commands, as people type them: against our own token server with the real
//! registries behind it, beside the clients whose logins and layouts they share.

mod commands;
mod disks;
mod doctor;
pub(crate) mod early_refusals;
mod interrupted;
mod layouts;
mod logins;
mod lost_content;
mod proxies;
mod runner;
