//! `wharfinger keys new`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::NewKey;
use crate::failure::Failure;
use crate::files::{self, FileMode};
use crate::output;

/// Create a private key (PKCS#8, PEM) that only its owner can read; it overwrites no file
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The file to create; - prints the key.
    file: PathBuf,
    #[command(flatten)]
    key: NewKey,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let prints = arguments.file.as_os_str() == "-";
    if !prints {
        files::must_be_new(&arguments.file)?;
    }
    let key = arguments.key.generate()?;
    let pem = key
        .to_pkcs8_pem()
        .map_err(|error| Failure::system("the key cannot be written").caused_by(&error))?;
    if prints {
        output::print(&pem)?;
    } else {
        files::write_new(&arguments.file, pem.as_bytes(), FileMode::Private)?;
        let (kind, ids) = (key.public().kind(), key.public().ids());
        output::print(&format!(
            "{}: {kind}, {}\n  libtrust id  {}\n  thumbprint   {}\n",
            arguments.file.display(),
            key.algorithm(),
            ids.libtrust,
            ids.thumbprint
        ))?;
    }
    if let Some(warning) = arguments.key.warning() {
        output::note(format_args!("warning: {warning}"));
    }
    Ok(ExitCode::SUCCESS)
}
