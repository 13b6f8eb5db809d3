//! `wharfinger completions` and `wharfinger man`: what makes a command at home in a shell.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::failure::Failure;
use crate::output::print_bytes;

/// Print a script that completes commands and options in a shell
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell.
    shell: Shell,
}

/// Write the manual pages of all commands into a directory
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// The directory. If it is in MANPATH, `man wharfinger` finds the pages.
    directory: PathBuf,
}

pub(crate) fn completions<C: CommandFactory>(arguments: &Completions) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(
        arguments.shell,
        &mut C::command(),
        "wharfinger",
        &mut script,
    );
    print_bytes(&script).map(|()| ExitCode::SUCCESS)
}

pub(crate) fn man<C: CommandFactory>(arguments: &Man) -> Result<ExitCode, Failure> {
    let directory = &arguments.directory;
    let failed = |error: io::Error| {
        Failure::system(format!(
            "cannot write manual pages into {}",
            directory.display()
        ))
        .caused_by(&error)
    };
    std::fs::create_dir_all(directory).map_err(failed)?;
    clap_mangen::generate_to(C::command(), directory).map_err(failed)?;
    Ok(ExitCode::SUCCESS)
}
