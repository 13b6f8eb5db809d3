//! `wharfinger doctor`: why nobody gets in.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use client::{
    CredentialStore, Credentials, Host, HostError, ImageName, KnownSettings, ProbeResult,
    ProbeTarget, ProbeVerdict, TransportOptions, run_probes,
};
use oci::{Reference, RepositoryName};
use serde_json::json;
use token::JwkSet;

use super::key_file;
use crate::config::TokenAgreement;
use crate::failure::Failure;
use crate::files;
use crate::output::{note, print, print_json};
use crate::remote::{ConnectionArguments, credential_store, password};

/// Find out why a registry with token authentication does not let people in, and what to change
///
/// Looks at the registry, the token server that it names, their certificates, clocks and keys, at
/// the stored login and at what a token grants. Nothing is changed; secrets are not shown. The exit
/// code is 0 when nothing failed, 1 when something did, 2 when nothing could be examined.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Whom to examine: HOST[:PORT], or HOST[:PORT]/NAME[:TAG] to try a pull, too.
    #[arg(value_name = "HOST[/NAME[:TAG]]")]
    patient: DoctorTarget,
    /// Try the login of this user, instead of the stored one.
    #[arg(long, short, value_name = "NAME")]
    user: Option<String>,
    /// Read the password from standard input.
    #[arg(long, requires = "user")]
    password_stdin: bool,
    /// Try an upload of 110 MB, which is cancelled.
    #[arg(long)]
    push: bool,
    /// The registry's configuration, or the token server's (docker_auth's, too), to compare; may be
    /// repeated.
    #[arg(long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// The registry's rootcertbundle, to compare.
    #[arg(long, value_name = "FILE")]
    rootcertbundle: Option<PathBuf>,
    /// The registry's jwks, to compare.
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

/// How long one answer is waited for. Who has to wait longer for a token has an answer of another
/// kind.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let findings = findings(arguments).map_err(Failure::into_usage)?;
    let healthy = findings
        .iter()
        .all(|finding| finding.verdict != ProbeVerdict::Failure);
    if arguments.json {
        print_json(&json(&findings, healthy))?;
    } else {
        print(&report(&arguments.patient.host, &findings))?;
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
            Some(Credentials::Password {
                user: user.clone(),
                password,
            })
        }
        None => None,
    };
    let whom = &arguments.patient;
    let patient = ProbeTarget {
        host: whom.host.clone(),
        repository: whom.repository.clone(),
        reference: whom.reference.clone(),
        login,
        places: if arguments.connection.anonymous {
            CredentialStore::default()
        } else {
            credential_store()
        },
        push: arguments.push,
        sides: sides(arguments)?,
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
    let findings = runtime.block_on(run_probes(&patient, options));
    runtime.shutdown_background();
    Ok(findings?)
}

/// What the files say; those that are named by themselves count more.
fn sides(arguments: &Arguments) -> Result<KnownSettings, Failure> {
    let mut read = TokenAgreement::default();
    for path in &arguments.config {
        let file = TokenAgreement::read(path)
            .map_err(|error| Failure::usage(format!("{} {error}", path.display())))?;
        read = read.or(file);
    }
    let bundle = arguments
        .rootcertbundle
        .clone()
        .or_else(|| here(read.bundle, "--rootcertbundle"));
    let keys = arguments.jwks.clone().or_else(|| here(read.jwks, "--jwks"));
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

/// A file that a configuration names, when it is on this machine: a registry in a container has
/// paths of its own.
fn here(path: Option<PathBuf>, option: &str) -> Option<PathBuf> {
    let path = path?;
    if path.exists() {
        return Some(path);
    }
    note(format!(
        "note: {}, which the configuration names, is not here: {option} FILE compares the keys",
        path.display()
    ));
    None
}

fn jwks(path: &Path) -> Result<JwkSet, Failure> {
    let text = files::read(path)?;
    JwkSet::from_json(&text)
        .map_err(|error| Failure::usage(format!("{} is no JWKS", path.display())).caused_by(&error))
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

/// For people: what is wrong comes first, then what is doubtful, what is well, and last what was
/// not looked at.
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
        text += &format!("nothing failed at {host}\n\n");
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
    let (verdict, evidence) = (finding.verdict.to_string(), visible(&finding.evidence));
    let remedy = finding
        .remedy
        .iter()
        .map(|remedy| format!("{:34}-> {}\n", "", visible(remedy)));
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
        .map(|(why, ids)| format!("not-tested  {}: {}\n", ids.join(", "), visible(why)))
        .collect()
}

/// What strangers wrote, fit for a terminal.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whom_to_examine() {
        let whom = |text: &str| {
            text.parse::<DoctorTarget>().map(|whom| {
                (
                    whom.host.to_string(),
                    whom.repository.is_some(),
                    whom.reference.is_some(),
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
    fn what_is_wrong_comes_first_and_its_remedy_below_it() {
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
failure     clocks                what was
                                  -> set them

ok          registry-scheme       it speaks https
not-tested  pull, push-body: see clocks first
failed at r.example: clocks
";
        assert_eq!(report(&host, &findings), expected);
        let healthy =
            "nothing failed at r.example\n\nok          registry-scheme       it speaks https\n";
        assert_eq!(report(&host, &findings[..1]), healthy);
        assert_eq!(json(&findings, false)["probes"][1]["verdict"], "failure");
    }
}
