//! `wharfinger completions` and `wharfinger man`: what makes a command at home in a shell.

use std::fs::Permissions;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command};
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

pub(crate) fn completions(
    arguments: &Completions,
    mut command: Command,
) -> Result<ExitCode, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "wharfinger", &mut script);
    print_bytes(&script).map(|()| ExitCode::SUCCESS)
}

pub(crate) fn man(arguments: &Man, command: Command) -> Result<ExitCode, Failure> {
    let directory = &arguments.directory;
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let written = std::fs::create_dir_all(directory).and_then(|()| write_pages(command, directory));
    written.map_err(|error| {
        let message = format!("cannot write manual pages into {}", directory.display());
        Failure::system(message).caused_by(&error)
    })?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the pages of a command and of all below it.
fn write_pages(command: Command, directory: &Path) -> io::Result<()> {
    for below in command
        .get_subcommands()
        .filter(|below| !below.is_hide_set())
    {
        write_pages(below.clone(), directory)?;
    }
    let page = clap_mangen::Man::new(command);
    // A new file takes the place of an old one. If that is a symbolic link, the file that it names is
    // not written to: several users may write into the directory.
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(directory)?;
    page.render(&mut file)?;
    file.flush()?;
    let written = file.persist(directory.join(page.get_filename()));
    written.map(drop).map_err(|error| error.error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_in_the_directory_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("other");
        std::fs::write(&other, "mine").unwrap();
        let directory = folder.path().join("man1");
        std::fs::create_dir(&directory).unwrap();
        std::os::unix::fs::symlink(&other, directory.join("w.1")).unwrap();
        let arguments = Man {
            directory: directory.clone(),
        };
        let command = || Command::new("w").subcommand(Command::new("a"));
        for _ in 0..2 {
            man(&arguments, command()).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "mine");
        let page = std::fs::read_to_string(directory.join("w.1")).unwrap();
        assert!(page.contains("SYNOPSIS"), "{page}");
        let mode = directory
            .join("w-a.1")
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(
            (mode & 0o777, directory.read_dir().unwrap().count()),
            (0o644, 2)
        );
    }
}
