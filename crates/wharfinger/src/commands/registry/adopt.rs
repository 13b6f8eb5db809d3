//! `wharfinger registry adopt`: serving what another registry has stored, in place.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use common::escape_line;
use serde_json::{Value, json};
use storage::distribution::{
    AdoptError, AdoptionCheck, AdoptionProblem, AdoptionReport, RegistryData,
};
use storage::{AdoptionStage, ContentLocation};

use super::progress::Progress;
use super::{count, open, print};
use crate::failure::Failure;

/// Serve the data of a registry 2.x or 3.x in place
///
/// Afterwards this registry serves every image in them. The command moves and changes no file, and
/// garbage collection skips these data until `--final`, so the other registry can still use them. If
/// it is interrupted, run it again to continue. It lists what cannot be adopted and adopts the rest.
/// Adopting again resets --final; repeat it.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The server's configuration.
    file: PathBuf,
    /// The other registry's data, with docker/registry/v2 in them: a directory, or s3://BUCKET/PREFIX in
    /// the store of `registry.storage.s3`.
    data: PathBuf,
    /// Make a complete adoption final: garbage collection may then remove files from the data.
    /// This cannot be undone.
    #[arg(long, conflicts_with = "check_digests")]
    r#final: bool,
    /// Read every blob and compare it with its digest.
    #[arg(long)]
    check_digests: bool,
    /// Print one JSON object: {directory, repositories, manifests, tags, blobs, problems: [{path,
    /// problem}]}, or with --final {directory, final}.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) async fn run(&self) -> Result<ExitCode, Failure> {
        if self.r#final {
            return self.finish().await;
        }
        // Often the first command of an operator that replaces another registry, so there may be no
        // database yet.
        let opened = open::or_made(&self.file).await?;
        let report = {
            let mut progress = Progress::new("adopting");
            let told = |report: &AdoptionReport| {
                progress.of(report.repositories as u64, report.of as u64, "repositories");
            };
            let check = if self.check_digests {
                AdoptionCheck::Everything
            } else {
                AdoptionCheck::Manifests
            };
            let adopted = opened.storage.adopt(self.data(), check, told).await;
            adopted.map_err(|error| failure(&error))?
        };
        print(self.json, &self.json_of(&report), &self.human(&report))?;
        Ok(ExitCode::SUCCESS)
    }

    async fn finish(&self) -> Result<ExitCode, Failure> {
        let opened = open::existing(&self.file).await?;
        let directory = self.data.display();
        let stage = opened
            .storage
            .finalize_adoption(self.data())
            .await
            .map_err(|error| failure(&error))?;
        let command = format!(
            "wharfinger registry adopt {} {directory}",
            self.file.display()
        );
        match stage {
            AdoptionStage::Final => {}
            AdoptionStage::Unknown => {
                let failure = Failure::negative(format!("{directory} was never adopted"));
                return Err(failure.hint(format!("`{command}` adopts it")));
            }
            AdoptionStage::Reading | AdoptionStage::Complete => {
                let message = format!(
                    "the adoption of {directory} has not come to its end: what was not read yet would be removed"
                );
                return Err(Failure::negative(message).hint(format!("run this first: {command}")));
            }
        }
        let human = format!(
            "{directory} belongs to this registry from now on, and collection may remove files from it\n"
        );
        print(
            self.json,
            &json!({"directory": directory.to_string(), "final": true}),
            &human,
        )?;
        Ok(ExitCode::SUCCESS)
    }

    fn data(&self) -> RegistryData<'_> {
        match self.data.to_str() {
            Some(url) if url.starts_with("s3://") => RegistryData::Bucket(url),
            _ => RegistryData::Directory(&self.data),
        }
    }

    fn human(&self, report: &AdoptionReport) -> String {
        let mut text: String = report.problems.iter().map(problem_line).collect();
        text += &format!(
            "adopted {}: {}, {}, {} and {}",
            self.data.display(),
            count(report.of as u64, "repository"),
            count(report.tags, "tag"),
            count(report.manifests, "manifest"),
            count(report.blobs, "blob"),
        );
        match report.problems.len() as u64 {
            0 => text + "\n",
            problems => {
                text + &format!(
                    "; {} above could not be taken over\n",
                    count(problems, "thing")
                )
            }
        }
    }

    fn json_of(&self, report: &AdoptionReport) -> Value {
        let problems = report.problems.iter();
        let problems = problems
            .map(|problem| json!({"path": problem.path, "problem": problem.kind.to_string()}));
        json!({
            "directory": self.data.display().to_string(),
            "repositories": report.of,
            "manifests": report.manifests,
            "tags": report.tags,
            "blobs": report.blobs,
            "problems": Value::from_iter(problems),
        })
    }
}

fn failure(error: &AdoptError) -> Failure {
    let refused = Failure::usage("nothing was adopted").caused_by(error);
    match error {
        AdoptError::NoData(ContentLocation::Directory(_)) => refused
            .hint("name the directory of REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY, usually /var/lib/registry"),
        AdoptError::NoData(ContentLocation::Bucket(_)) => refused
            .hint("name the bucket and the rootdirectory of the other registry: s3://BUCKET/ROOTDIRECTORY"),
        AdoptError::Read { source, .. } if source.kind() == ErrorKind::Unsupported => refused.hint(
            "data in a bucket can be adopted if `registry.storage.s3` names a bucket of the same store, \
             and data in a directory if the registry stores files",
        ),
        AdoptError::Read { location: ContentLocation::Bucket(_), .. } => refused
            .hint("the key of `registry.storage.s3` must be allowed to list and read that bucket"),
        AdoptError::Path(_) | AdoptError::Read { .. } => refused
            .hint("the user that this server runs as must be able to read all of it"),
        _ => {
            Failure::system("the adoption is not complete").caused_by(error).hint("run the command again to continue")
        }
    }
}

/// A line of its own for each problem, whatever the names in the data directory hold.
fn problem_line(problem: &AdoptionProblem) -> String {
    let line = format!("{}: {}", problem.path, problem.kind);
    format!("{}\n", escape_line(&line))
}

#[cfg(test)]
mod tests {
    use storage::distribution::AdoptionProblemKind;

    use super::*;

    #[test]
    fn a_problem_has_one_line() {
        let line = problem_line(&AdoptionProblem {
            path: "a\nadopted old: 1 repository\u{1b}[2J".to_owned(),
            kind: AdoptionProblemKind::NoManifest("x\ny".to_owned()),
        });
        assert_eq!(
            line,
            "a\\nadopted old: 1 repository\\u{1b}[2J: not a known kind of manifest: x\\ny\n"
        );
    }
}
