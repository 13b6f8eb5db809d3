//! `wharfinger registry undelete`: tags that retention has removed, and their return.

use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::Args;
use oci::{Digest, RepositoryName, Tag};
use serde_json::{Value, json};
use storage::tag_retention::{UndeleteOutcome, Undeletion};
use storage::{Error, Tombstone};

use super::open::{self, Opened};
use super::retention::date;
use super::{interrupted, print};
use crate::failure::Failure;
use crate::output;
use crate::serve::retention::RetentionEvents;

/// Restore a tag that retention has removed, or list what can be restored
///
/// The tag points at the same manifest as before. It counts as pushed now, so that the rules do not
/// remove it at once. Signatures that went with it come back with it.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The server's configuration.
    file: PathBuf,
    /// What to restore: REPOSITORY:TAG, or REPOSITORY:TAG@DIGEST if the tag was removed several times.
    /// Without a tag, what can be restored is listed.
    #[arg(value_name = "IMAGE")]
    image: Option<RemovedImage>,
    /// Give the tag another name.
    #[arg(long = "as", value_name = "TAG")]
    rename: Option<Tag>,
    /// Print one JSON object: {tombstones: [{repository, tag, digest, pushed_at, removed_at,
    /// restorable_until, reason}]}, or {repository, tag, digest, along}.
    #[arg(long)]
    json: bool,
}

/// A repository, and perhaps a tag in it, and the manifest that this pointed at.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RemovedImage {
    repository: RepositoryName,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

impl FromStr for RemovedImage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => {
                let digest = digest
                    .parse()
                    .map_err(|error| format!("{digest}: {error}"))?;
                (name, Some(digest))
            }
            None => (text, None),
        };
        let (name, tag) = match name.split_once(':') {
            Some((name, tag)) => {
                let tag = tag.parse().map_err(|error| format!("{tag}: {error}"))?;
                (name, Some(tag))
            }
            None => (name, None),
        };
        if digest.is_some() && tag.is_none() {
            return Err("write the tag, too: REPOSITORY:TAG@DIGEST".to_owned());
        }
        let repository = name.parse().map_err(|error| format!("{name}: {error}"))?;
        Ok(Self {
            repository,
            tag,
            digest,
        })
    }
}

impl Arguments {
    pub(super) async fn run(&self) -> Result<ExitCode, Failure> {
        let opened = open::existing(&self.file).await?;
        match &self.image {
            Some(RemovedImage {
                repository,
                tag: Some(tag),
                digest,
            }) => self.restore(&opened, repository, tag, *digest).await?,
            image => {
                let only = image.as_ref().map(|image| &image.repository);
                self.list(&opened, only).await?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn list(&self, opened: &Opened, only: Option<&RepositoryName>) -> Result<(), Failure> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = opened.storage.tombstones(only, after).await;
            let page =
                page.map_err(|error| interrupted("removed tags cannot be listed", &error))?;
            after = page.entries.last().map(|tombstone| tombstone.id);
            if self.json {
                all.extend(page.entries.iter().map(tombstone_json));
            } else {
                output::print_lines(page.entries.iter().map(line))?;
            }
            if !page.more {
                break;
            }
        }
        match self.json {
            true => output::print_json(&json!({"tombstones": all})),
            false => Ok(()),
        }
    }

    async fn restore(
        &self,
        opened: &Opened,
        repository: &RepositoryName,
        tag: &Tag,
        digest: Option<Digest>,
    ) -> Result<(), Failure> {
        let audit = opened.places.audit.as_ref();
        let events =
            RetentionEvents::of_command(audit, opened.places.has_history, &opened.database).await?;
        let to = self.rename.as_ref().unwrap_or(tag);
        let records = |tombstone: &Tombstone, tag: &Tag| events.restored(tombstone, tag);
        let undeletion = Undeletion {
            tag: tag.clone(),
            digest,
            to: to.clone(),
            author: events.restored_by(),
            quotas: opened.places.quotas.of(repository),
        };
        let undeleted = opened
            .storage
            .undelete(repository, &undeletion, records)
            .await
            .map_err(|error| unrestored(&error))?;
        match undeleted {
            UndeleteOutcome::Restored {
                tombstone,
                along,
                warnings,
            } => {
                for warning in warnings {
                    output::note(format_args!(
                        "{} of {} {} of the quota of {} are used now",
                        warning.used, warning.limit, warning.resource, warning.prefix
                    ));
                }
                let mut text = format!("{repository}:{to}@{}\n", tombstone.digest);
                for tag in &along {
                    text += &format!("{repository}:{tag}\n");
                }
                let along: Vec<&str> = along.iter().map(Tag::as_str).collect();
                let json = json!({
                    "repository": repository.as_str(),
                    "tag": to.as_str(),
                    "digest": tombstone.digest.to_string(),
                    "along": along,
                });
                print(self.json, &json, &text)
            }
            UndeleteOutcome::TagExists(existing) => {
                let message =
                    format!("there is a tag {repository}:{to} again, which points at {existing}");
                Err(Failure::negative(message).hint("give the restored tag another name: --as TAG"))
            }
            UndeleteOutcome::Unknown => {
                let message = format!("nothing is left of {repository}:{tag} that can be restored");
                let hint = format!(
                    "`wharfinger registry undelete {}` lists what can be: only what retention has removed, for the \
                     time of registry.retention.undelete, and unless a client has deleted the manifest",
                    self.file.display()
                );
                Err(Failure::negative(message).hint(hint))
            }
        }
    }
}

/// Why a tag was not restored. It counts for the quotas of its repository, as one that a client pushes.
fn unrestored(error: &Error) -> Failure {
    match error {
        Error::QuotaExceeded(exceeded) => Failure::negative(exceeded.to_string())
            .hint("delete tags that are not needed, or raise the limit in registry.quotas"),
        _ => interrupted("the tag could not be restored", error),
    }
}

fn line(tombstone: &Tombstone) -> String {
    format!(
        "{}:{}@{} removed {}, can be restored until {}: {}",
        tombstone.repository,
        tombstone.tag,
        tombstone.digest,
        date(tombstone.removed_at),
        date(tombstone.expires_at),
        tombstone.reason,
    )
}

fn tombstone_json(tombstone: &Tombstone) -> Value {
    json!({
        "repository": tombstone.repository.as_str(),
        "tag": tombstone.tag.as_str(),
        "digest": tombstone.digest.to_string(),
        "pushed_at": date(tombstone.pushed_at),
        "removed_at": date(tombstone.removed_at),
        "restorable_until": date(tombstone.expires_at),
        "reason": tombstone.reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_no_host() {
        let digest = format!("sha256:{}", "0".repeat(64));
        let read = |text: &str| text.parse::<RemovedImage>();
        let image = read(&format!("team/app:1.0@{digest}")).unwrap();
        assert_eq!(image.repository.as_str(), "team/app");
        assert_eq!(image.tag.unwrap().as_str(), "1.0");
        assert_eq!(image.digest.unwrap().to_string(), digest);
        assert_eq!(read("team/app").unwrap().tag, None);
        for wrong in [
            "",
            "Team/app:1",
            "a:",
            "a@x",
            &format!("a@{digest}"),
            "host:5000/a:1",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
