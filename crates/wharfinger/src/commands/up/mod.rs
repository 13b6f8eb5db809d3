//! `wharfinger up`: creates a private registry, and runs `serve` on its configuration.
//!
//! - [`endpoint`]: where it listens and by which names it is reached, which decides whether it needs
//!   TLS.
//! - [`create`]: the files, made once; [`installation`]: where they are.
//! - [`instructions`]: what is printed, ready to copy.

mod create;
mod endpoint;
pub(crate) mod installation;
mod instructions;

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use self::endpoint::Endpoint;
use self::installation::Installation;
use self::instructions::ProgramPlace;
use crate::config;
use crate::failure::Failure;
use crate::output;
use crate::serve::{self, LogOverrides};

/// Start a private registry; first create its configuration, keys and administrator if they are
/// missing
///
/// On 127.0.0.1 it uses plain HTTP, which docker accepts there. With --host or --ip it creates a
/// certificate authority and a certificate, and prints commands that make docker and containerd trust
/// them. If a configuration exists, it starts with that and changes nothing.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The directory for all data. Default: $STATE_DIRECTORY; for root /var/lib/wharfinger; for other
    /// users ~/.local/share/wharfinger.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The address to listen on: HOST:PORT, or :PORT for all addresses. Default: 127.0.0.1:5000; with
    /// --host or --ip :5000.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// A host name by which clients reach it; may be repeated.
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// An IP address by which clients reach it; may be repeated.
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<std::net::IpAddr>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let asked = Endpoint::new(arguments.listen.as_deref(), &arguments.host, &arguments.ip)?;
    let folder = match &arguments.data {
        Some(folder) => folder.clone(),
        None => default_folder(
            |name| env::var_os(name),
            rustix::process::geteuid().is_root(),
        )?,
    };
    let installation = Installation::at(&folder)?;
    let text = if installation.exists()? {
        if arguments.listen.is_some() || !arguments.host.is_empty() || !arguments.ip.is_empty() {
            let file = installation.configuration();
            output::note(format_args!(
                "note: using existing {}; ignoring --listen, --host, --ip",
                file.display()
            ));
        }
        must_keep_its_data_here(&installation)?;
        instructions::again(&installation)
    } else {
        if let Some(note) = asked.unreachable_note() {
            output::note(note);
        }
        asked.must_be_free()?;
        let made = create::create(&installation, &asked)?;
        instructions::first(&installation, &asked, &made, ProgramPlace::here())
    };
    output::print(&text)?;
    serve::run(&installation.configuration(), LogOverrides::default())
}

/// Fails if the configuration keeps its data elsewhere: a copied directory would otherwise change
/// the data of the original.
fn must_keep_its_data_here(installation: &Installation) -> Result<(), Failure> {
    let file = installation.configuration();
    // What is wrong with the file, `serve` says.
    let Ok(loaded) = config::load(&file) else {
        return Ok(());
    };
    let config = loaded.config;
    let database = config
        .database
        .as_ref()
        .and_then(|location| Some(("database.url", location.path()?)));
    let content = config.registry.as_ref().and_then(|registry| {
        let root = registry.storage.root()?;
        Some(("registry.storage.filesystem.root", root))
    });
    for (key, path) in database.into_iter().chain(content) {
        let own = installation.directory();
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if real.starts_with(own) || path.starts_with(own) {
            continue;
        }
        return Err(Failure::usage(format!(
            "{} names {} in {key}, which is not in {}",
            file.display(),
            path.display(),
            own.display()
        ))
        .hint(format!(
            "if this is a copy, correct {key} in the copied file; if the data is meant to be there, \
             run `wharfinger serve {}`",
            file.display()
        )));
    }
    Ok(())
}

/// The directory for all data without `--data`.
fn default_folder(
    variable: impl Fn(&str) -> Option<OsString>,
    is_root: bool,
) -> Result<PathBuf, Failure> {
    let folder = |name: &str| variable(name).filter(|value| !value.is_empty());
    // systemd.exec(5): several are separated by colons.
    if let Some(first) = folder("STATE_DIRECTORY").and_then(|list| first(&list)) {
        return Ok(first);
    }
    if is_root {
        return Ok("/var/lib/wharfinger".into());
    }
    // XDG Base Directory Specification.
    let data = folder("XDG_DATA_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let data = data.or_else(|| folder("HOME").map(|home| PathBuf::from(home).join(".local/share")));
    let data = data.ok_or_else(|| {
        Failure::usage("there is no home directory for the data").hint("add --data DIR")
    })?;
    Ok(data.join("wharfinger"))
}

fn first(list: &OsStr) -> Option<PathBuf> {
    let first = list.as_bytes().split(|byte| *byte == b':').next()?;
    (!first.is_empty()).then(|| OsStr::from_bytes(first).into())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_directory_for_data() {
        let places = |variables: &'static [(&str, &str)], is_root| {
            let variable = |name: &str| {
                variables
                    .iter()
                    .find(|(key, _)| *key == name)
                    .map(|(_, value)| (*value).into())
            };
            default_folder(variable, is_root)
        };
        for (variables, is_root, expected) in [
            (&[("HOME", "/root")][..], true, "/var/lib/wharfinger"),
            (
                &[("HOME", "/home/ann")],
                false,
                "/home/ann/.local/share/wharfinger",
            ),
            (
                &[("HOME", "/home/ann"), ("XDG_DATA_HOME", "/data")],
                false,
                "/data/wharfinger",
            ),
            (
                &[("HOME", "/home/ann"), ("XDG_DATA_HOME", "data")],
                false,
                "/home/ann/.local/share/wharfinger",
            ),
            (&[("STATE_DIRECTORY", "/srv/a:/srv/b")], true, "/srv/a"),
            (&[("STATE_DIRECTORY", "")], true, "/var/lib/wharfinger"),
        ] {
            assert_eq!(
                places(variables, is_root).unwrap(),
                Path::new(expected),
                "{variables:?}"
            );
        }
        assert!(
            places(&[], false)
                .unwrap_err()
                .to_string()
                .ends_with("hint: add --data DIR\n")
        );
    }
}
