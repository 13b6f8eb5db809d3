//! `wharfinger up`: a private registry from nothing, and then `serve` on the file that says what it
//! is.
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
use crate::failure::Failure;
use crate::output;
use crate::serve::{self, LogOverrides};

/// Start a private registry, and make what is missing for it first: configuration, keys, an
/// administrator.
///
/// On 127.0.0.1 it speaks plain HTTP, which docker takes there. Given names or addresses by which
/// others reach it, it makes an authority and a certificate, and prints what makes docker and
/// containerd trust them. Once there is a configuration, it is what counts: run again, this changes
/// nothing and starts.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Where everything is kept. Default: $STATE_DIRECTORY; for root /var/lib/wharfinger; for
    /// others ~/.local/share/wharfinger.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to listen, as HOST:PORT, or :PORT for every address. Default: 127.0.0.1:5000; with
    /// --host or --ip :5000.
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// A host name by which others reach it; repeat for more.
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
    /// An address by which others reach it; repeat for more.
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
    let text = if installation.configuration().exists() {
        if arguments.listen.is_some() || !arguments.host.is_empty() || !arguments.ip.is_empty() {
            let file = installation.configuration();
            output::note(format_args!(
                "note: {} is there and counts; --listen, --host and --ip do not",
                file.display()
            ));
        }
        instructions::again(&installation)
    } else {
        asked.must_be_free()?;
        let made = create::create(&installation, &asked)?;
        instructions::first(&installation, &asked, &made)
    };
    output::print(&text)?;
    serve::run(&installation.configuration(), LogOverrides::default())
}

/// Where everything is kept when nobody says so.
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
        Failure::usage("there is no home directory to keep the data in").hint("add --data DIR")
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
    fn a_place_for_everybody() {
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
