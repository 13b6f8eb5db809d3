//! `wharfinger registry immutable check`: which rule protects a tag.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use oci::{RepositoryName, Tag};
use serde_json::json;
use tag_rules::{ImmutabilityRule, ImmutabilityRules, TagPattern};

use super::rules::refused;
use crate::commands::managed_database::ManagedDatabase;
use crate::failure::Failure;
use crate::output;

/// Say which rules make a tag immutable, those of the configuration first
///
/// Exits with 0 if one does, and with 1 if none does.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The server's configuration.
    file: PathBuf,
    /// The tag: NAME:TAG, without the registry's host. It need not exist.
    #[arg(value_name = "IMAGE", value_parser = image)]
    image: (RepositoryName, Tag),
    /// Print a JSON object: {repository, tag, immutable, rules: [{origin, repository, tag, except}]}.
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(super) async fn run(&self) -> Result<ExitCode, Failure> {
        let managed = ManagedDatabase::open(&self.file)?;
        let Some(registry) = &managed.config.registry else {
            let message = format!("{} configures no registry", self.file.display());
            return Err(Failure::usage(message));
        };
        let stored = managed.immutable_tags().list().await;
        let stored: ImmutabilityRules = stored
            .map_err(|error| refused(&error))?
            .into_iter()
            .map(Into::into)
            .collect();
        let rules = registry.tags.immutable.and(&stored);
        let (repository, tag) = &self.image;
        let covering: Vec<&ImmutabilityRule> = rules
            .of(repository)
            .filter(|rule| rule.covers(tag))
            .collect();
        if self.json {
            let listed: Vec<_> = covering.iter().map(|rule| document(rule)).collect();
            output::print_json(&json!({
                "repository": repository.as_str(),
                "tag": tag.as_str(),
                "immutable": !covering.is_empty(),
                "rules": listed,
            }))?;
        } else if covering.is_empty() {
            output::print(&format!("{repository}:{tag} is not immutable\n"))?;
        } else {
            let lines = covering.iter().map(|rule| line(rule));
            let lines: String = lines.collect();
            output::print(&format!("{repository}:{tag} is immutable:\n{lines}"))?;
        }
        Ok(match covering.is_empty() {
            true => ExitCode::from(1),
            false => ExitCode::SUCCESS,
        })
    }
}

fn line(rule: &ImmutabilityRule) -> String {
    let except = match &rule.except[..] {
        [] => String::new(),
        except => format!(", except {}", texts(except).join(" ")),
    };
    let ImmutabilityRule {
        origin,
        repository,
        tag,
        ..
    } = rule;
    format!("{origin}: repository {repository}, tag {tag}{except}\n")
}

fn document(rule: &ImmutabilityRule) -> serde_json::Value {
    json!({
        "origin": rule.origin.to_string(),
        "repository": rule.repository.as_str(),
        "tag": rule.tag.as_str(),
        "except": texts(&rule.except),
    })
}

fn texts(patterns: &[TagPattern]) -> Vec<&str> {
    patterns.iter().map(TagPattern::as_str).collect()
}

/// `NAME:TAG`, or `NAME` for the tag `latest`.
fn image(text: &str) -> Result<(RepositoryName, Tag), String> {
    let (name, tag) = text.rsplit_once(':').unwrap_or((text, "latest"));
    let name = name.parse().map_err(|error| format!("{error}"))?;
    let tag = tag.parse().map_err(|error| format!("{error}"))?;
    Ok((name, tag))
}
