//! `wharfinger registry verify`: whether all content has the digest that names it.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};
use storage::{AffectedRepository, ContentHealth, VerifyResult};

use super::progress::Progress;
use super::{interrupted, open, print, size};
use crate::failure::Failure;
use crate::output;

/// Compare every blob and manifest with its digest
///
/// The exit code is 1 if something is damaged.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The server's configuration.
    file: PathBuf,
    /// Print one JSON object: {checked, bytes, damaged: [{digest, size, place, health, computed}]};
    /// health is changed, missing or unreadable.
    #[arg(long)]
    json: bool,
}

/// What was checked so far.
#[derive(Default)]
struct Seen {
    checked: u64,
    bytes: u64,
    damaged: Vec<VerifyResult>,
}

impl Arguments {
    pub(super) async fn run(&self) -> Result<ExitCode, Failure> {
        let opened = open::existing(&self.file).await?;
        let seen = self.check(&opened.storage).await?;
        let read = format!(
            "{} blobs and manifests read, {}",
            seen.checked,
            size(seen.bytes)
        );
        let fine = format!("{read}: all digests match\n");
        print(
            self.json,
            &json(&seen),
            if seen.damaged.is_empty() { &fine } else { "" },
        )?;
        if seen.damaged.is_empty() {
            return Ok(ExitCode::SUCCESS);
        }
        let message = format!("{read}: {} damaged or missing", seen.damaged.len());
        Err(Failure::negative(message).hint(remedy(&seen.damaged)))
    }

    async fn check(&self, storage: &storage::Storage) -> Result<Seen, Failure> {
        let (mut seen, mut written) = (Seen::default(), Ok(()));
        let mut progress = Progress::new("checking");
        let report = |finding: VerifyResult| {
            seen.checked += 1;
            seen.bytes += finding.size;
            progress
                .so_far(|| format!("{} blobs and manifests, {}", seen.checked, size(seen.bytes)));
            if finding.health != ContentHealth::Sound {
                if !self.json {
                    // Printed at once, because a check of terabytes takes hours.
                    progress.aside(|| written = output::print(&format!("{}\n", line(&finding))));
                }
                seen.damaged.push(finding);
            }
            if written.is_ok() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            }
        };
        let looked = storage.verify(report).await;
        looked.map_err(|error| interrupted("the check failed before it was complete", &error))?;
        written.map(|()| seen)
    }
}

fn remedy(damaged: &[VerifyResult]) -> String {
    const REMEDY: &str = "push the affected images again with `docker push` or `wharfinger push`, because \
                          crane and regctl send nothing of an image whose manifest is there; or put the files \
                          back from a backup; until then pulls of them fail";
    let is_there = |finding: &VerifyResult| finding.health != ContentHealth::Missing;
    match damaged.iter().any(is_there) {
        // The registry does not read a whole blob to say whether it has it.
        true => format!(
            "remove the files that were changed or cannot be read, because clients do not push what \
             is there; {REMEDY}"
        ),
        false => REMEDY.to_owned(),
    }
}

fn line(finding: &VerifyResult) -> String {
    let what = match finding.health {
        ContentHealth::Sound => "is sound".to_owned(),
        ContentHealth::Changed { computed } => format!("was changed: its digest is {computed} now"),
        ContentHealth::Missing => "is missing or too short".to_owned(),
        ContentHealth::Unreadable => "cannot be read".to_owned(),
    };
    let mut line = format!("{} in {} {what}", finding.digest, finding.place);
    for AffectedRepository { repository, tags } in &finding.affected {
        line += &format!("\n  push again to {repository}");
        if !tags.is_empty() {
            line += &format!(": {}", tags.join(", "));
        }
    }
    line
}

fn affected(finding: &VerifyResult) -> Vec<Value> {
    let affected = finding.affected.iter();
    affected
        .map(|it| json!({"repository": it.repository.to_string(), "tags": it.tags}))
        .collect()
}

fn json(seen: &Seen) -> Value {
    let damaged = seen.damaged.iter().map(|finding| {
        let (health, computed) = match finding.health {
            ContentHealth::Sound => ("sound", None),
            ContentHealth::Changed { computed } => ("changed", Some(computed.to_string())),
            ContentHealth::Missing => ("missing", None),
            ContentHealth::Unreadable => ("unreadable", None),
        };
        json!({
            "digest": finding.digest.to_string(),
            "size": finding.size,
            "place": finding.place,
            "health": health,
            "computed": computed,
            "affected": affected(finding),
        })
    });
    json!({"checked": seen.checked, "bytes": seen.bytes, "damaged": Value::from_iter(damaged)})
}
