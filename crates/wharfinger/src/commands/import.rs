//! `wharfinger import`: docker_auth's sign-ins from its LevelDB, once.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use common::{escape_line, with_causes};
use sign_in::{ImportMode, ImportOutcome, LevelDb, SignInAccounts, SignInError};

use super::{runtime, sign_ins};
use crate::config::SignInConfig;
use crate::failure::Failure;
use crate::output;

/// What docker_auth puts before a user's name.
const RECORD_PREFIX: &[u8] = b"t:";

/// Copy docker_auth's sign-ins from its LevelDB into the store of their section
///
/// The directory is only read. Stop docker_auth first, or import a copy of the directory. Users who
/// have signed in here already are left as they are. Exits with 1 if a sign-in could not be read.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The server's configuration: its sections name the directories (level_token_db.path).
    file: PathBuf,
    /// Only this section.
    #[arg(long, value_name = "SECTION")]
    backend: Option<String>,
    /// The directory, if the section does not name it.
    #[arg(long, value_name = "DIRECTORY", requires = "backend")]
    from: Option<PathBuf>,
    /// Replace the records of users who have signed in here already. Passwords that they made here
    /// stay valid.
    #[arg(long)]
    replace: bool,
    /// Only print what would be imported.
    #[arg(long)]
    dry_run: bool,
}

/// A section, and the LevelDB whose sign-ins it takes.
struct Source<'a> {
    accounts: &'a SignInAccounts,
    directory: PathBuf,
}

/// What became of the sign-ins of a section.
#[derive(Default)]
struct Summary {
    lines: String,
    imported: usize,
    left: usize,
    unread: usize,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let summaries = runtime::block_on(arguments.import())??;
    let mut is_whole = true;
    for summary in summaries {
        output::print(&summary.lines)?;
        is_whole &= summary.unread == 0;
    }
    Ok(if is_whole {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(1)
    })
}

impl Arguments {
    async fn import(&self) -> Result<Vec<Summary>, Failure> {
        let (config, accounts) = sign_ins::open(&self.file)?;
        let known: Vec<_> = config
            .sign_in
            .iter()
            .map(|section| section.section)
            .collect();
        if let Some(wanted) = self.backend.as_deref()
            && !known.contains(&wanted)
        {
            let message = format!("{wanted:?} is not a section with sign-ins");
            return Err(Failure::usage(message).hint(format!("write one of {}", known.join(", "))));
        }
        let sections = config.sign_in.iter().zip(&accounts);
        let sources = sections.filter_map(|(section, accounts)| self.source(section, accounts));
        let sources: Vec<_> = sources.collect();
        if sources.is_empty() {
            return Err(Failure::usage("no section names a LevelDB to import").hint(
                "set level_token_db.path in the section, or give --backend SECTION --from DIRECTORY",
            ));
        }
        let mut summaries = Vec::with_capacity(sources.len());
        for source in &sources {
            summaries.push(self.import_from(source).await?);
        }
        Ok(summaries)
    }

    fn source<'a>(
        &self,
        section: &SignInConfig,
        accounts: &'a SignInAccounts,
    ) -> Option<Source<'a>> {
        let wanted = self.backend.as_deref();
        if wanted.is_some_and(|wanted| wanted != section.section) {
            return None;
        }
        let directory = self.from.as_ref().or(section.leveldb.as_ref())?.clone();
        Some(Source {
            accounts,
            directory,
        })
    }

    async fn import_from(&self, source: &Source<'_>) -> Result<Summary, Failure> {
        let database = LevelDb::read(&source.directory)
            .map_err(|error| Failure::system("nothing was imported").caused_by(&error))?;
        let mut summary = Summary::default();
        for damage in &database.damage {
            summary.unread += 1;
            summary.say(&format!("damaged: {damage}"));
        }
        for (key, json) in &database.entries {
            let Some(name) = key.strip_prefix(RECORD_PREFIX) else {
                continue;
            };
            let Ok(name) = std::str::from_utf8(name) else {
                summary.unread += 1;
                summary.say(&format!("{}: not text", key.escape_ascii()));
                continue;
            };
            let outcome = source.accounts.import(name, json, self.mode()).await;
            summary.note(name, outcome)?;
        }
        let imported = if self.dry_run {
            "would be imported"
        } else {
            "imported"
        };
        summary.say(&format!(
            "{}: {} {imported}, {} left as they are, {} could not be read, of {}",
            source.accounts.section(),
            summary.imported,
            summary.left,
            summary.unread,
            source.directory.display()
        ));
        Ok(summary)
    }

    fn mode(&self) -> ImportMode {
        match (self.replace, self.dry_run) {
            (false, false) => ImportMode::Add,
            (false, true) => ImportMode::TryAdd,
            (true, false) => ImportMode::Replace,
            (true, true) => ImportMode::TryReplace,
        }
    }
}

impl Summary {
    fn say(&mut self, line: &str) {
        self.lines += &format!("{}\n", escape_line(line));
    }

    /// A failure of the store ends the import; what was imported until then stays.
    fn note(
        &mut self,
        name: &str,
        outcome: Result<ImportOutcome, SignInError>,
    ) -> Result<(), Failure> {
        let said = match outcome {
            Ok(ImportOutcome::Added) => {
                self.imported += 1;
                "imported".to_owned()
            }
            Ok(ImportOutcome::Replaced) => {
                self.imported += 1;
                "imported, in place of another sign-in".to_owned()
            }
            Ok(ImportOutcome::Same) => {
                self.left += 1;
                "was imported already".to_owned()
            }
            Ok(ImportOutcome::Kept) => {
                self.left += 1;
                "has signed in here already (--replace)".to_owned()
            }
            Err(error @ (SignInError::Record { .. } | SignInError::Provider(_))) => {
                self.unread += 1;
                with_causes(&error)
            }
            Err(error) => {
                return Err(
                    Failure::system("the import ended early; run it again").caused_by(&error)
                );
            }
        };
        self.say(&format!("{name}: {said}"));
        Ok(())
    }
}
