//! `wharfinger registry backup`: a copy of one moment, from which a server can start.

mod configuration;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use serde_json::json;
use storage::BackupError;

use super::hold::random_id;
use super::open::{self, Content, Opened, Places};
use super::progress::Progress;
use super::{copy_hint, count, half_read, print};
use crate::commands::up::installation::Installation;
use crate::failure::Failure;
use configuration::CopiedConfiguration;

/// Copy the registry as of one moment to a new directory, while the server runs
///
/// The directory holds the database, the content, the configuration and every file that the
/// configuration names, with all keys: protect it like the server. `wharfinger serve
/// DIR/wharfinger.yml` or `wharfinger up --data DIR` starts a server from it.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The server's configuration.
    file: PathBuf,
    /// The directory to create. It may exist if it holds no backup.
    directory: PathBuf,
    /// Print one JSON object: {directory, configuration, database, content, blobs, unsettled};
    /// unsettled are settings of the copied configuration that still name files of the original.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) async fn run(&self) -> Result<ExitCode, Failure> {
        let opened = open::existing(&self.file).await?;
        if opened.places.database.path().is_none() {
            let message = "nothing was copied: the metadata is in PostgreSQL, not in a file";
            return Err(Failure::usage(message).hint(
                "back it up with pg_dump or archived WAL, and the content with the tools of its store; or make a \
                 copy in files with `wharfinger registry copy`",
            ));
        }
        let to = Installation::at(&self.directory)?;
        // Said before the work that would be lost.
        crate::files::must_be_new(&to.configuration())?;
        must_be_empty(to.directory())?;
        let database = database(&opened.places, &to);
        let blobs = copy(&self.file, &opened, &database, &to.content()).await?;
        let copied = configuration::copy(&self.file, &opened, &to, &database)?;
        self.report(&to, &database, blobs, &copied)?;
        Ok(ExitCode::SUCCESS)
    }

    fn report(
        &self,
        to: &Installation,
        database: &Path,
        blobs: usize,
        copied: &CopiedConfiguration,
    ) -> Result<(), Failure> {
        let directory = self.directory.display();
        let json = json!({
            "directory": shown(to.directory()),
            "configuration": shown(&to.configuration()),
            "database": shown(database),
            "content": shown(&to.content()),
            "blobs": blobs,
            "unsettled": copied.unsettled,
        });
        let mut human = format!(
            "copied to {directory}: {}, the database and the configuration\n",
            count(blobs as u64, "blob")
        );
        match copied.unsettled.as_slice() {
            [] => {
                human += &format!(
                    "start a server from it: wharfinger serve {}\n",
                    shown(&to.configuration())
                );
            }
            unsettled => {
                human += &format!(
                    "before a server starts from it, correct in {}:\n",
                    shown(&to.configuration())
                );
                unsettled
                    .iter()
                    .for_each(|setting| human += &format!("  {setting}\n"));
            }
        }
        print(self.json, &json, &human)
    }
}

fn must_be_empty(directory: &Path) -> Result<(), Failure> {
    let entries = directory
        .read_dir()
        .and_then(|mut entries| entries.next().transpose());
    let entries = entries.map_err(|error| {
        Failure::system(format!("cannot read {}", shown(directory))).caused_by(&error)
    })?;
    match entries {
        None => Ok(()),
        Some(_) => Err(Failure::usage(format!(
            "no backup was made: {} is not empty",
            shown(directory)
        ))
        .hint("name a new directory, or an empty one")),
    }
}

/// Where the copy's database goes: at the same place within the content if the original's is there,
/// because that is the default, else beside the content.
fn database(from: &Places, to: &Installation) -> PathBuf {
    let within = match &from.content {
        Content::Directory(root) => from
            .database
            .path()
            .and_then(|file| file.strip_prefix(root).ok()),
        Content::Bucket(_) => None,
    };
    within.map_or_else(|| to.database(), |within| to.content().join(within))
}

async fn copy(
    file: &Path,
    opened: &Opened,
    database: &Path,
    content: &Path,
) -> Result<usize, Failure> {
    let mut progress = Progress::new("copying");
    let mut blobs = 0;
    let told = |done: usize, of: usize| {
        blobs = of;
        progress.of(done as u64, of as u64, "blobs");
    };
    let copied = opened
        .storage
        .backup(database, content, random_id()?, told)
        .await;
    copied.map_err(|error| failure(&error, file))?;
    Ok(blobs)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn failure(error: &BackupError, file: &Path) -> Failure {
    match error {
        BackupError::HalfRead(location) => {
            half_read(Failure::system("no backup was made"), file, location).caused_by(error)
        }
        BackupError::Exists(_) | BackupError::Inside(_) => {
            Failure::usage("no backup was made").caused_by(error)
        }
        _ => {
            const USUAL: &str =
                "delete the incomplete backup and run the command again with enough free space";
            let hint = match error {
                BackupError::Copy { source, .. } => copy_hint(source, file, USUAL),
                _ => USUAL.to_owned(),
            };
            let failure = Failure::system("the backup is not complete");
            failure.caused_by(error).hint(hint)
        }
    }
}
