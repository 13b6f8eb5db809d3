//! `wharfinger`: a private container registry with token authentication, in one program.
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "the comments of a command's arguments are its help, where HOST[:PORT] is no link"
)]

mod cli;
mod commands;
mod config;
mod docker_auth;
mod failure;
mod fetch;
mod files;
mod log;
mod log_fields;
mod log_outputs;
mod output;
mod registry_program;
mod remote;
mod replicas;
mod serve;
mod server_option;
mod size;
mod token_generator;
mod when;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run(std::env::args_os().collect()) {
        Ok(code) => code,
        Err(failure) => {
            output::note(failure.to_string().trim_end());
            failure.exit_code()
        }
    }
}
