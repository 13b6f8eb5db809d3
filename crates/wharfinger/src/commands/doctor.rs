//! `wharfinger doctor`: find out why a login, a pull or a push fails.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use client::{
    CredentialStore, Host, HostError, ImageName, KnownSettings, LoginCredentials, ProbeResult,
    ProbeTarget, ProbeVerdict, TransportOptions, run_probes,
};
use common::escape_line;
use oci::{Reference, RepositoryName};
use serde_json::json;
use token::JwkSet;

use super::key_file;
use crate::config::TokenAgreement;
use crate::failure::Failure;
use crate::files;
use crate::output::{note, print, print_json};
use crate::remote::{ConnectionArguments, credential_store, password};

/// Find out why a login, a pull or a push fails, and what to change
///
/// Tests the registry, the token server that it names, their certificates, clocks and keys, the
/// stored login, and what a token grants. Changes nothing and shows no secrets. The exit code is 0 if
/// no probe failed, 1 if one failed, and 2 if the probes could not be made.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The registry: HOST[:PORT], or HOST[:PORT]/NAME[:TAG] to try a pull, too.
    #[arg(value_name = "HOST[/NAME[:TAG]]")]
    target: DoctorTarget,
    /// Try the login of this user instead of the stored one.
    #[arg(long, short, value_name = "NAME")]
    user: Option<String>,
    /// Read the password from standard input.
    #[arg(long, requires = "user")]
    password_stdin: bool,
    /// Try an upload of 110 MB, and cancel it.
    #[arg(long)]
    push: bool,
    /// Compare with this configuration of the registry or the token server (docker_auth's, too); may
    /// be repeated.
    #[arg(long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// Compare with this rootcertbundle of the registry.
    #[arg(long, value_name = "FILE")]
    rootcertbundle: Option<PathBuf>,
    /// Compare with this jwks of the registry.
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
    /// Print JSON: {healthy, probes: [{id, verdict, evidence, remedy}]}.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArguments,
}

/// A registry, or an image of one.
#[derive(Clone, Debug)]
struct DoctorTarget {
    host: Host,
    repository: Option<RepositoryName>,
    reference: Option<Reference>,
}

impl std::str::FromStr for DoctorTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bare = text.trim_end_matches('/');
        if !bare.contains('/') {
            let host = bare.parse().map_err(|error: HostError| error.to_string())?;
            return Ok(Self {
                host,
                repository: None,
                reference: None,
            });
        }
        let name: ImageName = bare
            .parse()
            .map_err(|error: client::ImageNameError| error.to_string())?;
        let named = name.tag.is_some() || name.digest.is_some();
        let reference = named.then(|| name.reference());
        Ok(Self {
            host: name.host,
            repository: Some(name.repository),
            reference,
        })
    }
}

/// How long to wait for a response. A server that needs longer is a problem of its own.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let findings = findings(arguments).map_err(Failure::into_usage)?;
    let healthy = findings
        .iter()
        .all(|finding| finding.verdict != ProbeVerdict::Failure);
    if arguments.json {
        print_json(&json(&findings, healthy))?;
    } else {
        print(&report(&arguments.target.host, &findings))?;
    }
    Ok(if healthy {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn findings(arguments: &Arguments) -> Result<Vec<ProbeResult>, Failure> {
    let login = match &arguments.user {
        Some(user) => {
            let password = password(arguments.password_stdin, "Password: ")?;
            Some(LoginCredentials::Password {
                user: user.clone(),
                password,
            })
        }
        None => None,
    };
    let target = &arguments.target;
    let target = ProbeTarget {
        host: target.host.clone(),
        repository: target.repository.clone(),
        reference: target.reference.clone(),
        login,
        store: if arguments.connection.anonymous {
            CredentialStore::default()
        } else {
            credential_store()
        },
        push: arguments.push,
        settings: settings(arguments)?,
        docker_daemon: PathBuf::from("/etc/docker/daemon.json"),
    };
    let options = TransportOptions {
        patience: PATIENCE,
        ..arguments.connection.options()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let runtime =
        runtime.map_err(|error| Failure::usage("cannot start the runtime").caused_by(&error))?;
    let findings = runtime.block_on(run_probes(&target, options));
    runtime.shutdown_background();
    Ok(findings?)
}

/// The settings of the given files. A bundle or JWKS given by itself takes precedence.
fn settings(arguments: &Arguments) -> Result<KnownSettings, Failure> {
    let mut read = TokenAgreement::default();
    for path in &arguments.config {
        let file = TokenAgreement::read(path)
            .map_err(|error| Failure::usage(format!("{} {error}", path.display())))?;
        if file.is_empty() {
            note(format!(
                "note: {} says nothing about tokens, so nothing is compared with it; if the \
                 registry's REGISTRY_AUTH_* variables do, set them for this command, too",
                path.display()
            ));
        }
        read = read.or(file);
    }
    let bundle = arguments
        .rootcertbundle
        .clone()
        .or_else(|| if_here(read.bundle, "--rootcertbundle"));
    let keys = arguments
        .jwks
        .clone()
        .or_else(|| if_here(read.jwks, "--jwks"));
    Ok(KnownSettings {
        bundle: bundle
            .as_deref()
            .map(key_file::certificates)
            .transpose()?
            .unwrap_or_default(),
        jwks: keys.as_deref().map(jwks).transpose()?,
        issuer: read.issuer,
        service: read.service,
    })
}

/// A file that a configuration names, if it is on this machine: a registry in a container has other
/// paths.
fn if_here(path: Option<PathBuf>, option: &str) -> Option<PathBuf> {
    let path = path?;
    if path.exists() {
        return Some(path);
    }
    note(format!(
        "note: {}, which the configuration names, is not on this machine: use {option} FILE to compare the keys",
        path.display()
    ));
    None
}

fn jwks(path: &Path) -> Result<JwkSet, Failure> {
    let text = files::read(path)?;
    JwkSet::from_json(&text).map_err(|error| {
        Failure::usage(format!("{} is not a JWKS", path.display())).caused_by(&error)
    })
}

fn json(findings: &[ProbeResult], healthy: bool) -> serde_json::Value {
    let probes = findings.iter().map(|finding| {
        json!({
            "id": finding.id,
            "verdict": finding.verdict.to_string(),
            "evidence": finding.evidence,
            "remedy": finding.remedy,
        })
    });
    json!({ "healthy": healthy, "probes": probes.collect::<Vec<_>>() })
}

/// The report for people: failures first, then warnings, then what is ok, and last what was not
/// tested.
fn report(host: &Host, findings: &[ProbeResult]) -> String {
    let with = |verdict| {
        findings
            .iter()
            .filter(move |finding| finding.verdict == verdict)
    };
    let failed: Vec<_> = with(ProbeVerdict::Failure)
        .map(|finding| finding.id)
        .collect();
    let mut text = String::new();
    if failed.is_empty() {
        text += &format!("no probe failed at {host}\n\n");
    }
    for verdict in [
        ProbeVerdict::Failure,
        ProbeVerdict::Warning,
        ProbeVerdict::Ok,
    ] {
        text.extend(with(verdict).map(line));
        if verdict == ProbeVerdict::Failure && !failed.is_empty() {
            text.push('\n');
        }
    }
    text += &not_tested(with(ProbeVerdict::NotTested));
    if !failed.is_empty() {
        text += &format!("failed at {host}: {}\n", failed.join(", "));
    }
    text
}

fn line(finding: &ProbeResult) -> String {
    let (verdict, evidence) = (finding.verdict.to_string(), escape_line(&finding.evidence));
    let remedy = finding
        .remedy
        .iter()
        .map(|remedy| format!("{:34}-> {}\n", "", escape_line(remedy)));
    format!(
        "{verdict:10}  {:20}  {evidence}\n{}",
        finding.id,
        remedy.collect::<String>()
    )
}

/// One line for each reason.
fn not_tested<'a>(findings: impl Iterator<Item = &'a ProbeResult>) -> String {
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for finding in findings {
        match reasons.iter_mut().find(|(why, _)| *why == finding.evidence) {
            Some((_, ids)) => ids.push(finding.id),
            None => reasons.push((&finding.evidence, vec![finding.id])),
        }
    }
    reasons
        .iter()
        .map(|(why, ids)| format!("not-tested  {}: {}\n", ids.join(", "), escape_line(why)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_a_registry_or_an_image() {
        let whom = |text: &str| {
            text.parse::<DoctorTarget>().map(|target| {
                (
                    target.host.to_string(),
                    target.repository.is_some(),
                    target.reference.is_some(),
                )
            })
        };
        assert_eq!(
            whom("r.example:5000"),
            Ok(("r.example:5000".into(), false, false))
        );
        assert_eq!(whom("localhost/"), Ok(("localhost".into(), false, false)));
        assert_eq!(whom("r.example/a/b"), Ok(("r.example".into(), true, false)));
        assert_eq!(whom("r.example/a:1"), Ok(("r.example".into(), true, true)));
        assert!(whom("https://r.example").is_err());
    }

    #[test]
    fn failures_come_first_with_their_remedies_below() {
        let found = |id, verdict, evidence: &str, remedy: Option<&str>| ProbeResult {
            id,
            verdict,
            evidence: evidence.into(),
            remedy: remedy.map(str::to_owned),
        };
        let findings = [
            found("registry-scheme", ProbeVerdict::Ok, "it speaks https", None),
            found(
                "clocks",
                ProbeVerdict::Failure,
                "what\nwas",
                Some("set them"),
            ),
            found("pull", ProbeVerdict::NotTested, "see clocks first", None),
            found(
                "push-body",
                ProbeVerdict::NotTested,
                "see clocks first",
                None,
            ),
        ];
        let host = "r.example".parse().unwrap();
        let expected = "\
failure     clocks                what\\nwas
                                  -> set them

ok          registry-scheme       it speaks https
not-tested  pull, push-body: see clocks first
failed at r.example: clocks
";
        assert_eq!(report(&host, &findings), expected);
        let healthy =
            "no probe failed at r.example\n\nok          registry-scheme       it speaks https\n";
        assert_eq!(report(&host, &findings[..1]), healthy);
        assert_eq!(json(&findings, false)["probes"][1]["verdict"], "failure");
    }
}
