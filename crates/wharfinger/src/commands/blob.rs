//! `wharfinger blob`: download one blob.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use client::{ImageName, RepositoryClient};
use oci::Digest;

use crate::failure::Failure;
use crate::output::content_output;
use crate::remote::{ConnectionArguments, run as run_async};

/// Print a blob, or write it to a file
///
/// The exit code is 8 if the content does not match the digest; output that was printed must then not
/// be used. A file is written only if the content matches.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The blob: HOST/NAME@DIGEST.
    #[arg(value_name = "HOST/NAME@DIGEST")]
    name: ImageName,
    /// Write the blob to this file.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    connection: ConnectionArguments,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let Some(digest) = arguments.name.digest else {
        return Err(Failure::usage("digest required: a blob has no other name")
            .hint("write HOST/NAME@sha256:…"));
    };
    run_async(async {
        let repository = arguments.connection.repository(&arguments.name).await?;
        match &arguments.output {
            None => fetch(&repository, digest, &mut content_output()).await,
            Some(path) => fetch_into(&repository, digest, path).await,
        }
    })
}

async fn fetch(
    repository: &RepositoryClient,
    digest: Digest,
    output: &mut impl Write,
) -> Result<(), Failure> {
    let mut download = repository.download_unsized(digest);
    while let Some(piece) = download.verified_chunk().await? {
        match output.write_all(&piece) {
            Ok(()) => {}
            // The reader has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(Failure::system("cannot write").caused_by(&error)),
        }
    }
    output
        .flush()
        .map_err(|error| Failure::system("cannot write").caused_by(&error))
}

async fn fetch_into(
    repository: &RepositoryClient,
    digest: Digest,
    path: &Path,
) -> Result<(), Failure> {
    let failed = |error: io::Error| {
        Failure::system(format!("cannot write {}", path.display())).caused_by(&error)
    };
    let directory = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .permissions(mode())
        .tempfile_in(directory)
        .map_err(failed)?;
    fetch(repository, digest, file.as_file_mut()).await?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// The mode of any new file; the umask is applied.
fn mode() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o666)
}
