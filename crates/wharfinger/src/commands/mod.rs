//! One file per command. Each has its arguments (a `clap` struct, whose doc comments are its help)
//! and `run(arguments) -> Result<ExitCode, Failure>`.

mod administrator;
pub(crate) mod attach;
pub(crate) mod blob;
pub(crate) mod catalog;
pub(crate) mod certs;
pub(crate) mod check;
pub(crate) mod completions;
pub(crate) mod config;
mod configuration;
pub(crate) mod copy;
pub(crate) mod credential_helper;
pub(crate) mod credential_provider;
pub(crate) mod delete;
pub(crate) mod digest;
pub(crate) mod doctor;
pub(crate) mod explain;
pub(crate) mod hash;
pub(crate) mod import;

pub(crate) mod inspect;
mod key_file;
pub(crate) mod keys;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod manifest;
pub(crate) mod passwd;
mod password;
pub(crate) mod passwords;
pub(crate) mod personal_token;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod referrers;
pub(crate) mod registry;
pub(crate) mod robot;
mod runtime;
pub(crate) mod serve;
pub(crate) mod sessions;
mod sign_ins;
mod stored_tokens;
mod table;
pub(crate) mod tag;
pub(crate) mod tags;
pub(crate) mod token;
mod transfer;
pub(crate) mod trust;
pub(crate) mod up;
